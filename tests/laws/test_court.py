"""Laws of the court: what is published depends on the journal and the settings alone."""

import ipaddress
import json
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.laws.journals import (
    NOON,
    SECOND,
    Journal,
    Step,
    bounce,
    configured,
    guess,
    published,
    spam,
    withdrawal,
)

from trapline import addresses
from trapline.watch import Wheel

DAY = 86_400.0  # seconds
END = 12 * DAY
PEERS = st.sampled_from(
    ["16.2.2.2", "16.2.2.3", "16.2.2.4", "16.2.2.5", "16.5.5.5", "2a01:4f8::1", "16.1.1.1"]
)
WRITERS = st.sampled_from(["0", "1", "desk"])
TIMES = st.one_of(st.floats(0, END), st.integers(0, 11).map(lambda d: d * DAY))
STEPS = st.lists(
    st.one_of(
        st.builds(spam, WRITERS, TIMES, PEERS),
        st.builds(spam, WRITERS, TIMES, PEERS),
        st.builds(guess, WRITERS, TIMES, PEERS),
        st.builds(bounce, WRITERS, TIMES, PEERS),
        st.builds(withdrawal, WRITERS, TIMES, PEERS, st.sampled_from([0, 1.0, 3.0])),
    ),
    min_size=6,
    max_size=24,
)
RECENT = st.lists(
    st.builds(
        spam, WRITERS, st.floats(8 * DAY, END - 60), st.sampled_from(["16.2.2.2", "16.3.3.3"])
    ),
    min_size=5,
    max_size=10,
)
# A writer's own entries are in order of time; what comes from several is not.
SCHEDULE = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=12)

few = settings(  # each example opens lakes and writes files: shrinking takes minutes
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def turn(home: Path, at: float, **court: object) -> dict[str, bytes]:
    """Turn a new wheel once and return what is published then."""
    clock = iter(range(10**9)).__next__  # nothing ever takes long
    with Wheel(configured(home, **court), home, clock) as wheel:
        wheel.turn(NOON + int(at * SECOND))
    return published(home)


def forgotten(home: Path) -> None:
    """Delete everything but the journal; the configuration is code here."""
    for name in ("lake", "state"):
        shutil.rmtree(home / name)
    for path in home.glob("list.*"):
        path.unlink()


@few
@given(STEPS, SCHEDULE)
def test_neither_arrival_nor_forgetting_changes_a_byte(
    steps: list[Step], schedule: list[tuple[int, bool]]
) -> None:
    """Planted: entries that came late were folded last and no replay was asked for."""
    steps = sorted(steps, key=lambda step: step.at)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        made = Journal(home)
        left = {name: [s for s in steps if s.writer == name] for name in ("0", "1", "desk")}
        for who, judge in schedule:  # some writers reach the disk days after others
            name = ("0", "1", "desk")[who]
            made.write(left[name][:3])
            left[name] = left[name][3:]
            if judge:
                turn(home, END)
        for rest in left.values():
            made.write(rest)
        made.close()
        grown = turn(home, END + 60)
        forgotten(home)
        again = turn(home, END + 60)
        assert again == grown
        assert turn(home, END + 60) == again


@few
@given(RECENT, st.sets(st.integers(0, 9), min_size=1, max_size=3))
def test_it_does_not_matter_when_somebody_looked(steps: list[Step], looked: set[int]) -> None:
    """Even a second after an entry.  Planted: a snapshot without what waits."""
    steps = sorted(steps, key=lambda step: step.at)
    looks = [step.at for at, step in enumerate(steps) if at in looked]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        watched, unwatched = Journal(Path(one)), Journal(Path(other))
        unwatched.write(steps)
        unwatched.close()
        for look in looks:
            watched.write(step for step in steps if step.at <= look)
            steps = [step for step in steps if step.at > look]
            turn(Path(one), look + 1)
        watched.write(steps)
        watched.close()
        assert _placeless(one, turn(Path(one), END)) == _placeless(
            other, turn(Path(other), END)
        )


def _placeless(home: str, lists: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out where the genuine mail lies, which every listing names."""
    return {name: text.replace(home.encode(), b"HOME") for name, text in lists.items()}


ANY = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"]).flatmap(
        lambda net: st.ip_addresses(v=4, network=net)
    ),
    st.sampled_from(["::ffff:0:0/96", "2002::/16", "64:ff9b::/96", "fe80::/10"]).flatmap(
        lambda net: st.ip_addresses(v=6, network=net)
    ),
    st.ip_addresses(v=4, network="16.9.0.0/16"),  # the operator's own
).map(str)


@few
@given(st.lists(ANY, min_size=1, max_size=30))
def test_no_reserved_or_allowed_address_is_ever_published(peers: list[str]) -> None:
    """Whatever the journal says.  Planted: a trial that forgot to ask who is protected."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        made = Journal(home)
        made.write(spam("0", n * 0.001, p) for n, p in enumerate(p for p in peers * 3))
        made.close()
        lists = turn(home, 3600, network_breadth=2)
        found = [row["network"] for row in json.loads(lists[".json"])["listings"]]
        for text in filter(None, [*found, *_addresses(lists[".plain"])]):
            net = ipaddress.ip_network(text)
            assert addresses.reserved(net) == ""
            assert not net.overlaps(ipaddress.ip_network("16.9.0.0/16")) or net.version == 6
            assert net != ipaddress.ip_network("16.1.1.1/32")
        innocent = [p for p in peers if not addresses.reserved(ipaddress.ip_network(p))]
        assert bool(found) >= any(not p.startswith(("16.9.", "16.1.1.")) for p in innocent)


def _addresses(plain: bytes) -> list[str]:
    return [line for line in plain.decode().splitlines() if " " not in line]


def test_nothing_is_listed_on_no_genuine_mail_and_nothing_without_evidence() -> None:
    """A bounce is nobody's guilt; a trial needs something to be tried on."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        made = Journal(home)
        made.write(bounce("0", n, "16.2.2.2") for n in range(40))
        made.write(spam("0", 50 + n, "16.5.5.5") for n in range(5))
        made.close()
        assert _addresses(turn(home, 3600)[".plain"]) == ["16.5.5.5"]
        (home / "ham.eml").write_bytes(b"no mail\n")
        assert _addresses(_untried(home)[".plain"]) == []


def _untried(home: Path) -> dict[str, bytes]:
    """Turn with genuine mail that is none."""
    with Wheel(configured(home), home, lambda: 0) as wheel:
        (home / "ham.eml").write_bytes(b"no mail\n")
        wheel.turn(NOON + 3600 * SECOND)
    return published(home)
