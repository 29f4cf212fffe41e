"""What Exchange says of a message it took: whose id, its own number, and how fast it was.

Source: transcripts named in ``personas/exchange-2019.toml``.
"""

import re
from typing import Final

from trapline.persona import Identity
from trapline.smtpwords import Dialogue

MESSAGE_ID: Final = re.compile(
    rb"^message-id:[ \t]*(?:\r?\n[ \t]+)?(<[!-~]{1,250}>)", re.IGNORECASE | re.MULTILINE
)
HEADER: Final = 16384  # octets in which a Message-ID is looked for
TICK: Final = 16_384  # ns: the internal number is a clock that never stands still


def receipt(
    octets: bytes | bytearray, talk: Dialogue, identity: Identity, began: int
) -> dict[str, object]:
    """Return the fields of the reply to a message that began to come at ``began`` (ns)."""
    head = bytes(octets[:HEADER]).partition(b"\r\n\r\n")[0]
    found = MESSAGE_ID.search(head)
    number = talk.now // TICK + talk.messages
    seconds = max(talk.now - began, 1_000_000) / 1e9
    return {
        "id": found[1].decode() if found else f"<{guid(number, identity)}@{identity.host}>",
        "number": number,
        "size": len(octets),
        "seconds": f"{seconds:.3f}",
        "speed": f"{len(octets) / 1024 / seconds:.3f}",
    }


def guid(number: int, identity: Identity) -> str:
    """Return the id that a message without one is given."""
    digits = identity.digest("guid", str(number)).hex()
    cut = (digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32])
    return "-".join(cut)
