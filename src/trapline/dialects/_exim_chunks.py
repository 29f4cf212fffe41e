"""Exim and BDAT: the commands between two chunks are read from within the message.

So their fate hangs on where the reader of the message stands, and Exim 4.96 dies of RSET
in the middle of a header line: nothing more is said, and the connection closes.

Must not be in here: any text that a stranger can see.

Source: bdat_getc() in smtp_in.c and receive_msg() in receive.c of Exim 4.96 (Debian).
"""

import re
from typing import Final

from trapline.dialects._exim_base import Base
from trapline.dialects._exim_memory import Memory, message_id
from trapline.dialects._exim_message import Place, read
from trapline.session import Content
from trapline.smtpwords import Act, Answer, Dialogue

CHUNK: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*(.*)", re.DOTALL)
UNSIGNED: Final = 2**32
LARGEST: Final = 2**64 - 1


class Chunks(Base):
    """What BDAT does, and what comes between one and the next."""

    def bdat(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        """Begin a message of chunks."""
        if not memory.chunking:
            return self.refuse("BDAT_UNADVERTISED", talk)
        if (found := CHUNK.fullmatch(argument)) is None:
            return self.refuse("BDAT_NO_SIZE", talk)
        memory.synchronous = True
        if not talk.recipients:
            refusal = self.no_recipients("BDAT", talk, memory)
            return Answer(
                refusal.reply,
                Act.CHUNK,
                size=_size(found[1]),
                at_once=True,
                hang_up=refusal.act is Act.CLOSE,
            )
        return self._chunk(found, memory)

    def between(self, verb: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: PLR0911 - one refusal a line
        """Answer a command between two chunks; "" is anything that is not in order."""
        match verb:
            case "QUIT":
                bye = self.say("BYE", host=self.identity.host)
                return self._given_up(bye.reply, memory)
            case "RSET":
                memory.free.discard("RSET")
                return self._aborted(self.say("RSET").reply, memory)
            case "NOOP" if not memory.astray:
                return self.say("NOOP")
            case "BDAT" if not memory.astray:
                return self._next(argument, talk, memory)
        if not memory.astray:
            memory.astray = True
            return Answer(self.refuse("NEED_BDAT", talk).reply)
        refusal = self.refuse("NEED_RSET", talk)
        if refusal.act is Act.CLOSE:
            return self._given_up(refusal.reply, memory)
        return refusal

    def chunk_read(self, size: int, talk: Dialogue) -> Answer:
        """Take a chunk that is not the last one."""
        memory = self.memory(talk)
        memory.reading = False
        if memory.place is not Place.BODY:
            memory.place = read(talk.content).place
        if memory.place is Place.REFUSED:
            memory.start()
            return self.say("HEADERS_NOT_CRLF", Act.RESET)
        return self.say("BDAT_OK", size=size)

    def chunks_received(self, content: Content, talk: Dialogue, memory: Memory) -> Answer:
        """Take a message of chunks, or say what is wrong with it."""
        if memory.farewell and not memory.zero:
            return Answer(memory.farewell + self.kept(talk, memory).reply)
        seen = read(content.octets)
        if not seen.total:
            return self.say("HEADERS_NOT_CRLF")
        if trouble := self.too_long(content, talk):
            return self.say(trouble)
        name = message_id(talk.now, memory)
        kept = self.say("CHUNKS_KEPT", size=memory.chunk, total=seen.total, id=name)
        return Answer(memory.farewell + kept.reply)

    def _next(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        if (found := CHUNK.fullmatch(argument)) is None:
            return self._aborted(self.refuse("BDAT_NO_SIZE", talk).reply, memory)
        if not _size(found[1]) and found[2].upper() != "LAST":
            memory.astray = memory.zero = True
            return Answer(self.refuse("BDAT_ZERO", talk).reply)
        return self._chunk(found, memory)

    def _chunk(self, found: re.Match[str], memory: Memory) -> Answer:
        memory.reading, memory.chunk = True, _size(found[1])
        last = found[2].upper() == "LAST"
        return Answer(b"", Act.CHUNK, size=memory.chunk, last=last)

    def _aborted(self, reply: bytes, memory: Memory) -> Answer:
        """Give the message up; within a header line the process dies before it answers."""
        match memory.place:
            case Place.LINE:
                return Answer(b"", Act.CLOSE)
            case Place.NO_HEADER:
                return self._as_data(reply, memory)
        memory.start()
        return Answer(reply, Act.RESET)

    def _given_up(self, reply: bytes, memory: Memory) -> Answer:
        """End the message; behind a header line the process takes that for its whole."""
        match memory.place:
            case Place.NOT_CRLF if memory.zero:
                memory.start()
                return Answer(reply + self.say("HEADERS_NOT_CRLF").reply, Act.RESET)
            case Place.BETWEEN | Place.NOT_CRLF:
                memory.farewell, memory.chunk = reply, 0
                return Answer(b"", Act.CHUNK, last=True)
            case Place.NO_HEADER if memory.zero:
                memory.place, memory.astray, memory.zero = Place.BODY, False, False
                return Answer(reply + self.say("BDAT_OK", size=0).reply)
            case Place.NO_HEADER:
                return self._as_data(reply, memory)
        return Answer(reply + self.say("LOST_IN_DATA").reply, Act.CLOSE)

    def _as_data(self, reply: bytes, memory: Memory) -> Answer:
        """Go on as if DATA had been said: everything up to a dot is message."""
        memory.reading = True
        return Answer(reply, Act.DATA)


def _size(digits: str) -> int:
    """Read a size as sscanf("%u") does."""
    size = min(LARGEST, int(digits[:40].lstrip("+-")))
    return (-size if digits[0] == "-" else size) % UNSIGNED
