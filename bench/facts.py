"""What reading a message costs: microseconds of CPU for facts, structure and fingerprint.

    python bench/facts.py [FOLDER]    # of messages, one a file; without, made-up ones

The standard library's parser (compat32, structure only) is the yardstick in the same run:
the ratio holds on another machine, the microseconds do not.
"""

import email
import functools
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trapline.analysis import messages, mime
from trapline.analysis.fingerprint import fingerprint
from trapline.analysis.suspects import Docket
from trapline.events import Entry, MailOffered, Stamp
from trapline.message import Facts

MOST = 2000  # messages
ROUNDS = 3  # interleaved; the best of each counts
WORDS = ("offer", "watch", "order", "price", "quality", "customer", "delivery", "discount")


def main() -> None:
    """Print one line for each of what is measured."""
    mails = real(Path(sys.argv[1])) if len(sys.argv) > 1 else made_up()
    entries = [entry(number, octets) for number, octets in enumerate(mails)]
    pairs = list(zip(entries, mails, strict=True))
    found = [facts(pair) for pair in pairs]
    works: dict[str, tuple[Callable[[Any], object], Sequence[Any]]] = {
        "stdlib email, compat32": (email.message_from_bytes, mails),
        "mime.parse": (mime.parse, mails),
        "fingerprint": (fingerprint, mails),
        "facts": (facts, pairs),
    }
    weighed = list(zip(entries, found, strict=True))
    best = dict.fromkeys([*works, "docket.take"], float("inf"))
    for _ in range(ROUNDS):
        for name, (work, on) in works.items():
            best[name] = min(best[name], spent(work, on))
        judged = spent(functools.partial(tried, Docket()), weighed)
        best["docket.take"] = min(best["docket.take"], judged)
    mean = sum(map(len, mails)) / len(mails)
    print(f"{len(mails)} messages of {mean:,.0f} octets on average; CPU us each")
    yardstick = best["stdlib email, compat32"]
    for name, microseconds in best.items():
        print(f"{name:24} {microseconds:8.1f}   {microseconds / yardstick:5.2f} x stdlib")


def spent(work: Callable[[Any], object], on: Sequence[Any]) -> float:
    """Return the CPU microseconds of one call."""
    began = time.process_time()
    for one in on:
        work(one)
    return (time.process_time() - began) / len(on) * 1e6


def tried(docket: Docket, pair: tuple[Entry, Facts]) -> None:
    """Hold one message against whom it speaks."""
    docket.take(*pair)


def facts(pair: tuple[Entry, bytes]) -> Facts:
    """Read one message."""
    one, octets = pair
    if not isinstance(one.event, MailOffered):
        raise TypeError(one)
    return messages.facts(one.id, one.event, octets, one.stamp.peer, local=one.stamp.local)


def entry(number: int, octets: bytes) -> Entry:
    """Return the entry of a message, from one of 500 peers."""
    event = MailOffered(
        sender=f"s{number % 97}@spam.example",
        recipients=(f"r{number}@x.example", f"r{number + 1}@x.example"),
        content="",
        size=len(octets),
        kept=len(octets),
        helo=f"h{number % 11}.example",
    )
    peer = f"198.51.{number % 100}.{number % 5}"
    at = 1_790_000_000 * 10**9 + number * 10**9
    return Entry(
        id=f"0-1-{number}", stamp=Stamp(at=at, peer=peer, local="192.0.2.25:25"), event=event
    )


def real(folder: Path) -> list[bytes]:
    """Return messages from files, at most ``MOST``, the same each time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    random.Random(1).shuffle(files)  # noqa: S311 - dice of a benchmark
    return [path.read_bytes() for path in files[:MOST]]


def made_up() -> list[bytes]:
    """Return messages of 2 KB to 10 KB, half of them HTML."""
    dice = random.Random(1)  # noqa: S311 - dice of a benchmark
    found = []
    for number in range(500):
        text = " ".join(dice.choices(WORDS, k=dice.randrange(200, 1200)))
        body = f"{text} http://evil{number}.example/{number}"
        if number % 2:
            body = f"<html><p>{body}</p><a href='http://evil.example/{number}'>x</a></html>"
        kind = "html" if number % 2 else "plain"
        head = f"From: a@b.example\nSubject: offer {number}\nContent-Type: text/{kind}\n\n"
        found.append((head + body).encode())
    return found


if __name__ == "__main__":
    main()
