"""The PROXY protocol, versions 1 and 2: whom a trusted host in front of us speaks for.

A pure parser: octets in, a header or "more" or "wrong" out.

Must not be in here: sockets, whom to trust (``door``).

Source: "The PROXY protocol", W. Tarreau, 2020/03/05,
https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
"""

import ipaddress
import struct
from typing import Final

import msgspec

from trapline.session import Endpoint

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
LONGEST_LINE: Final = 107  # octets of a version 1 line with its CR LF
HEAD: Final = 16  # octets of version 2 in front of the addresses
MOST: Final = 4096  # octets of version 2 that we take in all, TLVs included
_PORT: Final = 65_535
_LOCAL, _PROXY = 0x20, 0x21  # version 2 and the command
_SIZES: Final = {0x11: 4, 0x21: 16}  # TCP over IPv4, TCP over IPv6


class Wrong(Exception):  # noqa: N818 - what a peer did
    """No PROXY header, or a broken one."""


class Header(msgspec.Struct, frozen=True):
    """A header: ``octets`` long; who speaks to whom, None where the proxy speaks itself."""

    octets: int
    peer: Endpoint | None = None
    local: Endpoint | None = None


def parse(octets: bytes) -> Header | None:
    """Read a header from the first octets of a connection; None: it is not whole yet.

    Raises:
        Wrong: it is no header; the text says why.
    """
    if octets.startswith(SIGNATURE):
        return _binary(octets)
    if SIGNATURE.startswith(octets[:12]):
        return None
    if octets.startswith(b"PROXY ") or b"PROXY ".startswith(octets):
        return _line(octets)
    raise Wrong("no PROXY header")


def _line(octets: bytes) -> Header | None:
    """Read version 1: ``PROXY TCP4 192.0.2.1 192.0.2.2 40000 25 CR LF``."""
    end = octets.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(octets) >= LONGEST_LINE:
            raise Wrong("version 1 line too long")
        return None
    # Split by single spaces: the specification allows no others.
    words = octets[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return Header(end + 2)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise Wrong("version 1 line malformed")
    version = 4 if words[1] == "TCP4" else 6
    return Header(
        end + 2,
        Endpoint(_address(words[2], version), _port(words[4])),
        Endpoint(_address(words[3], version), _port(words[5])),
    )


def _address(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Wrong("version 1 address malformed") from None
    if address.version != version or "%" in text:
        raise Wrong("version 1 address of the other family")
    return str(address)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5) or int(text) > _PORT:
        raise Wrong("version 1 port malformed")
    return int(text)


def _binary(octets: bytes) -> Header | None:
    """Read version 2: signature, command, family, length, addresses, TLVs (ignored)."""
    if len(octets) < HEAD:
        return None
    command, family, length = octets[12], octets[13], int.from_bytes(octets[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise Wrong("version 2 with another version or command")
    if HEAD + length > MOST:
        raise Wrong("version 2 header too long")
    if len(octets) < HEAD + length:
        return None
    if command == _LOCAL or family == 0:
        return Header(HEAD + length)
    if (size := _SIZES.get(family)) is None:
        raise Wrong("version 2 family or transport not served")
    if length < 2 * size + 4:
        raise Wrong("version 2 addresses cut short")
    source, target, source_port, target_port = struct.unpack_from(
        f"!{size}s{size}sHH", octets, HEAD
    )
    return Header(
        HEAD + length,
        Endpoint(str(ipaddress.ip_address(source)), source_port),
        Endpoint(str(ipaddress.ip_address(target)), target_port),
    )
