"""Dots at the start of lines: where the data of a message end, and what is stuffed in it.

Must not be in here: reading, limits, what a dialogue is for.

Source: RFC 5321 sections 4.1.1.4 and 4.5.2; what loose servers take for an end is
CVE-2023-51764 and its kin.
"""

from typing import Final

import stringzilla

END: Final = b"\r\n.\r\n"
BARE: Final = b"\n.\n"  # ends the data for loose servers, and so does
TWICE: Final = b"\n.\r\r\n"
SPLIT: Final = len(TWICE)  # octets that may be the beginning of the end


def only_end_of_data(chunk: bytes, start: int) -> int:
    """Return where data that begin at ``start`` end if no other line begins with a dot, else 0.

    One search that means the same to all servers; a message without any line is left to
    ``end_of_data`` as well.
    """
    end = stringzilla.find(chunk, b"\n.", start) + 1
    sound = end >= start + 2 and chunk[end - 2 : end + 3] == END
    return end if sound and not chunk.startswith(b".", start) else 0


def bare_first_line(window: bytes, start: int) -> bool | None:
    """Tell whether the line that goes on at ``start`` ends with a bare LF; None: not yet."""
    at = window.find(b"\n", start)
    return None if at < 0 else window[at - 1 : at] != b"\r"


def end_of_data(window: bytes, *, loose: bool) -> tuple[int, int] | None:
    """Find where the message ends and where the next command begins."""
    if not loose:
        at = stringzilla.find(window, END)
        return None if at < 0 else (at + 2, at + 5)
    if len(window) < len(BARE):
        return None
    at = stringzilla.find(window, b"\n.\r\n")
    length, stop = (4, at + 1) if at >= 0 else (0, len(window))
    for end in (BARE, TWICE):  # they count only if they come before
        if (found := stringzilla.find(window, end, 0, stop)) >= 0:
            at, length, stop = found, len(end), found + 1
    return (at + 1, at + length) if length else None


def undotted(piece: bytes, *, line_start: bool) -> bytes:
    """Undo dot-stuffing; ``line_start`` tells whether CR LF came just before the piece."""
    if line_start and piece[:1] == b".":
        piece = piece[1:]
    if stringzilla.find(piece, b"\r\n.") >= 0:
        piece = piece.replace(b"\r\n.", b"\r\n")
    return piece
