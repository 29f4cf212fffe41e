"""Postfix's idea of a valid domain, host name or address literal.

Source: valid_hostname(3), valid_mailhost_addr(3) and valid_utf8_hostname(3), 3.7.11.
"""

import re
from typing import Final

LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOSTNAME: Final = re.compile(rf"(?=.{{1,255}}\Z)(?=.*[A-Za-z_-]){LABEL}(?:\.{LABEL})*")
LONGEST_LITERAL: Final = 1024  # octets between [ and ]: more than any address has
HEX: Final = re.compile(r"[0-9a-fA-F]{1,4}")


def valid_domain(domain: str) -> bool:
    """Tell whether mail can be sent to ``domain`` (latin-1 of UTF-8, or a literal)."""
    if domain[:1] == "[":
        return valid_literal(domain)
    return valid_hostname(domain) or (not domain.isascii() and _valid_international(domain))


def valid_hostname(name: str) -> bool:
    """Tell whether a host could have this name; a purely numeric one is none."""
    return HOSTNAME.fullmatch(name) is not None


def valid_literal(literal: str) -> bool:
    """Tell whether this is ``[IPv4]`` or ``[IPv6:...]``."""
    if literal[:1] != "[" or literal.find("]") != len(literal) - 1:
        return False
    address = literal[1:-1]
    if address[:5].lower() == "ipv6:":
        return valid_ipv6(address[5:])
    return valid_ipv4(address)


def valid_ipv4(address: str) -> bool:
    """Tell whether this is a dotted quad; 0.0.0.0 is one, 0.1.2.3 is not."""
    parts = address.split(".")
    if len(parts) != 4 or not all(p.isdigit() and p.isascii() for p in parts):
        return False
    if any(int(p) > 255 for p in parts if len(p) < 9) or any(len(p) > 8 for p in parts):
        return False
    return int(parts[0]) != 0 or not address.strip("0.")


def valid_ipv6(address: str) -> bool:
    """Tell whether this is an IPv6 address, ``::`` and a dotted quad at the end allowed."""
    head, colons, quad = address.rpartition(":")
    if "." in quad:
        if not valid_ipv4(quad):
            return False
        address = f"{head}{colons}0:0"
    if address.count("::") > 1 or ":::" in address:
        return False
    fields = address.split(":")
    if not 3 <= len(fields) <= 8 or (len(fields) < 8 and "::" not in address):
        return False
    lone_colon = (not fields[0] and fields[1]) or (not fields[-1] and fields[-2])
    if lone_colon:
        return False
    return all(HEX.fullmatch(f) for f in fields if f)


def _valid_international(domain: str) -> bool:
    """Tell whether UTF-8 text is a domain: its IDNA form is a valid host name."""
    try:
        ascii_form = domain.encode("latin-1").decode("utf-8").encode("idna").decode("ascii")
    except UnicodeError:
        return False
    return valid_hostname(ascii_form)
