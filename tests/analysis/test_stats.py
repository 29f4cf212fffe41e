"""Stats: every question answered by the lake, and equal to what counting by hand gives."""

from collections import Counter
from pathlib import Path

import pytest
from tests.analysis.mail import START, offered

from trapline import journal
from trapline.analysis import stats
from trapline.analysis.messages import facts
from trapline.events import MailOffered, Stamp
from trapline.lake import Lake

EVIL = "\x1b[31m'; DROP TABLE files; --"


def message(number: int) -> tuple[str, MailOffered, bytes]:
    """Return a peer and what it offered."""
    octets = (
        f"Subject: offer {number % 2}\n\nhttp://u@Evil{number % 3}.example:80/{number} "
        f"http://evil{number % 3}.example/x\n"
    ).encode()
    event = offered(
        octets,
        sender="" if number % 5 == 0 else f"S{number % 4}@Spam.example",
        recipients=[f"R{r}@x.example" for r in range(number % 3 + 1)],
        helo=EVIL if number == 7 else f"Helo{number % 2}",
    )
    return f"198.51.100.{number % 4}", event, octets


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Lend a lake of twenty messages, one a second."""
    home = tmp_path_factory.mktemp("stats")
    hand = journal.Writer(home / "journal", "0", reserve_octets=0)
    for number in range(20):
        peer, event, octets = message(number)
        stamp = Stamp(at=START + number * 10**9, sensor="relay", peer=peer)
        hand.append(stamp, event, octets)
    hand.commit()
    hand.close()
    lake = Lake(home / "lake")
    lake.catch_up(home / "journal")
    entries = list(journal.read(home / "journal"))
    read = [facts(e.id, e.event, message(n)[2], "") for n, e in enumerate(entries)]  # type: ignore[arg-type]
    assert lake.append("facts", read, lake.positions("entries"), lake.positions("facts"))
    return lake


def by_hand(by: str, number: int) -> set[str]:
    """Return the values that one message counts for."""
    peer, event, _ = message(number)
    values = {
        "peer": {peer},
        "sender": {event.sender.lower() or "<>"},
        "domain": {event.sender.rpartition("@")[2].lower()},
        "recipient": {r.lower() for r in event.recipients},
        "helo": {event.helo.lower()},
        "subject": {f"offer {number % 2}"},
        "url": {f"evil{number % 3}.example"},
    }
    return values[by] - {""}


@pytest.mark.parametrize("by", sorted(stats.TOP))
def test_counts_are_those_by_hand(lake: Lake, by: str) -> None:
    """Planted fault: counting a URL host once for each of a message's links gave twice."""
    rows = lake.query(stats.TOP[by], (0, 1000))
    expected = Counter(value for number in range(20) for value in by_hand(by, number))
    assert {row[0]: row[1] for row in rows} == dict(expected)
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)


def test_since_and_limit_hold(lake: Lake) -> None:
    """The newest ten seconds, one row; first and last are within."""
    since = START + 10 * 10**9
    ((value, messages, recipients, peers, first, last),) = lake.query(
        stats.TOP["peer"], (since, 1)
    )
    assert (value, messages, peers) == ("198.51.100.2", 3, 1)
    assert recipients == sum(n % 3 + 1 for n in (10, 14, 18))
    assert since <= first <= last


def test_an_empty_lake_has_no_top(tmp_path: Path) -> None:
    """No rows, and no error."""
    with Lake(tmp_path / "lake") as empty:
        assert all(empty.query(question, (0, 9)) == [] for question in stats.TOP.values())
