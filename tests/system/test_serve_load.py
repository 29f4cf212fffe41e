"""Under load: a big message costs its own size, and a slow client costs the others nothing."""

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.conftest import Running

pytestmark = pytest.mark.system
ALONE = ("--no-watch", "--quiet")
MIB = 2**20
BIG = 30 * MIB
ROOMY = """
[[trap]]
kind = "smtp"
name = "relay"
port = 2525
size = 50000000
"""


def memory(running: Running, what: str) -> int:
    """Return VmRSS or VmHWM (the peak) of the worker, in octets."""
    state = json.loads((running.home / "state" / "worker-0.json").read_text())
    lines = Path(f"/proc/{state['pid']}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def begin(running: Running) -> socket.socket:
    """Connect and go as far as the 354."""
    client = running.connect()
    client.recv(500)
    for line in (
        b"HELO x.example",
        b"MAIL FROM:<a@b.example>",
        b"RCPT TO:<c@d.example>",
        b"DATA",
    ):
        client.sendall(line + b"\r\n")
        assert client.recv(500)[:1] in b"23"
    return client


def test_a_big_message_is_held_once(up: Callable[..., Running]) -> None:
    """The peak is at most 2 MB beyond the message; and the whole of it is kept.

    Planted: a copy of the message anywhere on its way doubles the growth.
    """
    running = up(ROOMY, *ALONE)
    with begin(running) as client:  # whatever is made at first use is made now
        client.sendall(b"x\r\n.\r\n")
        assert client.recv(500).startswith(b"250")
    before = memory(running, "VmRSS")
    with begin(running) as client:
        line = b"y" * 998 + b"\r\n"
        sent = 0
        while sent < BIG:
            client.sendall(line * 100)
            sent += len(line) * 100
        client.sendall(b".\r\n")
        assert client.recv(500).startswith(b"250")
    grown = memory(running, "VmHWM") - before
    assert grown < sent + 2 * MIB, f"{(grown - sent) / MIB:.1f} MiB beyond the message"
    rows = [json.loads(line) for line in running.run("journal", "cat").splitlines()]
    sizes = [row["event"]["size"] for row in rows if row["event"]["kind"] == "mail.offered"]
    assert sent in sizes


def times(running: Running, count: int) -> list[float]:
    """Have 50 clients bring messages, and return how long each took, in seconds."""
    took: list[float] = []

    def bring() -> None:
        for _ in range(count):
            began = time.monotonic()
            with begin(running) as client:
                client.sendall(b"Subject: x\r\n\r\n" + b"x" * 2000 + b"\r\n.\r\n")
                assert client.recv(500).startswith(b"250")
            took.append(time.monotonic() - began)

    threads = [threading.Thread(target=bring) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def p99(took: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(took, n=100)[98]


def test_a_slow_client_delays_nobody(up: Callable[..., Running]) -> None:
    """One that stutters, one that does not read, one that is silent; p99 stays within 2x."""
    running = up("", *ALONE)
    times(running, 2)
    alone = min(p99(times(running, 10)) for _ in range(2))
    over = threading.Event()

    def stutter(client: socket.socket) -> None:
        with client:
            while not over.wait(0.01):
                client.sendall(b"y")

    def flood(client: socket.socket) -> None:
        client.settimeout(0.1)
        with client:
            while not over.is_set():
                try:
                    client.sendall(b"NOOP\r\n" * 100)
                except TimeoutError:
                    over.wait(0.1)
                except OSError:
                    return

    slow = [
        threading.Thread(target=stutter, args=(begin(running),)),
        threading.Thread(target=flood, args=(running.connect(),)),
    ]
    with running.connect():
        for thread in slow:
            thread.start()
        beside = min(p99(times(running, 10)) for _ in range(2))
        over.set()
        for thread in slow:
            thread.join()
    assert beside < 2 * alone, f"p99 {alone * 1e3:.0f} ms alone, {beside * 1e3:.0f} ms beside"
