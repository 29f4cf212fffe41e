"""Explain: convert a tree of plain values to a Struct, and word what is wrong with it.

Types say in their ``Meta(description=...)`` what would be right; msgspec finds the place.
"""

import re
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from trapline.errors import ConfigError

T = TypeVar("T")

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    bool: "true or false",
    bytes: "a text in quotes",
}


def convert(tree: Any, kind: type[T], where: str) -> T:  # noqa: ANN401 - any TOML value
    """Return the tree as a ``kind``, which is a Struct.

    Raises:
        ConfigError: ``where`` and the path inside the tree, the value, what is right.
    """
    try:
        return msgspec.convert(tree, kind, strict=True)
    except msgspec.ValidationError as trouble:
        found = _PLACE.match(str(trouble))
        what, path = (found["what"], found["path"] or "$") if found else (str(trouble), "$")
        raise _worded(tree, kind, where, what, path) from None


def _worded(tree: Any, kind: Any, where: str, what: str, path: str) -> ConfigError:  # noqa: ANN401
    """Find the value and the type at the path, and say what the type would accept."""
    place, value, wanted = where, tree, kind
    for name, index in _STEP.findall(path):
        place += f".{name}" if name and place else name or f"[{index}]"
        value = _inside(value, name or index)
        wanted = _type_inside(wanted, name)
    if (unknown := re.match(r"Object contains unknown field `(.*)`", what)) is not None:
        name = unknown[1]
        fields = ", ".join(getattr(_plain(wanted), "__struct_fields__", ()))
        return ConfigError(
            f"{place}.{name}".lstrip("."), _inside(value, name), f"a setting ({fields})"
        )
    if (missing := re.match(r"Object missing required field `(.*)`", what)) is not None:
        inner = _type_inside(wanted, missing[1])
        return ConfigError(f"{place}.{missing[1]}".lstrip("."), None, describe(inner))
    theirs = not what.startswith(("Expected", "Invalid"))  # the words of a __post_init__
    return ConfigError(place or "the file", value, what if theirs else describe(wanted))


def describe(kind: Any) -> str:  # noqa: ANN401 - a type or an Annotated form
    """Say in words what a type accepts."""
    if get_origin(kind) is Annotated:
        notes = [n.description for n in get_args(kind)[1:] if isinstance(n, msgspec.Meta)]
        return next((note for note in notes if note), describe(get_args(kind)[0]))
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    if get_origin(kind) in (tuple, list):
        return f"a list, each {describe(get_args(kind)[0])}"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"a table with {', '.join(kind.__struct_fields__)}"
    if hasattr(kind, "__members__"):
        return "one of " + ", ".join(str(member) for member in kind)
    return _WORDS.get(kind, "of the right type")


def _plain(kind: Any) -> Any:  # noqa: ANN401
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _inside(value: Any, step: str) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isdigit() and int(step) < len(value):
        return value[int(step)]
    return value


def _type_inside(kind: Any, name: str) -> Any:  # noqa: ANN401
    kind = _plain(kind)
    if name and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
        return get_type_hints(kind, include_extras=True).get(fields.get(name, name), str)
    return get_args(kind)[0] if get_args(kind) else kind
