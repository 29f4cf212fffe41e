"""Orders: run the operator's commands: no shell, no input, no end of patience.

Must not be in here: which commands there are.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Final

from trapline.errors import TraplineError

SECONDS: Final = 30.0  # a command that takes longer is taken for stuck
OUTPUT: Final = 64 * 2**20  # octets of a command's output that are read


class Failed(TraplineError):  # noqa: N818 - a turn of events, told to the operator
    """A step did not work; the text may hold what a program printed: escape it."""


def run(words: Sequence[str], *, any_status: bool = False) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        Failed: it cannot be started, took too long, or its status is not 0.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            child = subprocess.Popen(  # noqa: S603 - the operator's own words, no shell
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as trouble:
            raise Failed(f"{words[0]}: {trouble.strerror}") from None
        status = _awaited(child, words[0])
        for file in (out, err):
            file.seek(0)
        said, complained = out.read(OUTPUT), err.read(4096)
    if status and not any_status:
        why = (complained or said[:4096]).decode("utf-8", "replace").strip()
        raise Failed(f"{words[0]} ended with status {status}: {why}")
    return said.decode("utf-8", "replace")


def _awaited(child: subprocess.Popen[bytes], name: str) -> int:
    """Return the status; what does not end is killed with all its children."""
    try:
        return child.wait(SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise Failed(f"{name} took longer than {SECONDS:g} seconds") from None
