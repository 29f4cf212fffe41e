"""What Cyrus SASL does to the AUTH dialogues of Postfix and Sendmail.

Source: sasl_decode64() and the CRAM-MD5 plug-in of Cyrus SASL 2.1.28.
"""

import base64
import binascii
import re
from typing import Final

from trapline.persona import Identity
from trapline.smtpwords import Dialogue

BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def decoded(text: bytes) -> bytes | None:
    """Decode base64 strictly; None: it is none."""
    if not BASE64.fullmatch(text):
        return None
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return None


def encoded(octets: bytes) -> str:
    """Encode as base64 text."""
    return base64.b64encode(octets).decode()


def nonce(talk: Dialogue, identity: Identity) -> bytes:
    """Return ``<digits.seconds@host>``: new each time, foreseen by nobody without the seed."""
    digest = identity.digest("cram", str(talk.now), talk.peer, str(talk.errors))
    number = int.from_bytes(digest[:8]) % 10**10
    return f"<{number}.{talk.now // 10**9}@{identity.host}>".encode()
