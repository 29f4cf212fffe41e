"""What Cyrus SASL does to the AUTH dialogues of Postfix and Sendmail.

Source: sasl_decode64() and the CRAM-MD5 plug-in of Cyrus SASL 2.1.28.
"""

import base64
import re
from typing import Final

from trapline.persona import Identity
from trapline.smtpwords import Dialogue

BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def decoded(text: bytes) -> bytes | None:
    """Decode base64 strictly; None: it is none."""
    return base64.b64decode(text) if BASE64.fullmatch(text) else None


def from_base64(text: bytes) -> tuple[bytes, str]:
    """Decode base64; the second value names the refusal if it is none, else it is ""."""
    if text[:1] == b"\r":
        return b"", "BASE64_FAILS"
    whole = len(text) // 4 * 4
    if not BASE64.fullmatch(text[:whole]) or (whole < len(text) and text[:whole][-1:] == b"="):
        return b"", "BAD_BASE64"
    if whole < len(text):
        return b"", "SHORT_BASE64"
    return base64.b64decode(text), ""


def encoded(octets: bytes) -> str:
    """Encode as base64 text."""
    return base64.b64encode(octets).decode()


def nonce(talk: Dialogue, identity: Identity) -> bytes:
    """Return ``<digits.seconds@host>``: new each time, foreseen by nobody without the seed."""
    digest = identity.digest("cram", str(talk.now), talk.peer, str(talk.errors))
    number = int.from_bytes(digest[:8]) % 10**10
    return f"<{number}.{talk.now // 10**9}@{identity.host}>".encode()
