"""Delivery log: what Postfix or Exim let in and delivered, and whom our users wrote to.

Lines are joined by queue id.  Text of strangers stands inside them: fields are read by
patterns whose time grows with the line alone, and lines have a limit.  Lines that are
not understood are counted and the first ones kept, never passed over in silence.

Must not be in here: files (``genuine.py``), statistics.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from trapline.addresses import Network, inside, network, reserved
from trapline.analysis.trial import Item

LINE: Final = 4096  # characters of a line that are read
OPEN: Final = 100_000  # messages under way at once; the oldest is given up beyond that
SAMPLES: Final = 5  # lines not understood that are kept

# Syslog's old and new form.  Anchored: a stranger's text further on forges no line.
_HEAD: Final = r"(?:\w{3} +\d+ \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ "
_POSTFIX: Final = re.compile(_HEAD + r"(?:\w[\w.-]*/)+(\w+)\[\d+\]: (.*)")
_QUEUED: Final = re.compile(r"([0-9A-Za-z]{6,25}): (.*)")
_CLIENT: Final = re.compile(r"client=[^\[\s]*\[([0-9A-Fa-f:.]+)\]")
_ORIGINAL: Final = re.compile(r"orig_client=[^\[\s]*\[([0-9A-Fa-f:.]+)\]")
# What the far server said stands in parentheses behind, and may say anything.
_SENT: Final = re.compile(r"to=<([^>]*)>[^(]*, status=sent ")
_EXIM: Final = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?(?: \[\d+\])? (\S+) (.*)"
)
_EXIM_ID: Final = re.compile(r"\w{6}-\w{6}(?:\w{5})?-\w{2,4}")
_EXIM_HOST: Final = re.compile(r" H=(?:[^\s(]\S* )?(?:\(([^)\s]*)\) )?\[([0-9A-Fa-f:.]+)\]")
_EXIM_SUBJECT: Final = re.compile(r' T="((?:[^"\\]|\\.)*)"')
_TARGET: Final = re.compile(r"[=*-]> (\S+)(?: <([^>\s]*)>)?")
# What other programs write into the same file is no business of ours, and no riddle.
_OTHERS: Final = re.compile(_HEAD + r"[\w/.() -]+(?:\[\d+\])?: |\s*$")


class Log(msgspec.Struct):
    """What one log says; grows with every line taken."""

    source: str
    trusted: tuple[Network, ...] = ()
    items: list[Item] = []
    correspondents: set[str] = set()
    lines: int = 0
    unknown: int = 0  # lines that are no form we know
    samples: list[str] = []
    under_way: dict[str, "_Message"] = {}

    def take(self, lines: Iterable[str]) -> None:
        """Read lines; messages still under way at the end count where one was delivered."""
        for line in lines:
            self.lines += 1
            self._line(line[:LINE].rstrip("\r\n"))
        for queue_id in list(self.under_way):
            self._close(queue_id)

    @property
    def not_understood(self) -> str:
        """Say how many lines were not understood, with the first one; "" for none."""
        if not self.unknown:
            return ""
        few = f"{self.unknown} of {self.lines} lines not understood"
        return f"{few}, such as {self.samples[0]!r}"

    def _line(self, line: str) -> None:
        if found := _POSTFIX.match(line):
            self._postfix(found[1], found[2])
        elif found := _EXIM.match(line):
            if _EXIM_ID.fullmatch(found[1]):
                self._exim(found[1], found[2])
        elif not _OTHERS.match(line):
            self.unknown += 1
            if len(self.samples) < SAMPLES:
                self.samples.append(line[:200])

    def _postfix(self, daemon: str, rest: str) -> None:
        if (found := _QUEUED.match(rest)) is None:
            return
        queue_id, what = found[1], found[2]
        if what == "removed":
            self._close(queue_id)
        elif what.startswith("client=") and (client := _CLIENT.match(what)):
            self._close(queue_id)  # queue ids are used again
            original = _ORIGINAL.search(what)
            message = self._open(queue_id)
            message.peer = (original or client)[1]
            message.ours = " sasl_username=" in what
        elif what.startswith("from=<") and daemon == "qmgr":
            self._open(queue_id).sender = what[6:].partition(">")[0]
        elif what.startswith("to=<") and (sent := _SENT.match(what)):
            self._open(queue_id).delivered.append((sent[1], daemon == "smtp"))

    def _exim(self, queue_id: str, what: str) -> None:
        if what == "Completed":
            self._close(queue_id)
        elif what.startswith("<= "):
            message = self._open(queue_id)
            message.sender = what[3:].partition(" ")[0]
            if host := _EXIM_HOST.search(what):
                message.helo, message.peer = host[1] or "", host[2]
            if subject := _EXIM_SUBJECT.search(what):
                message.subject = subject[1]
            message.ours = " A=" in what
        elif what[:3] in ("=> ", "-> ") and (target := _TARGET.match(what)):
            remote = "T=remote_smtp" in what
            self._open(queue_id).delivered.append((target[2] or target[1], remote))

    def _open(self, queue_id: str) -> "_Message":
        if len(self.under_way) >= OPEN and queue_id not in self.under_way:
            self._close(next(iter(self.under_way)))
        return self.under_way.setdefault(queue_id, _Message())

    def _close(self, queue_id: str) -> None:
        """Make an item of a message that was delivered to anybody."""
        message = self.under_way.pop(queue_id, None)
        if message is None or not message.delivered:
            return
        stranger = _stranger(message.peer, self.trusted)
        if not stranger or message.ours:
            self.correspondents.update(to for to, remote in message.delivered if remote)
        sender = message.sender if "@" in message.sender else ""
        self.items.append(
            Item(
                name=f"{self.source} {queue_id}",
                source=self.source,
                about=f"from {message.sender or '<>'} {message.subject}".strip(),
                peers=(stranger,) if stranger else (),
                helos=(message.helo,) if message.helo and stranger else (),
                senders=(sender,) if sender else (),
                subjects=(message.subject,) if message.subject else (),
                recipients=tuple(to for to, _ in message.delivered),
            )
        )


class _Message(msgspec.Struct):
    """A message on its way through the log."""

    peer: str = ""
    helo: str = ""
    sender: str = ""
    subject: str = ""
    ours: bool = False  # handed in by somebody who gave a password
    delivered: list[tuple[str, bool]] = []  # to whom, and whether it left the house


def _stranger(peer: str, trusted: Sequence[Network]) -> str:
    """Return the client's address unless it is one of ours or of nobody's."""
    if (net := network(peer)) is None or any(inside(net, one) for one in trusted):
        return ""
    if reserved(net) not in ("", "documentation"):
        return ""
    return str(net.network_address)
