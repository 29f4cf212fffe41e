"""The lake's tables: which columns, of which type, taken from which fields.

A struct is its own schema: ``columns`` reads it off the annotations, so a table cannot
disagree with the words.  Must not be in here: files, the catalog, questions.
"""

import enum
import types
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from trapline.message import Facts

_DAY: Final = 86_400 * 10**9  # nanoseconds
DAYS: Final = f'SELECT DISTINCT "at" // {_DAY} FROM batch ORDER BY 1'  # noqa: S608 - a number

_PLAIN: Final[dict[type, str]] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
}

# Fields of the stamp, and of the kinds that questions are asked about most; the rest is
# in the ``event`` column as JSON.
STAMP: Final = {
    "at": "BIGINT",
    "sensor": "VARCHAR",
    "session": "VARCHAR",
    "peer": "VARCHAR",
    "port": "INTEGER",
    "local": "VARCHAR",
}
EVENT: Final = {
    "kind": "VARCHAR",
    "sender": "VARCHAR",
    "recipients": "VARCHAR[]",
    "refused": "VARCHAR[]",
    "helo": "VARCHAR",
    "user": "VARCHAR",
    "size": "BIGINT",
    "kept": "BIGINT",
    "content": "VARCHAR",
    "answer": "VARCHAR",
    "reason": "VARCHAR",
    "seconds": "DOUBLE",
    "received": "BIGINT",
    "sent": "BIGINT",
    "mechanism": "VARCHAR",
    "password": "VARCHAR",
    "accepted": "BOOLEAN",
    "what": "VARCHAR",
    "excerpt": "VARCHAR",
}
# Optional ones leave the JSON where they hold their default; questions want the default.
_ABSENT: Final = {"sensor": "''", "session": "''", "peer": "''", "port": "0", "local": "''"}


def columns(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the column types of a struct's JSON form."""
    return {field.encode_name: _type(field.type) for field in msgspec.structs.fields(kind)}


def _type(annotation: Any) -> str:  # noqa: ANN401 - any annotation there is
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        (annotation,) = (x for x in inner if x is not types.NoneType)
        return _type(annotation)
    if origin in (tuple, list):
        return _type(inner[0]) + "[]"
    if hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__)
    if issubclass(annotation, enum.StrEnum):
        return "VARCHAR"
    if issubclass(annotation, msgspec.Struct):
        return struct(columns(annotation))
    return _PLAIN[annotation]


def struct(fields: Mapping[str, str]) -> str:
    """Return the type of a struct column."""
    return f"STRUCT({', '.join(f'{quoted(name)} {kind}' for name, kind in fields.items())})"


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a literal; paths of ours, never what strangers sent."""
    return "'" + text.replace("'", "''") + "'"


SCHEMAS: Final[dict[str, dict[str, str]]] = {
    "entries": {"id": "VARCHAR"} | STAMP | EVENT | {"event": "VARCHAR"},
    "facts": columns(Facts),
}

# Tables that have changed make another lake: nobody reads old columns as new ones.
FORMAT: Final = "1-" + sha256(msgspec.json.encode(SCHEMAS)).hexdigest()[:12]


def entries_from(path: str) -> str:
    """Return the query that makes rows of ``entries`` from lines of id and record."""
    record = struct({"stamp": struct(STAMP), "event": "JSON"})
    read = _lines(path, {"id": "VARCHAR", "record": record})
    stamp = ", ".join(
        f"coalesce(s.{quoted(x)}, {_ABSENT[x]}) AS {quoted(x)}"
        if x in _ABSENT
        else f"s.{quoted(x)} AS {quoted(x)}"
        for x in STAMP
    )
    event = ", ".join(f"e.{quoted(x)} AS {quoted(x)}" for x in EVENT)
    shape = literal(msgspec.json.encode({x: _json(kind) for x, kind in EVENT.items()}).decode())
    return (
        f"SELECT id, {stamp}, {event}, event::VARCHAR AS event "  # noqa: S608 - our own names
        "FROM (SELECT id, record.stamp AS s, record.event AS event, "
        f"from_json(record.event, {shape}) AS e FROM {read})"
    )


def _json(kind: str) -> Any:  # noqa: ANN401 - a name, or a list of one
    return [kind.removesuffix("[]")] if kind.endswith("[]") else kind


def rows_from(table: str, path: str) -> str:
    """Return the query that makes rows of a derived table from JSON lines."""
    return f"SELECT * FROM {_lines(path, SCHEMAS[table])}"  # noqa: S608 - our own names


def of_day(day: int) -> str:
    """Return the query for the batch's rows of one day since 1970.

    They come as each writer wrote them; compaction puts them in order of time.
    """
    return f'SELECT * FROM batch WHERE "at" // {_DAY} = {day}'  # noqa: S608 - a number


def _lines(path: str, fields: Mapping[str, str]) -> str:
    kinds = ", ".join(f"{quoted(name)}: {literal(kind)}" for name, kind in fields.items())
    return (
        f"read_json({literal(path)}, format='newline_delimited', columns={{{kinds}}}, "
        "maximum_object_size=33554432, ignore_errors=true)"
    )


def view(table: str, paths: list[str]) -> str:
    """Return the query over all files of a table; without files, over no rows."""
    if paths:
        files = ", ".join(map(literal, paths))
        return f"SELECT * FROM read_parquet([{files}], hive_partitioning=false)"  # noqa: S608
    nothing = ", ".join(
        f"NULL::{kind} AS {quoted(name)}" for name, kind in SCHEMAS[table].items()
    )
    return f"SELECT {nothing} LIMIT 0"
