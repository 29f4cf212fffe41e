"""kill -9 at any moment: what was answered with 250 is there, whole, and once.

This tests the program, not fsync (the page cache survives): see test_powercut.py.
"""

import os
import random
import signal
import smtplib
import subprocess
import threading
from collections.abc import Callable

import pytest
from tests.system.conftest import Running

ROUNDS = 50
CLIENTS = 4


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    done = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(line) for line in done.stdout.split()]


class Client(threading.Thread):
    """Sends numbered messages until the server dies, and remembers every 250."""

    def __init__(self, running: Running, first: int) -> None:
        super().__init__(daemon=True)
        self.running, self.next = running, first
        self.promised: list[int] = []

    def run(self) -> None:
        """Send as fast as answers come."""
        try:
            with smtplib.SMTP("127.0.0.1", self.running.ports["smtp"], timeout=20) as client:
                client.ehlo("client.example.org")
                while True:
                    self.next += 1
                    body = f"Subject: number {self.next}\r\n\r\n{self.next * 'x'}"
                    client.sendmail("a@example.org", [f"n{self.next}@example.com"], body[:3000])
                    self.promised.append(self.next)
        except (OSError, smtplib.SMTPException):
            return


@pytest.mark.system
def test_what_was_promised_survives_kill_nine(up: Callable[..., Running]) -> None:
    """Planted fault: answering before the commit loses messages within a few rounds."""
    dice = random.Random(1)  # noqa: S311 - when to kill is no secret
    promised: set[int] = set()
    running = None
    for number in range(ROUNDS):
        running = up("", "--quiet", "--no-watch")
        clients = [Client(running, (number * CLIENTS + n) * 10**6) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        threading.Event().wait(dice.uniform(0.02, 0.3))
        supervisor = running.process.pid
        workers = children(supervisor)
        for pid in (supervisor, *workers):
            os.kill(pid, signal.SIGKILL)
        running.process.wait()
        for client in clients:
            client.join(30)
            promised.update(client.promised)
    assert running is not None
    assert len(promised) > ROUNDS
    running.run("journal", "verify")
    rows = running.rows("messages")
    kept = [int(row["recipients"][0].partition("@")[0][1:]) for row in rows]
    assert len(kept) == len(set(kept))
    assert promised <= set(kept)
