"""AUTH dialogues (RFC 4954): PLAIN, LOGIN, CRAM-MD5, credentials captured to the octet.

Must not be in here: wording (dialect), and who gets in (policy).
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec

from trapline.events import AuthTried
from trapline.smtpwords import Answer, Dialogue
from trapline.traps._policy import Policy

if TYPE_CHECKING:
    from trapline.traps._engine import Trap

RESPONSE: Final = 12288  # octets of one response, as Postfix and RFC 4954 have it


class Tried(msgspec.Struct, frozen=True):
    """Credentials as offered; ``password`` is None where only a digest crossed the wire."""

    user: bytes
    password: bytes | None
    challenge: bytes = b""
    response: bytes = b""


class _Ended(Exception):  # noqa: N818 - the dialogue's end, not an error
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


Ask = Callable[[bytes], Awaitable[bytes]]


async def authenticate(trap: "Trap", begun: Answer) -> Answer:
    """Hold the dialogue that ``begun`` opened and return its last answer, unsent."""
    session, dialect, talk = trap.session, trap.dialect, trap.talk

    async def ask(challenge: bytes) -> bytes:
        await session.write(dialect.challenge(challenge, talk))
        line = await session.read_line(RESPONSE)
        rest = line
        while rest[-1:] != b"\n":
            rest = await session.read_line(RESPONSE)
        response = dialect.response(line, talk)
        if isinstance(response, Answer):
            trap.odd("bad-auth", line)
            raise _Ended(response)
        return response

    try:
        match begun.verb:
            case "PLAIN":
                tried = await _plain(ask, begun.initial)
            case "LOGIN":
                tried = await _login(ask, begun.initial)
            case _:
                tried = await _cram(ask, dialect.nonce(talk))
    except _Ended as ended:
        return ended.answer
    if tried is None:
        trap.odd("bad-auth", b"AUTH " + begun.verb.encode())
        return dialect.malformed(begun.verb, talk)
    talk.claimed = _text(tried.user)
    accepted = _judge(trap.policy, talk, tried)
    if accepted:
        talk.user = talk.claimed
    session.note(_event(begun.verb, tried, accepted=accepted))
    return dialect.authenticated(begun.verb, talk, accepted=accepted)


async def _plain(ask: Ask, initial: bytes | None) -> Tried | None:
    """Ask for authorization identity, NUL, user, NUL, password (RFC 4616)."""
    parts = (await ask(b"") if initial is None else initial).split(b"\0")
    return Tried(parts[1], parts[2]) if len(parts) == 3 else None


async def _login(ask: Ask, initial: bytes | None) -> Tried | None:
    """Ask for user, then password, as the de-facto LOGIN does."""
    user = await ask(b"Username:") if initial is None else initial
    return Tried(user, await ask(b"Password:"))


async def _cram(ask: Ask, challenge: bytes) -> Tried | None:
    """Ask for user, space, digest (RFC 2195)."""
    response = await ask(challenge)
    user, blank, _ = response.rpartition(b" ")
    return Tried(user, None, challenge, response) if blank else None


def _judge(policy: Policy, talk: Dialogue, tried: Tried) -> bool:
    """Ask the policy; a digest is compared with that of the bait it would be."""
    password = tried.password
    if password is None:
        password = next(
            (p for u, p in policy.baits if u == tried.user and _digest_fits(p, tried)), b"\0"
        )
    return policy.credentials_work(talk.peer, tried.user, password)


def _digest_fits(password: bytes, tried: Tried) -> bool:
    digest = hmac.new(password, tried.challenge, hashlib.md5).hexdigest()
    return hmac.compare_digest(digest.encode(), tried.response.rpartition(b" ")[2])


def _event(mechanism: str, tried: Tried, *, accepted: bool) -> AuthTried:
    crammed = tried.password is None
    return AuthTried(
        mechanism=mechanism,
        user=_text(tried.user),
        password=_text(tried.password or b""),
        accepted=accepted,
        response=_text(tried.challenge + b" " + tried.response) if crammed else "",
    )


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")
