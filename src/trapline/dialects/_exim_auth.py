"""Exim and AUTH: the plaintext and cram_md5 authenticators as servers.

Must not be in here: any text that a stranger can see.

Source: smtp_in.c, auths/plaintext.c, auths/cram_md5.c and base64.c of Exim 4.96.
"""

import re
from typing import Final

from trapline.dialects import _sasl as sasl
from trapline.dialects._exim_base import BLANKS, Base
from trapline.dialects._exim_memory import Memory
from trapline.smtpwords import Act, Answer, Dialogue, State

MECHANISM: Final = re.compile(r"[A-Za-z0-9_-]*(?=[ \t\n\v\f\r]|\Z)")
USER: Final = "Username:"
PASSWORD: Final = b"Password:"
SPACES: Final = bytes(map(ord, BLANKS))


class Auth(Base):
    """What AUTH does."""

    def auth(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        """Begin an AUTH dialogue."""
        memory.free.discard("AUTH")
        if not memory.auth_offered:
            return self.refuse("AUTH_UNADVERTISED", talk)
        if talk.user:
            return self.refuse("AUTH_TWICE", talk)
        if talk.state in (State.SENDER, State.RECIPIENT):
            return self.refuse("AUTH_IN_MAIL", talk)
        if (found := MECHANISM.match(argument)) is None:
            return self.refuse("BAD_MECHANISM_NAME", talk)
        mechanism = found[0].upper()
        if mechanism not in self.mechanisms:
            return self.refuse("UNKNOWN_MECHANISM", talk, name=found[0])
        return self._begin(mechanism, argument[found.end() :].strip(BLANKS))

    def _begin(self, mechanism: str, data: str) -> Answer:
        if not data:
            return Answer(b"", Act.AUTH, verb=mechanism)
        if mechanism == "CRAM-MD5":
            return self.say("INITIAL_UNEXPECTED")
        initial = b"" if data == "=" else decoded(data.encode("latin-1"))
        if initial is None:
            return self.say("BAD_BASE64")
        return Answer(b"", Act.AUTH, verb=mechanism, initial=initial)

    def lost(self, rest: bytes, talk: Dialogue) -> bytes:
        """Take the end of the connection for answers without a word in them."""
        asked, farewell = self.memory(talk).asked, super().lost(rest, talk)
        if not asked:
            return farewell
        if decoded(rest) is None:
            return self.say("BAD_BASE64").reply + farewell
        more = self.challenge(PASSWORD, talk) if asked == (USER,) else b""
        return more + self.say("AUTH_REFUSED").reply + farewell

    def nonce(self, talk: Dialogue) -> bytes:
        """Return the challenge of CRAM-MD5."""
        pid, seconds = self.memory(talk).pid, talk.now // 10**9
        return f"<{pid}.{seconds}@{self.identity.host}>".encode()

    def challenge(self, octets: bytes, talk: Dialogue) -> bytes:
        """Return the reply that carries a challenge."""
        self.memory(talk).asked += (octets.decode("latin-1"),)
        return self.say("CHALLENGE", text=sasl.encoded(octets)).reply

    def response(self, line: bytes, talk: Dialogue) -> bytes | Answer:  # noqa: ARG002
        """Decode a response, or answer why the dialogue ends here."""
        text = line.removesuffix(b"\n").removesuffix(b"\r").partition(b"\0")[0]
        if text == b"*":
            return self.say("CANCELLED")
        octets = decoded(text) if line[-1:] == b"\n" else None
        return self.say("BAD_BASE64") if octets is None else octets

    def authenticated(
        self,
        mechanism: str,  # noqa: ARG002
        talk: Dialogue,  # noqa: ARG002
        *,
        accepted: bool,
    ) -> Answer:
        """Answer credentials."""
        return self.say("AUTH_OK" if accepted else "AUTH_REFUSED")

    def malformed(self, mechanism: str, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Answer a response that is not what the mechanism asks for."""
        return self.say("AUTH_REFUSED")


def decoded(text: bytes) -> bytes | None:
    """Decode base64, blanks anywhere in it."""
    return sasl.decoded(text.translate(None, SPACES))
