"""Sendmail and AUTH, as far as Cyrus SASL lets it answer.

Must not be in here: any text that a stranger can see.

Source: srvrsmtp.c of Sendmail 8.17.1.
"""

from trapline.dialects import _sasl as sasl
from trapline.dialects._sendmail_base import SPACES, Base, Memory
from trapline.smtpwords import Act, Answer, Dialogue, State


class Auth(Base):
    """What AUTH does."""

    def auth(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if not talk.policy.offers_auth(talk):
            return self.answers.fixed("AUTH_UNAVAILABLE")
        if talk.user:
            return self.answers.fixed("AUTH_TWICE")
        if talk.state in (State.SENDER, State.RECIPIENT):
            return self.answers.fixed("AUTH_IN_MAIL")
        return self.slowed(self._authenticate(argument), "auth", memory)

    def _authenticate(self, argument: str) -> Answer:
        mechanism, _, rest = argument.partition(" ")
        initial = rest.strip(SPACES)
        if not mechanism:
            return self.answers.fixed("AUTH_NO_MECHANISM")
        if mechanism.upper() not in self.mechanisms:
            return self.say("AUTH_UNKNOWN", name=mechanism[:32])
        if not initial:
            return Answer(b"", Act.AUTH, verb=mechanism.upper())
        octets = b"" if initial == "=" else sasl.decoded(initial.encode("latin-1"))
        if octets is None:
            return self.say("BAD_INITIAL", text=initial)
        return Answer(b"", Act.AUTH, verb=mechanism.upper(), initial=octets)

    def nonce(self, talk: Dialogue) -> bytes:
        """Return the challenge of CRAM-MD5 as Cyrus SASL makes it."""
        return sasl.nonce(talk, self.identity)

    def challenge(self, octets: bytes, talk: Dialogue) -> bytes:  # noqa: ARG002
        """Return the reply that carries a challenge."""
        return self.say("CHALLENGE", text=sasl.encoded(octets)).reply

    def response(self, line: bytes, talk: Dialogue) -> bytes | Answer:  # noqa: ARG002
        """Decode a response, or answer why the dialogue ends here."""
        text = line.partition(b"\0")[0].removesuffix(b"\n").removesuffix(b"\r")
        if text == b"*":
            return self.answers.fixed("AUTH_ABORTED")
        octets = sasl.decoded(text)
        if octets is None:
            return self.say("AUTH_BAD_BASE64", text=text.decode("latin-1"))
        return octets

    def authenticated(self, mechanism: str, talk: Dialogue, *, accepted: bool) -> Answer:  # noqa: ARG002
        """Answer credentials."""
        return self.answers.fixed("AUTH_OK" if accepted else "AUTH_FAILED")

    def malformed(self, mechanism: str, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Answer a response that is not what the mechanism asks for."""
        return self.answers.fixed("AUTH_FAILED")
