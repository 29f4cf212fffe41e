"""A worker: one process that holds traps, from the plan it is told to its last commit.

Started as ``python -m trapline.serve.worker FD``: FD is a socket to the supervisor, over
which the :class:`Task` comes; once it is closed, the worker stops in good order.

Must not be in here: binding, privileges (``supervisor``); anything that connects.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from trapline import rooms
from trapline.errors import TraplineError
from trapline.events import Event, SensorStarted, SensorStopped, Stamp
from trapline.journal import Writer
from trapline.persona import Identity
from trapline.serve import sandbox, state
from trapline.serve.connection import Connection
from trapline.serve.door import Door
from trapline.serve.keeper import Keeper
from trapline.serve.limits import REPORT, Guests
from trapline.serve.log import Log
from trapline.serve.loop import READ, Loop
from trapline.serve.place import Place, session_ids
from trapline.serve.plan import Listener, Task, where

LENGTH: Final = 4  # octets in front of the task that tell its size
YOUNG: Final = (50_000, 20, 50)  # a session leaves no cycles: the collector may look seldom
EXCLUSIVE: Final = 1 << 28  # EPOLLEXCLUSIVE: a shared socket wakes one worker, not all


class Worker:
    """The process's parts, put together; ``run`` is its life."""

    def __init__(self, task: Task, control: socket.socket) -> None:
        plan = task.plan
        self.plan, self.index, self.control = plan, task.index, control
        self.log = Log(f"worker {task.index}")
        self.keeper = Keeper(
            Writer(
                plan.journal,
                str(task.index),
                segment_octets=plan.segment_octets,
                reserve_octets=plan.reserve_octets,
            ),
            self.log,
        )
        self.loop = Loop(self.keeper, self.log)
        share = -(-plan.limits.total // plan.workers)
        self.guests = Guests(msgspec.structs.replace(plan.limits, total=share))
        self.ids = session_ids(task.index, self.loop.wall)
        self.sockets = [socket.socket(fileno=fd) for fd in task.sockets]
        identity = Identity(task.host, task.seed)
        self.places = [self._place(one, identity, task) for one in plan.listeners]
        self.stopping = self.done = False

    def _place(self, listener: Listener, identity: Identity, task: Task) -> Place:
        trap = rooms.find("traps", listener.kind)
        settings_of = getattr(trap, "Settings", None)
        return Place(
            name=listener.name,
            trap=trap.trap,
            persona=rooms.persona(listener.persona),
            identity=identity,
            settings=settings_of and msgspec.convert(listener.settings, settings_of),
            loop=self.loop,
            limits=self.plan.limits,
            log=self.log,
            ids=self.ids,
            certificate=task.certificates.get(listener.persona, ""),
            left=self.guests.leave,
            implicit_tls=listener.implicit_tls,
        )

    def run(self) -> None:
        """Let strangers in until told to stop, and keep what was promised."""
        for listener, place, listening in self._doors():
            door = Door(place, listening, self.guests, listener.networks)
            self.loop.watch(listening.fileno(), door, READ | EXCLUSIVE)
            self._tell(listener, self._started(listener, listening))
        self.keeper.commit()
        Chores(self)
        self.loop.watch(self.control.fileno(), self, READ)
        with contextlib.suppress(BrokenPipeError):  # told to stop already: the loop hears it
            self.control.sendall(b"ready\n")
        self.loop.run(lambda: self.done)
        for listener, place, _ in self._doors():
            self._tell(listener, SensorStopped(sessions=place.sessions))
        self.keeper.close()

    def _doors(self) -> list[tuple[Listener, Place, socket.socket]]:
        return list(zip(self.plan.listeners, self.places, self.sockets, strict=True))

    def ready(self, events: int) -> None:
        """Stop: the supervisor said so, or is gone."""
        del events
        self.loop.forget(self.control.fileno())
        self.stop()

    def abandon(self) -> None:
        """Stop: the word of the supervisor could not be heard."""
        self.done = True

    def stop(self) -> None:
        """Accept no more; let running messages come in, for the time of grace."""
        if self.stopping:
            return
        self.stopping = True
        for listening in self.sockets:
            self.loop.forget(listening.fileno())
            listening.close()
        self._dismiss(wait=True)
        Alarm(self.loop, self.plan.grace_seconds, self._give_up)

    def _dismiss(self, *, wait: bool) -> None:
        for connection in connections(self.loop):
            connection.dismiss("stopped", wait=wait)

    def _give_up(self) -> None:
        """End what is still open; what waits for its commit has it first."""
        self.keeper.commit()
        self._dismiss(wait=False)
        self.done = True

    def chores(self) -> None:
        """Do what is due every now and then."""
        if self.stopping and not connections(self.loop):
            self.done = True
        self.keeper.look()
        refused = self.guests.refused
        if refused.since and (self.stopping or self.loop.now - refused.since >= REPORT):
            for near, event in refused.report(self.loop.now):
                self._note(Stamp(at=self.loop.wall, sensor="door", peer=near), event)

    def _started(self, listener: Listener, listening: socket.socket) -> SensorStarted:
        return SensorStarted(
            address=where(*listening.getsockname()[:2]),
            trap=listener.kind,
            persona=listener.persona,
            version=self.plan.version,
            config=self.plan.config,
        )

    def _tell(self, listener: Listener, event: Event) -> None:
        self._note(Stamp(at=time.time_ns(), sensor=listener.name), event)

    def _note(self, stamp: Stamp, event: Event) -> None:
        self.keeper.take(stamp, event, b"", self.loop.now)


class Alarm:
    """Something to be done after some seconds, once."""

    __slots__ = ("_act", "bucket", "deadline")

    def __init__(self, loop: Loop, seconds: float, act: Callable[[], None]) -> None:
        self._act, self.bucket = act, 0
        self.deadline = loop.now + seconds
        loop.wheel.hang(self)

    def expired(self) -> None:
        """Act: the deadline has passed."""
        self._act()


class Chores:
    """What a worker does now and then, whatever strangers do."""

    __slots__ = ("_worker",)

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._again()

    def _again(self) -> None:
        seconds = 0.1 if self._worker.stopping else 1.0
        Alarm(self._worker.loop, seconds, self.do)

    def do(self) -> None:
        """Do them, and come again."""
        self._worker.chores()
        self._again()


class Signals:
    """Turns SIGTERM into a stop, by way of the loop."""

    __slots__ = ("_read", "_stop", "_write")

    def __init__(self, loop: Loop, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)  # noqa: FBT003 - the standard library's own call
        self._write.setblocking(False)  # noqa: FBT003
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        # Ctrl-C reaches the whole group of processes; the supervisor says when to stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.watch(self._read.fileno(), self, READ)

    def ready(self, events: int) -> None:
        """Stop: the only signal that comes this way asks for it."""
        del events
        self._read.recv(64)
        self._stop()

    def abandon(self) -> None:
        """Stop all the same."""
        self._stop()


def connections(loop: Loop) -> list[Connection]:
    """Return all that are open."""
    return [one for one in loop.handlers.values() if isinstance(one, Connection)]


def receive(control: socket.socket) -> Task:
    """Read the task: its length, then JSON."""
    size = int.from_bytes(_exactly(control, LENGTH), "big")
    return msgspec.json.decode(_exactly(control, size), type=Task)


def _exactly(control: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        if not (piece := control.recv(count - len(octets))):
            raise SystemExit("trapline worker: the supervisor is gone")
        octets += piece
    return octets


def main(words: list[str]) -> int:
    """Live a worker's life; the exit status is 0 after a stop in good order."""
    control = socket.socket(fileno=int(words[0]))
    task = receive(control)
    try:
        worker = Worker(task, control)
    except TraplineError as trouble:  # of an operator's making: no case for a traceback
        raise SystemExit(f"trapline worker: {trouble}") from None
    began = state.began(os.getpid())  # the sandbox hides /proc
    writable = state.writable(task.plan)
    walls = sandbox.enter(writable) if task.plan.sandbox else None
    state.write(task, began, walls)
    Signals(worker.loop, worker.stop)
    # What is here now stays for good: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*YOUNG)
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
