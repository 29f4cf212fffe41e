"""A network of its own for a real server: it can reach nobody, and nobody can reach it.

The server runs in fresh network, mount and process namespaces, with a loopback that has
the addresses of the rehearsal (192.0.2.7 talks to 192.0.2.25), so that replies which name
the peer need no mask.  Ending the stage ends every process on it.

Must not be in here: how any server is set up.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from tests.fidelity.debian import Missing

from trapline.rehearsal import LOCAL, PEER

USERS: Final = ("Debian-exim", "smmta", "smmsp")  # wanted by servers that are not installed
STARTING: Final = 30.0  # seconds that a server may take until it answers
_NEWNET: Final = 0x40000000  # CLONE_NEWNET, sched.h
_SETUP: Final = """
set -e
ip link set lo up
ip address add {local}/32 dev lo
ip address add {peer}/32 dev lo
mount --bind {scratch}/passwd /etc/passwd
mount --bind {scratch}/group /etc/group
mount --bind {scratch}/hosts /etc/hosts
mount --bind {scratch}/resolv.conf /etc/resolv.conf || true # only spares time-outs
echo ready
exec sleep infinity
"""


class Stage:
    """Namespaces held open by a sleeping process."""

    def __init__(self, scratch: Path) -> None:
        for tool in ("unshare", "nsenter", "ip"):
            if shutil.which(tool) is None:
                raise Missing(f"no {tool}")
        if os.geteuid() != 0:
            raise Missing("namespaces want root")
        self.scratch = scratch
        self.started: list[subprocess.Popen[bytes]] = []
        _accounts(scratch)
        setup = _SETUP.format(scratch=scratch, local=LOCAL.address, peer=PEER.address)
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        self.holder = subprocess.Popen(
            [*unshare, "--mount-proc", "sh", "-c", setup],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if self.holder.stdout is None or self.holder.stdout.readline() != "ready\n":
            self.holder.kill()
            self._leave()
            raise Missing("this kernel gives no namespaces here")
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        self.pid = int(children.read_text().split()[0])

    def run(
        self, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program on the stage; its output goes to ``log`` in the scratch directory."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid"]
        with (self.scratch / "log").open("ab") as log:
            started = subprocess.Popen(
                [*enter, *command], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.started.append(started)
        return started

    def connect(self, port: int, patience: float) -> socket.socket:
        """Return a connection from the rehearsal's peer to its server."""
        libc = ctypes.CDLL(None, use_errno=True)
        with (
            Path(f"/proc/{self.pid}/ns/net").open() as there,
            Path("/proc/thread-self/ns/net").open() as home,
        ):
            if libc.setns(there.fileno(), _NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                connection = socket.socket()  # belongs to the namespace it is made in
            finally:
                libc.setns(home.fileno(), _NEWNET)
        connection.settimeout(patience)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.bind((PEER.address, 0))
            connection.connect((LOCAL.address, port))
        except OSError:
            connection.close()
            raise
        return connection

    def await_greeting(self, port: int) -> None:
        """Return when a server greets.

        Raises:
            Missing: none does for too long; the text is what it printed.
        """
        end = time.monotonic() + STARTING
        while time.monotonic() < end:
            with contextlib.suppress(OSError), self.connect(port, 5) as one:
                if one.recv(512).startswith(b"220"):
                    one.sendall(b"QUIT\r\n")
                    one.recv(512)
                    return
            time.sleep(0.1)
        raise Missing(f"it does not start: {(self.scratch / 'log').read_text()[-500:]}")

    def close(self) -> None:
        """End every process on the stage."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # init of the namespace: the others follow
        self._leave()

    def _leave(self) -> None:
        for process in self.started:
            process.wait(10)
        self.holder.wait(10)
        if self.holder.stdout:
            self.holder.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _accounts(scratch: Path) -> None:
    """Write the files that the server shall see instead of the machine's own."""
    passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    for number, user in enumerate(USERS, 64100):
        if f"\n{user}:" not in passwd:
            passwd += f"{user}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
            group += f"{user}:x:{number}:\n"
    (scratch / "passwd").write_text(passwd)
    (scratch / "group").write_text(group)
    (scratch / "hosts").write_text(
        f"127.0.0.1 localhost\n{LOCAL.address} mx1.example.net mx1\n"
    )
    (scratch / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")


def uid_of(scratch: Path, user: str) -> int:
    """Return the number that ``user`` has on the stage."""
    return next(_numbers((scratch / "passwd").read_text(), user))


def _numbers(passwd: str, user: str) -> Iterator[int]:
    for line in passwd.splitlines():
        fields = line.split(":")
        if fields[0] == user:
            yield int(fields[2])
