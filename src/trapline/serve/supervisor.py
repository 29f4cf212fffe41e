"""The supervisor: binds, gives up privileges, keeps the workers alive, stops them in order.

``run(plan, announce)`` is what ``trapline up`` calls.  Workers are exec'd, not forked, so
that what they hold in memory is only what they need and no state leaks from here.

Must not be in here: octets of strangers; the supervisor never reads from a connection.
"""

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from trapline import identity, rooms
from trapline.errors import TraplineError
from trapline.persona import Identity
from trapline.serve import certificate, listen, privileges
from trapline.serve.listen import Open
from trapline.serve.log import Log
from trapline.serve.plan import Plan, Task
from trapline.serve.worker import LENGTH

BEAT: Final = 0.25  # seconds between two looks at everything
FIRST_PAUSE: Final = 0.25  # seconds before a dead child is started again; doubled
LAST_PAUSE: Final = 30.0
STEADY: Final = 60.0  # seconds after which a child that dies begins with the first pause
KILL: Final = 5.0  # seconds beyond the grace before a child that will not end is killed


class Child:
    """A process that is to run all the time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self._began = 0.0
        self._next = 0.0
        self._pause = FIRST_PAUSE

    def start(self) -> None:
        """Start the process."""
        raise NotImplementedError

    def ask_to_stop(self) -> None:
        """Ask the process to end in good order."""
        raise NotImplementedError

    def look(self, now: float, log: Callable[[str], None]) -> None:
        """Start the process again if it died and its pause is over."""
        if self.process is not None and (status := self.process.poll()) is not None:
            log(f"{self.name} ended with {_words(status)}; it is started again")
            self._pause = FIRST_PAUSE if now - self._began > STEADY else self._pause
            self._next = now + self._pause
            self._pause = min(LAST_PAUSE, self._pause * 2)
            self.process = None
        if self.process is None and now >= self._next:
            self._began = now
            try:
                self.start()
            except OSError as trouble:
                raise TraplineError(f"{self.name} cannot be started: {trouble}") from None

    def ended(self) -> bool:
        """Tell whether the process is gone."""
        return self.process is None or self.process.poll() is not None


class WorkerChild(Child):
    """A worker and the socket to it."""

    def __init__(self, task: Task) -> None:
        super().__init__(f"worker {task.index}")
        self.task = task
        self.control: socket.socket | None = None

    def start(self) -> None:
        """Start the worker and tell it its task."""
        if self.control is not None:
            self.control.close()
        self.control, theirs = socket.socketpair()
        fds = {theirs.fileno(), *self.task.sockets}
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "trapline.serve.worker", str(theirs.fileno())],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for us to hear: they may not even be ready
            )
        told = msgspec.json.encode(self.task)
        self.control.sendall(len(told).to_bytes(LENGTH, "big") + told)
        self.control.setblocking(False)  # noqa: FBT003 - the standard library's own call
        self.ready = False

    def listen(self) -> None:
        """Hear whether the worker is ready."""
        try:
            heard = self.control.recv(64) if self.control else b""
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        self.ready = self.ready or heard.startswith(b"ready")

    def ask_to_stop(self) -> None:
        """Hang up: the worker takes that as the word to stop."""
        if self.control is not None:
            self.control.close()
            self.control = None


class ExtraChild(Child):
    """Any other process of ours that is to run beside the workers."""

    def __init__(self, name: str, words: list[str]) -> None:
        super().__init__(name)
        self.words = words
        self.ready = True

    def start(self) -> None:
        """Start the program; no shell is in between."""
        self.process = subprocess.Popen(  # noqa: S603 - ours
            self.words, stdin=subprocess.DEVNULL, process_group=0
        )

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


class Supervisor:
    """The running whole."""

    def __init__(
        self, plan: Plan, announce: Callable[[str], None], tick: Callable[[], None] | None
    ) -> None:
        self.plan, self.announce, self.tick = plan, announce, tick
        self.log = Log("supervisor")
        self.wake, self.stopping, self.said_ready = _wakeup(), False, False
        self.open: list[Open] = []
        self.children: list[Child] = []

    def begin(self, extra: Mapping[str, list[str]]) -> None:
        """Bind, give up privileges, start the children."""
        plan = self.plan
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        handed = listen.handed_over(plan, os.environ)
        self.open = listen.everything(plan, os.environ, handed)
        privileges.drop(plan.user, Path(plan.home))
        for open_ in self.open:
            self.announce(f"listening {open_}")
        who = identity.load(Path(plan.home), plan.host)
        certificates = _certificates(plan, who)
        for index in range(plan.workers):
            sockets = tuple(open_.of(index).fileno() for open_ in self.open)
            task = Task(
                plan=plan,
                index=index,
                host=who.host,
                seed=who.seed,
                sockets=sockets,
                certificates=certificates,
            )
            self.children.append(WorkerChild(task))
        self.children += (ExtraChild(*one) for one in extra.items())

    def turn(self) -> None:
        """Look at everything once, then wait a little."""
        now = time.monotonic()
        for child in self.children:
            child.look(now, self.log)
        if not self.said_ready:
            self._hear_ready()
        if self.tick is not None:
            self.tick()
        self._wait(BEAT if self.said_ready else 0.01)

    def _hear_ready(self) -> None:
        for child in self.children:
            if isinstance(child, WorkerChild) and not child.ready:
                child.listen()
        if all(child.ready for child in self.children):
            self.said_ready = True
            self.announce("ready")

    def _wait(self, seconds: float) -> None:
        """Wait; a signal cuts it short, and one that asks for the end is heard."""
        select.select([self.wake], [], [], seconds)
        try:
            signals = self.wake.recv(64)
        except BlockingIOError:
            return
        self.stopping = self.stopping or bool({signal.SIGINT, signal.SIGTERM} & set(signals))

    def end(self) -> int:
        """Stop the children in good order; the status is 1 if one had to be killed."""
        for open_ in self.open:
            for listening in open_.sockets:
                listening.close()
        for child in self.children:
            child.ask_to_stop()
        until = time.monotonic() + self.plan.grace_seconds + KILL
        while not all(child.ended() for child in self.children):
            if time.monotonic() > until:
                return self._kill()
            self._wait(0.02)
        if self.tick is not None:
            self.tick()
        return 0

    def _kill(self) -> int:
        for child in self.children:
            if child.process is not None and not child.ended():
                self.log(f"{child.name} does not end; it is killed")
                child.process.kill()
                child.process.wait()
        return 1


def run(
    plan: Plan,
    announce: Callable[[str], None],
    *,
    extra: Mapping[str, list[str]] | None = None,
    tick: Callable[[], None] | None = None,
) -> int:
    """Run the plan until SIGINT or SIGTERM; return the exit status.

    Args:
        plan: what to run.
        announce: called with ``listening KIND ADDRESS:PORT`` for each listener, then with
            ``ready`` once all workers accept.
        extra: programs, by name, to run beside the workers, and to start again if they die.
        tick: called some times a second.

    Raises:
        TraplineError: an address or the account cannot be had.
    """
    whole = Supervisor(plan, announce, tick)
    whole.begin(extra or {})
    try:
        while not whole.stopping:
            whole.turn()
    finally:
        status = whole.end()
    return status


def _certificates(plan: Plan, who: Identity) -> dict[str, str]:
    """See to it that each persona has its certificate; return persona -> file."""
    names = {listener.persona for listener in plan.listeners}
    return {
        name: str(certificate.ensure(plan.identity, rooms.persona(name), who)) for name in names
    }


def _wakeup() -> socket.socket:
    """Have signals arrive as octets on a socket."""
    read, write = socket.socketpair()
    read.setblocking(False)  # noqa: FBT003 - the standard library's own call
    write.setblocking(False)  # noqa: FBT003
    signal.set_wakeup_fd(write.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return read


def _words(status: int) -> str:
    """Say how a process ended."""
    return f"signal {-status}" if status < 0 else f"status {status}"
