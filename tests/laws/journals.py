"""Journals made by hand: spam, bounces, guesses and withdrawals, at any time, by any writer."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from trapline import config, journal
from trapline.config import Config
from trapline.events import AuthTried, Event, ListingWithdrawn, MailOffered, Stamp

SECOND = 1_000_000_000
NOON = 20_000 * 86_400 * SECOND  # where the tests' time begins

HAM = b"""\
Received: from mx.friend.example ([16.1.1.1]) by mx.ours.example; x
From: friend@friend.example
To: us@ours.example
Subject: lunch
Date: x

See you.
"""


class Step(msgspec.Struct, frozen=True):
    """One entry to be: who writes it, when (s after NOON), what; ``body`` of a message."""

    writer: str
    at: float
    event: Event
    peer: str = ""
    body: bytes = b""


def spam(writer: str, at: float, peer: str, **more: str) -> Step:
    """Return a message that sells something, to twelve recipients."""
    subject = more.get("subject", "Cheap pills")
    sender = more.get("sender", "win@spam.example")
    body = f"Subject: {subject}\r\nFrom: {sender}\r\n\r\nhttp://pills.example/\r\n".encode()
    event = MailOffered(
        sender=sender,
        recipients=tuple(f"v{n}@victim.example" for n in range(12)),
        content=hashlib.sha256(body).hexdigest(),
        size=len(body),
        kept=len(body),
        helo=more.get("helo", "bad.example"),
    )
    return Step(writer, at, event, peer, body)


def bounce(writer: str, at: float, peer: str) -> Step:
    """Return a bounce with a sender, which only its body tells."""
    body = b"From: MAILER-DAEMON@x.example\r\nAuto-Submitted: auto-replied\r\n\r\nnot here\r\n"
    event = MailOffered(
        sender="postmaster@x.example",
        recipients=("a@victim.example",),
        content=hashlib.sha256(body).hexdigest(),
        size=len(body),
        kept=len(body),
    )
    return Step(writer, at, event, peer, body)


def guess(writer: str, at: float, peer: str) -> Step:
    """Return a guess at a password."""
    event = AuthTried(mechanism="PLAIN", user="root", password="x", accepted=False)  # noqa: S106
    return Step(writer, at, event, peer)


def withdrawal(writer: str, at: float, indicator: str, days: float = 0) -> Step:
    """Return an operator's word."""
    until = NOON + int((at + days * 86_400) * SECOND) if days else 0
    return Step(writer, at, ListingWithdrawn(indicator=indicator, reason="ours", until=until))


class Journal:
    """A journal under way, with several writers."""

    def __init__(self, home: Path) -> None:
        self.home, self._writers = home, dict[str, journal.Writer]()

    def write(self, steps: Iterable[Step]) -> None:
        """Append steps, each by its writer, and commit."""
        for step in steps:
            if step.writer not in self._writers:
                self._writers[step.writer] = journal.Writer(
                    self.home / "journal", step.writer, reserve_octets=0
                )
            stamp = Stamp(
                at=NOON + int(step.at * SECOND), sensor="relay", session="s", peer=step.peer
            )
            self._writers[step.writer].append(stamp, step.event, step.body)
        for writer in self._writers.values():
            writer.commit()

    def close(self) -> None:
        """Seal everything."""
        for writer in self._writers.values():
            writer.close()


def configured(home: Path, **court: object) -> Config:
    """Return a configuration that publishes live into the home, tried on one message."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "ham.eml").write_bytes(HAM)
    formats = ("plain", "postfix", "nftables", "rbldnsd", "json")
    return config.check(
        {
            "court": {"publish": "live", "list": ["host", "network", "sender"], **court},
            "allow": {"networks": ["16.9.0.0/16"]},
            "genuine": {"mail": [str(home / "ham.eml")]},
            "publish": [{"kind": f, "path": str(home / f"list.{f}")} for f in formats],
        }
    )


def published(home: Path) -> dict[str, bytes]:
    """Return what is published, by format."""
    return {path.suffix: path.read_bytes() for path in sorted(home.glob("list.*"))}
