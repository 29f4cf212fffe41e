"""Attachments: named by digest, and told dangerous by name, type or first octets.

Nothing is unpacked or opened: an archive's list of names is read as it stands.
Must not be in here: scanners (a shell asks them), the structure of messages (``mime``).
"""

import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from trapline.analysis import headers
from trapline.analysis.mime import Part
from trapline.message import Attachment

ATTACHMENTS: Final = 50  # listed of one message
NAME: Final = 200  # characters of a name
_ENTRIES: Final = 100  # names read of an archive
_LOOKED: Final = 256 * 2**10  # octets of HTML or an office file that are searched

_BY_SUFFIX: Final = {
    suffix: why
    for why, suffixes in {
        "program": "exe scr com pif cpl dll sys ocx msi msix appx apk jar app elf deb rpm run",
        "script": "js jse vbs vbe wsf wsh hta ps1 psm1 bat cmd reg inf sct wsc",
        "shortcut": "lnk url desktop scf settingcontent-ms library-ms search-ms",
        "disk image": "iso img vhd vhdx udf dmg",
        "office file with macros": "docm dotm xlsm xltm xlam pptm potm ppam ppsm sldm xll wll",
        "help or note that runs code": "chm hlp one onepkg",
    }.items()
    for suffix in suffixes.split()
}
_BY_TYPE: Final = {
    "application/x-msdownload": "program",
    "application/x-msdos-program": "program",
    "application/x-dosexec": "program",
    "application/vnd.microsoft.portable-executable": "program",
    "application/hta": "script",
    "application/x-ms-shortcut": "shortcut",
    "application/x-iso9660-image": "disk image",
}
_BY_MAGIC: Final = (
    (b"MZ", "Windows program"),
    (b"\x7fELF", "Linux program"),
    (b"L\0\0\0\x01\x14\x02\0", "shortcut"),
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MACROS: Final = "_VBA_PROJECT".encode("utf-16-le")
_ZIP_NAME: Final = re.compile(rb"PK\x03\x04.{22}(..)(..)", re.DOTALL)
_SMUGGLING: Final = re.compile(
    rb"(?i)\batob\s*\(|new\s+blob\b|mssaveoropenblob|createobjecturl|string\.fromcharcode"
    rb"|document\.write\s*\(\s*unescape|\beval\s*\("
)


def of(parts: Iterator[Part]) -> Iterator[Attachment]:
    """Yield what a message carries besides its text."""
    for part in islice((p for p in parts if is_file(p)), ATTACHMENTS):
        content = part.content()
        name = headers.decoded(part.name)[:NAME]
        yield Attachment(
            name=name,
            type=part.type[:100],
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            danger=danger(name, part.type, content),
        )


def is_file(part: Part) -> bool:
    """Tell whether a part is meant to be saved rather than read."""
    if part.disposition == "attachment" or part.name:
        return True
    return not part.type.startswith(("text/", "message/"))


def danger(name: str, kind: str, content: bytes) -> str:
    """Return why an attachment may harm who opens it, or ""."""
    for magic, why in _BY_MAGIC:
        if content.startswith(magic) and len(content) > 64:
            return why
    if why := _BY_SUFFIX.get(_suffix(name)) or _BY_TYPE.get(kind, ""):
        return why
    if content.startswith(b"PK\x03\x04"):
        return _in_zip(content)
    if content.startswith(_OLE):
        return "office file with macros" if _MACROS in content else ""
    if kind == "text/html" or _suffix(name) in {"htm", "html", "shtml", "xhtml", "svg"}:
        head = content[:_LOOKED]
        hides = b"<script" in head.lower() and _SMUGGLING.search(head)
        return "page that unpacks a file (HTML smuggling)" if hides else ""
    return ""


def _in_zip(content: bytes) -> str:
    for found in islice(_ZIP_NAME.finditer(content), _ENTRIES):
        name = content[found.end() : found.end() + int.from_bytes(found[1], "little")]
        text = name.decode("cp437").lower()
        if text.endswith("vbaproject.bin"):
            return "office file with macros"
        if why := _BY_SUFFIX.get(_suffix(text)):
            return f"archive holding a {why}"
    return ""


def _suffix(name: str) -> str:
    """Return the suffix that Windows would act on: trailing dots and spaces do not count."""
    name = name.replace("\u202e", "").rstrip(" .\x00\t").lower()
    return name.rpartition(".")[2] if "." in name else ""
