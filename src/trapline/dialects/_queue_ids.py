"""Postfix queue file names: the clock's microseconds and the file's inode.

The clock is the session's; the inode wanders among few numbers near one that is stable per
install, as on a spool whose files come and go.

Source: mail_queue.h of Postfix 3.7.11 (short and long form).
"""

from typing import Final

from trapline.persona import Identity
from trapline.smtpwords import Dialogue

SAFE: Final = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"  # base 52, no vowels
SPREAD: Final = 48  # inodes that a small spool has in use by turns
STEP: Final = 1_873_219  # ns between two messages of one session at the least


class QueueIds:
    """Makes queue ids for one installation."""

    def __init__(self, identity: Identity, *, long_form: bool) -> None:
        digest = identity.digest("queue")
        self.long_form = long_form
        self.inode = 0x20000 + int.from_bytes(digest[:3]) % 0x3E0000
        self.steps = digest[3:]
        self.made = 0

    def next(self, talk: Dialogue) -> str:
        """Return the id of the message that a session hands over now."""
        made = self.made = self.made + 1
        at = (talk.now + talk.messages * STEP) // 1000
        inode = self.inode + (self.steps[made % len(self.steps)] + made) % SPREAD
        if not self.long_form:
            return f"{at % 1_000_000:05X}{inode:X}"
        seconds, micro = divmod(at, 1_000_000)
        return f"{_digits(seconds, 52, 6)}{_digits(micro, 52, 4)}z{_digits(inode, 51, 1)}"


def _digits(number: int, base: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, base)
        digits = SAFE[digit] + digits
    return digits.rjust(width, SAFE[0])
