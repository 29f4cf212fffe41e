"""Scanner: ask a ClamAV daemon on this machine what a message carries (clamd(8), INSTREAM).

Must not be in here: connections to anywhere else; a message of a stranger goes to a local
socket or the loopback, or nowhere.
"""

import ipaddress
import socket
from typing import Final

from trapline.config import ClamdSettings
from trapline.errors import ConfigError, TraplineError

CHUNK: Final = 2**16
REPLY: Final = 4096  # octets of an answer that are read


def infected(settings: ClamdSettings, octets: bytes) -> str:
    """Return what the scanner calls a message, "" where it finds nothing or is not set up.

    Raises:
        TraplineError: it does not answer, or not as clamd does.
        ConfigError: its address is not on this machine.
    """
    if not settings.address:
        return ""
    family, where = _place(settings.address)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as line:
            line.settimeout(settings.seconds)
            line.connect(where)
            line.sendall(b"zINSTREAM\0")
            for at in range(0, len(octets), CHUNK):
                chunk = octets[at : at + CHUNK]
                line.sendall(len(chunk).to_bytes(4, "big") + chunk)
            line.sendall(bytes(4))
            reply = _reply(line)
    except OSError as trouble:
        raise TraplineError(f"clamd at {settings.address}: {trouble}") from None
    return _verdict(reply, settings.address)


def _place(address: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    """Read an address: a path, or a loopback address with a port."""
    if address.startswith("/"):
        return socket.AF_UNIX, address
    host, _, port = address.rpartition(":")
    try:
        known = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        known = None
    if known is None or not known.is_loopback or not port.isdigit():
        want = "a socket's path or a loopback address with a port"
        raise ConfigError("clamd.address", address, want)
    family = socket.AF_INET6 if known.version == 6 else socket.AF_INET
    return family, (str(known), int(port))


def _reply(line: socket.socket) -> bytes:
    reply = b""
    while len(reply) < REPLY and not reply.endswith(b"\0"):
        if not (more := line.recv(REPLY)):
            break
        reply += more
    return reply.rstrip(b"\0\n")


def _verdict(reply: bytes, address: str) -> str:
    """Read ``stream: OK`` or ``stream: Eicar-Signature FOUND``."""
    text = reply.decode("utf-8", "replace").partition(": ")[2]
    if text == "OK":
        return ""
    if text.endswith(" FOUND"):
        return text.removesuffix(" FOUND")[:200]
    raise TraplineError(f"clamd at {address} answers {reply[:200]!r}")
