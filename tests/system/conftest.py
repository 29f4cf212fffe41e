"""System tests: start the real `trapline up` on free ports and stop it again."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND = str(Path(sys.executable).with_name("trapline"))
PATIENCE = 30.0  # seconds; a bound, not an expectation


@dataclasses.dataclass
class Running:
    """A running Trapline: where it listens and where its data are."""

    process: subprocess.Popen[str]
    home: Path
    config: Path
    ports: dict[str, int]
    printed: list[str] = dataclasses.field(default_factory=list)
    listener: threading.Thread | None = None

    def run(self, *words: str, status: int | None = 0) -> bytes:
        """Run a trapline command on the same data and return its standard output."""
        done = subprocess.run(
            [COMMAND, *words],
            env=environment(self.home),
            capture_output=True,
            check=False,
            timeout=120,
        )
        if status is not None:
            assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a listing command with --json and return its rows."""
        return [
            json.loads(line) for line in self.run(*words, "--json", status=None).splitlines()
        ]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop in good order and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        if self.listener is not None:
            self.listener.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def connect(self, kind: str = "smtp") -> socket.socket:
        """Open a plain connection to a listener."""
        return socket.create_connection(("127.0.0.1", self.ports[kind]), PATIENCE)


def environment(home: Path) -> dict[str, str]:
    """Return the environment in which a command sees this data directory."""
    return {**os.environ, "TRAPLINE_HOME": str(home), "TRAPLINE_PORTS": "0"}


def start(home: Path, text: str = "", *words: str) -> Running:
    """Start `trapline up` with this operator's file and wait until it is ready."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "test.toml"
    file.write_text(text)
    process = subprocess.Popen(
        [COMMAND, "up", "--config", str(file), *words],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
    )
    running = Running(process, home, file, {})
    ready = threading.Event()

    def listen() -> None:
        assert process.stdout
        for line in process.stdout:
            running.printed.append(line.rstrip("\n"))
            if line.startswith("listening "):
                _, kind, address = line.split()
                running.ports.setdefault(kind, int(address.rpartition(":")[2]))
            if line.strip() == "ready":
                ready.set()
        ready.set()  # it has ended: the assertion below shows what it said

    running.listener = threading.Thread(target=listen, daemon=True)
    running.listener.start()
    ready.wait(PATIENCE)
    assert "ready" in running.printed, running.printed
    return running


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Return ``up(text="", *words)``; whatever it started is stopped after the test."""
    started: list[Running] = []

    def begin(text: str = "", *words: str, home: Path | None = None) -> Running:
        started.append(start(home or tmp_path / "home", text, *words))
        return started[-1]

    yield begin
    for running in started:
        running.stop()


def eventually(true: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait for something to become true, and say whether it did."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
