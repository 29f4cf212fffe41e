"""What a captured message costs the server, in one interleaved run against others.

CPU seconds of the server process (user and system, /proc/PID/stat) for each message that
Debian's smtp-source brought: 50 at a time, 2 KB each; one message a connection and many.
Trapline is started by its public command and says 250 only after fdatasync; ``smtp-sink
-D`` writes files without fsync, ``smtp-sink`` and aiosmtpd keep nothing.

    python bench/capture.py [--messages 5000] [--rounds 3] [--size 2048] [--json]

Only ratios count: the machine, the load on it and the disk move absolute numbers.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

TICK: Final = os.sysconf("SC_CLK_TCK")
CONFIG: Final = """
[install]
workers = 1
[limits]
per_peer = 20000
per_network = 20000
total = 15000
per_peer_minute = 100000000
[journal]
reserve_mib = 16
[[trap]]
kind = "smtp"
name = "relay"
port = 2525
"""
AIOSMTPD: Final = """
import asyncio, sys
from aiosmtpd.smtp import SMTP
class Discard:
    async def handle_DATA(self, server, session, envelope):
        return "250 OK"
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Discard()), "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()
asyncio.run(main())
"""


class Server:
    """A server that is measured: its process, its port."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder / name.replace(" ", "")
        self.folder.mkdir()
        self.port = free_port()
        self.process = getattr(self, f"_{name.split(maxsplit=1)[0].replace('-', '_')}")()
        self.pid = self._measured()
        wait_for(self.port)

    def _trapline(self) -> "subprocess.Popen[bytes]":
        config = self.folder / "bench.toml"
        config.write_text(CONFIG)
        command = [
            str(Path(sys.executable).with_name("trapline")),
            "up",
            "--no-watch",
            "--quiet",
        ]
        process = subprocess.Popen(
            [*command, "--config", str(config)],
            env={**os.environ, "TRAPLINE_HOME": str(self.folder), "TRAPLINE_PORTS": "0"},
            stdout=subprocess.PIPE,
        )
        assert process.stdout  # noqa: S101 - for the type checker
        for line in process.stdout:
            if line.startswith(b"listening smtp"):
                self.port = int(line.rpartition(b":")[2])
            if line == b"ready\n":
                break
        return process

    def _smtp_sink(self) -> "subprocess.Popen[bytes]":
        dump = ["-D", "message.%M"] if self.name.endswith("-D") else []
        me = ["-u", "root"] if os.getuid() == 0 else []
        command = ["smtp-sink", *me, *dump, f"127.0.0.1:{self.port}", "4096"]
        return subprocess.Popen(command, cwd=self.folder)

    def _aiosmtpd(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", AIOSMTPD, str(self.port)])

    def _measured(self) -> int:
        """Return the process that talks to strangers: Trapline's worker."""
        state = self.folder / "state" / "worker-0.json"
        return int(json.loads(state.read_text())["pid"]) if state.exists() else self.process.pid

    def cpu(self) -> float:
        """Return the CPU seconds the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self) -> None:
        """Stop it and wait."""
        self.process.terminate()
        self.process.wait(30)


def free_port() -> int:
    """Return a port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until something listens."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens on {port}")


def load(server: Server, args: argparse.Namespace, *, many: bool) -> tuple[float, float]:
    """Bring the messages; return CPU microseconds a message and messages a second."""
    command = ["smtp-source", "-s", str(args.parallel), "-l", str(args.size)]
    command += ["-m", str(args.messages), "-f", "a@b.example", "-t", "c@d.example"]
    command += ["-d"] * many + [f"127.0.0.1:{server.port}"]
    before, began = server.cpu(), time.monotonic()
    subprocess.run(command, check=True)
    time.sleep(0.05)
    took = time.monotonic() - began
    return (server.cpu() - before) / args.messages * 1e6, args.messages / took


def measure(args: argparse.Namespace) -> list[dict[str, object]]:
    """Run all servers side by side, in turns, and return the medians."""
    names = ["trapline", "smtp-sink", "smtp-sink -D", "aiosmtpd"]
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        servers = [Server(name, Path(folder)) for name in names]
        try:
            for many in (False, True):
                found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
                for server in servers * args.rounds:
                    found[server.name].append(load(server, args, many=many))
                rows += summary(found, "many" if many else "one")
        finally:
            for server in servers:
                server.stop()
    return rows


def summary(found: dict[str, list[tuple[float, float]]], shape: str) -> list[dict[str, object]]:
    """Take the median of each server, and its ratio to Trapline's."""
    medians = {name: statistics.median(cpu for cpu, _ in runs) for name, runs in found.items()}
    return [
        {
            "messages a connection": shape,
            "server": name,
            "cpu us": round(medians[name], 1),
            "trapline is": round(medians["trapline"] / medians[name], 2)
            if medians[name]
            else None,
            "a second": round(statistics.median(rate for _, rate in runs)),
        }
        for name, runs in found.items()
    ]


def main() -> int:
    """Measure and print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--parallel", type=int, default=50)
    parser.add_argument("--folder", help="where to write; the disk matters, not a tmpfs")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not shutil.which("smtp-source"):
        raise SystemExit("smtp-source (Debian: postfix) is not installed")
    rows = measure(args)
    for row in rows:
        print(
            json.dumps(row) if args.json else "  ".join(f"{k} {v!s:14}" for k, v in row.items())
        )
    goals = {"smtp-sink -D": 1.0, "aiosmtpd": 1 / 6}
    missed = [
        f"{row['server']} ({row['messages a connection']}): {row['trapline is']} > {goal:.2f}"
        for row in rows
        if (goal := goals.get(str(row["server"]))) and float(str(row["trapline is"])) > goal
    ]
    print("missed:" if missed else "all targets met", "; ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
