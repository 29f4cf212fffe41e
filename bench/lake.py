"""How fast a journal becomes answers: catching up, top lists, compaction, the disk it takes.

The journal is made here: sessions, mail and dropped envelopes as a relay trap sees them,
without bodies (the lake never reads one).
"""

import argparse
import hashlib
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trapline import journal
from trapline.events import Event, MailOffered, SessionClosed, SessionOpened, Stamp
from trapline.lake import Lake

DIALOGUE: Final = (
    (0, "S", "220 mail.example ESMTP Postfix\r\n"),
    (3, "C", "EHLO sender.example\r\n"),
    (3, "S", "250-mail.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n"),
    (9, "C", "MAIL FROM:<offers@sender.example>\r\nRCPT TO:<somebody@recipient.example>\r\n"),
)
MAIL: Final = "FROM entries WHERE kind = 'mail.offered' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"
QUESTIONS: Final = {
    "top peers": f"SELECT peer, count(*) {MAIL}",
    "top senders": f"SELECT sender, count(*) {MAIL}",
    "top sender domains": f"SELECT lower(split_part(sender, '@', -1)), count(*) {MAIL}",
    "top recipients": "SELECT recipient, count(*) FROM (SELECT unnest(recipients) AS recipient "
    "FROM entries WHERE kind = 'mail.offered') GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
}


def made_up(dice: random.Random) -> Iterator[Event]:
    """Yield the events of sessions for ever."""
    while True:
        yield SessionOpened()
        sender = (
            f"user{dice.randrange(20_000)}@domain{int(dice.paretovariate(0.8)) % 5000}.test"
        )
        recipients = tuple(
            f"to{dice.randrange(200_000)}@recipient{dice.randrange(50)}.test"
            for _ in range(dice.randrange(1, 4))
        )
        content = hashlib.sha256(sender.encode()).hexdigest()
        yield MailOffered(
            sender=sender, recipients=recipients, content=content, size=2048, kept=2048,
            helo="sender.example", answer="250 2.0.0 Ok: queued as 4F2kXq1Zz",
        )  # fmt: skip
        yield SessionClosed(
            seconds=1.5, received=2300, sent=400, reason="quit", dialogue=DIALOGUE
        )


def fill(directory: Path, count: int) -> None:
    """Write that many entries with two writers, over three days."""
    dice = random.Random(1)  # noqa: S311 - not a secret
    hands = [journal.Writer(directory, name, reserve_octets=0) for name in "01"]
    step = 3 * 86_400 * 10**9 // count
    for n, event in zip(range(count), made_up(dice), strict=False):
        session = n // 3
        stamp = Stamp(
            at=1_763_856_000_000_000_000 + n * step,
            sensor="relay",
            session=f"s{session}",
            peer=f"198.51.{session * 7919 % 250}.{int(dice.paretovariate(0.5)) % 250}",
            port=40000,
            local="192.0.2.25:25",
        )
        hands[session % 2].append(stamp, event)
        if n % 1000 == 999:
            for hand in hands:
                hand.commit()
    for hand in hands:
        hand.commit()
        hand.close()


def size(directory: Path) -> float:
    """Return the MB in a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.place) as name:
        place = Path(name)
        fill(place / "journal", options.entries)
        with Lake(place / "lake") as lake:
            start, cpu = time.perf_counter(), time.process_time()
            taken = lake.catch_up(place / "journal")
            wall, cpu = time.perf_counter() - start, time.process_time() - cpu
            print(f"caught up {taken} entries in {wall:.1f} s: {taken / wall:,.0f}/s, "
                  f"{cpu / taken * 1e6:.1f} us CPU each")  # fmt: skip
            ask(lake)
            start = time.perf_counter()
            merged = lake.compact()
            print(f"compacted {merged} files in {time.perf_counter() - start:.1f} s")
            ask(lake)
        print(f"journal {size(place / 'journal'):.0f} MB, lake {size(place / 'lake'):.0f} MB")


def ask(lake: Lake) -> None:
    """Ask all questions once and print how long each took."""
    total = 0.0
    for title, question in QUESTIONS.items():
        start = time.perf_counter()
        rows = lake.query(question)
        spent = time.perf_counter() - start
        total += spent
        print(f"  {title:20} {len(rows):3d} rows {spent * 1e3:7.0f} ms")
    print(f"  {'all':20}          {total * 1e3:7.0f} ms")


if __name__ == "__main__":
    main()
