"""What a held connection costs: user memory of the server for each, and its CPU.

Several client processes hold thousands of connections to the relay trap of a Trapline that
was started by its public command; each sends one octet of an endless HELO every few
seconds, as slow clients and slow-loris attacks do, or nothing.

    python bench/held.py [--connections 10000] [--seconds 10] [--every 5] [--json]

Targets: under 4 KB of user memory (RssAnon) each, under 10 % of one core.
"""

import argparse
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from capture import Server  # type: ignore[import-not-found]  # beside this file

CLIENTS: Final = 4  # processes; each has descriptors of its own
KIB: Final = 1024


def hold(port: int, count: int, every: float) -> None:
    """Be a client: connect, take the banner, say so, then send an octet now and then."""
    held: list[socket.socket] = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), 60)
        if not one.recv(512).startswith(b"220"):
            raise SystemExit("turned away")
        one.setblocking(False)  # noqa: FBT003 - the standard library's own call
        held.append(one)
    for one in held:
        one.send(b"HELO ")
    print("held", flush=True)
    end = selectors.DefaultSelector()
    end.register(sys.stdin, selectors.EVENT_READ)
    at, pause = 0, every / count if every else 3600.0
    while not end.select(max(0.01, pause)):
        for _ in range(max(1, int(0.01 / pause))):
            held[at].send(b"x")
            at = (at + 1) % count


def memory(pid: int) -> int:
    """Return the anonymous resident octets of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith("RssAnon"))


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Hold the connections, look, let go."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server("trapline", Path(folder))
        before = memory(server.pid)
        share = args.connections // CLIENTS
        command = [sys.executable, __file__, "--hold", str(server.port), str(share)]
        clients = [
            subprocess.Popen(
                [*command, str(args.every)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(CLIENTS)
        ]
        for client in clients:
            if not client.stdout or client.stdout.readline() != b"held\n":
                raise SystemExit("a client could not hold its connections")
        time.sleep(2)  # until what connecting cost is settled
        began, cpu = time.monotonic(), server.cpu()
        time.sleep(args.seconds)
        core = (server.cpu() - cpu) / (time.monotonic() - began)
        after = memory(server.pid)
        for client in clients:
            client.communicate(timeout=60)
        server.stop()
    return {
        "connections": share * CLIENTS,
        "octets each": round((after - before) / (share * CLIENTS)),
        "percent of a core": round(core * 100, 1),
    }


def main() -> int:
    """Measure and print; 1 where a target is missed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if sys.argv[1:2] == ["--hold"]:
        hold(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds; 0 = stay silent")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    row = measure(args)
    print(json.dumps(row) if args.json else "  ".join(f"{k} {v}" for k, v in row.items()))
    good = row["octets each"] < 4096 and row["percent of a core"] < 10
    print("all targets met" if good else "missed")
    return 0 if good else 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent))
    sys.exit(main())
