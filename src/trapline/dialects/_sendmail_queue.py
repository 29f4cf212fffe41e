"""Sendmail queue file names and dates: the clock in base 60, a counter, a process id.

Source: assign_queueid() in queue.c and arpadate() of Sendmail 8.17.1.
"""

import datetime as dt
from typing import Final

from trapline.persona import Identity
from trapline.smtpwords import Dialogue

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PIDS: Final = 2**22 - 700
FORKS: Final = 13  # seconds for ten processes: how fast a small mail host counts pids up


class QueueIds:
    """Makes queue ids for one installation."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.start = int.from_bytes(identity.digest("pid")[:3])

    def next(self, talk: Dialogue) -> str:
        """Return ``6ANFeXQR000123``: year to second, turn within the process, process."""
        pid: int = talk.scratch.setdefault("pid", self._pid(talk))
        first: int = talk.scratch.setdefault("turn", talk.now // 1000 % 3600)
        turn = (first + talk.messages) % 3600
        at = dt.datetime.fromtimestamp(talk.now // 10**9, dt.UTC)
        when = ((at.year - 1900) % 60, at.month - 1, at.day, at.hour, at.minute, at.second)
        numbers = (*when, turn // 60, turn % 60)
        return "".join(DIGITS[number] for number in numbers) + f"{pid:06d}"

    def _pid(self, talk: Dialogue) -> int:
        some = self.identity.digest("pid", talk.peer, str(talk.now))[0] % 8
        return 700 + (self.start + talk.now // 10**8 // FORKS + some) % PIDS


def date(now: int) -> str:
    """Return the date as Sendmail writes it, in UTC: ``Mon, 23 Nov 2026 09:09:04 GMT``."""
    at = dt.datetime.fromtimestamp(now // 10**9, dt.UTC)
    return f"{at:%a}, {at.day} {at:%b %Y %H:%M:%S} GMT"
