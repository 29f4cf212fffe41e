"""The command line: find the command's file, hand it its arguments, return its status.

0 is success, 1 is "no" (nothing found, a check failed, something would not go), 2 is wrong
use.  No logic in here, and none in ``commands/``.
"""

import argparse
import ast
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from trapline import commands, rooms
from trapline.errors import ConfigError, TraplineError
from trapline.safe import text

ORDER: Final = ("up", "status", "sessions", "messages", "show", "probes", "suspects", "watch")


def main(words: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    words = sys.argv[1:] if words is None else words
    name = words[0] if words else ""
    if name in ("-h", "--help", "help", "--version"):
        print(f"trapline {rooms.version()}" if name == "--version" else _overview())
        return 0
    if name not in rooms.names("commands"):
        wrong = f"trapline: {text(name, 80)!r} is no command\n\n" if name else ""
        print(wrong + _overview(), file=sys.stderr)
        return 2
    try:
        command = rooms.find("commands", name)
        parser = argparse.ArgumentParser(f"trapline {name}", description=command.__doc__)
        command.arguments(parser)
        return _guarded(command, parser.parse_args(words[1:]))
    except KeyboardInterrupt:  # at any moment, the imports above included
        return 130


def _guarded(command: ModuleType, args: argparse.Namespace) -> int:
    """Run a command; what stops it becomes a line and a status."""
    try:
        status = int(command.run(args))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TraplineError as trouble:
        print(f"trapline: {text(str(trouble), 2000)}", file=sys.stderr)
        return 2 if isinstance(trouble, ConfigError) else 1
    except OSError as trouble:  # of the machine: a disk, a permission
        print(f"trapline: {text(str(trouble), 2000)}", file=sys.stderr)
        return 1
    return status


def _overview() -> str:
    """List the commands with their first lines, without importing them."""
    folder = Path(commands.__path__[0])
    names = sorted(
        rooms.names("commands"), key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n)
    )
    lines = []
    for name in names:
        doc = ast.get_docstring(ast.parse((folder / f"{name}.py").read_text("utf-8"))) or ""
        lines.append(f"  {name:12}{doc.splitlines()[0] if doc else ''}")
    return (
        "usage: trapline COMMAND [...]\n\n"
        + "\n".join(lines)
        + (
            "\n\n`trapline COMMAND --help` tells more.  Data live in $TRAPLINE_HOME (now "
            f"{os.environ.get('TRAPLINE_HOME') or './var'})."
        )
    )
