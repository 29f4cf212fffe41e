"""State: what each worker says of itself, for ``status`` and ``selfcheck`` to read.

Must not be in here: anything that decides; a state file is a report.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from trapline.serve.plan import Plan, Task
from trapline.serve.sandbox import Walls


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that runs, or ran: ``began`` (clock ticks since boot) tells which."""

    worker: int
    pid: int
    began: int
    version: str
    config: str
    walls: Walls | None  # None: the sandbox was switched off

    def is_alive(self) -> bool:
        """Tell whether the worker still runs, and not another process with its number."""
        return began(self.pid) == self.began != 0


def writable(plan: Plan) -> list[Path]:
    """Return the folders a worker writes to."""
    plan.state.mkdir(mode=0o750, parents=True, exist_ok=True)
    return [plan.journal, plan.state]


def write(task: Task, began: int, walls: Walls | None) -> None:
    """Say what took effect in this process."""
    state = State(
        worker=task.index,
        pid=os.getpid(),
        began=began,
        version=task.plan.version,
        config=task.plan.config,
        walls=walls,
    )
    file = task.plan.state / f"worker-{task.index}.json"
    new = file.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(state) + b"\n")
    new.rename(file)


def read(home: Path) -> Iterator[State]:
    """Yield what the workers said last, by number; what cannot be read is left out."""
    for file in sorted((home / "state").glob("worker-*.json")):
        try:
            yield msgspec.json.decode(file.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            continue


def began(pid: int) -> int:
    """Return when a process began, in clock ticks since boot; 0 if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("latin-1")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])
