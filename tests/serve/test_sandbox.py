"""The sandbox, from within: what it denies is tried for real, in a process of its own."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from trapline.serve import imports, landlock, seccomp

TRY = """
import ctypes, errno, json, os, socket, sys, threading
from pathlib import Path
from trapline.serve import sandbox
made = {f: socket.socket(f, socket.SOCK_STREAM) for f in (socket.AF_INET, socket.AF_INET6)}
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listening = socket.create_server(("127.0.0.1", 0))
talking = socket.create_connection(listening.getsockname())
accepted, _ = listening.accept()
home = Path(sys.argv[1])
walls = sandbox.enter([home])

def attempt(what):
    try:
        what()
    except OSError as trouble:
        return errno.errorcode[trouble.errno]
    except ImportError:
        return "ImportError"
    return "done"

libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

def thread():
    one = threading.Thread(target=int)
    one.start()
    one.join()

def exchange():
    accepted.send(b"x")
    assert talking.recv(1) == b"x"

FAST = 0x20000000
print(json.dumps({name: attempt(what) for name, what in {
    "connect 4": lambda: made[socket.AF_INET].connect(("192.0.2.1", 25)),
    "connect 6": lambda: made[socket.AF_INET6].connect(("2001:db8::1", 25)),
    "connect loopback": lambda: made[socket.AF_INET].connect(listening.getsockname()),
    "datagram": lambda: udp.sendto(b"x", ("192.0.2.1", 53)),
    "message": lambda: udp.sendmsg([b"x"], [], 0, ("192.0.2.1", 53)),
    "fast open": lambda: made[socket.AF_INET].sendto(b"x", FAST, ("192.0.2.1", 25)),
    "bind": lambda: udp.bind(("127.0.0.1", 0)),
    "socket": lambda: socket.socket(),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "program": lambda: os.execv("/bin/true", ["true"]),
    "fork": lambda: os.fork() or os._exit(0),
    "kill": lambda: os.kill(1, 0),
    "io_uring": lambda: call(425, 1, 0),
    "newer": lambda: call(460),
    "write elsewhere": lambda: Path(sys.argv[2], "x").write_text("x"),
    "read elsewhere": lambda: Path(sys.argv[2], "there").read_text(),
    "smtplib": lambda: __import__("smtplib"),
    "write home": lambda: (home / "y").write_text("y"),
    "thread": thread,
    "exchange": exchange,
}.items()} | {"walls": sandbox.msgspec.to_builtins(walls)}))
"""

DENIED = {
    "connect 4", "connect 6", "connect loopback", "datagram", "message", "fast open", "bind",
    "socket", "raw", "packet", "unix", "program", "fork", "kill", "io_uring",
}  # fmt: skip


@pytest.mark.system
def test_what_a_trap_may_not_do_fails(tmp_path: Path) -> None:
    """Planted: without the rule for sendto, "datagram" and "fast open" are let through."""
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    (other / "there").write_text("secret")
    done = subprocess.run(
        [sys.executable, "-c", TRY, str(home), str(other)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    tried = json.loads(done.stdout)
    walls = tried.pop("walls")
    if not walls["seccomp"]:
        pytest.skip(f"the kernel lacks it: {walls['trouble']}")
    assert {name for name in tried if tried[name] == "EPERM"} >= DENIED
    assert tried["newer"] == "ENOSYS"
    assert tried["smtplib"] == "ImportError"
    assert [tried[name] for name in ("write home", "thread", "exchange")] == ["done"] * 3
    assert walls["no_new_privs"]
    assert walls["imports"]
    if walls["files"]:
        assert tried["write elsewhere"] == tried["read elsewhere"] == "EACCES"


@pytest.mark.parametrize("name", seccomp.MACHINES)
def test_the_filter_judges_as_the_table_says(name: str) -> None:
    """The program is run by a little machine of our own, for each architecture."""
    machine = seccomp.MACHINES[name]
    eperm, enosys, allow = (0x50000 | errno.EPERM), (0x50000 | errno.ENOSYS), 0x7FFF0000
    code = seccomp.program(machine)
    for row in seccomp.DENIED.values():
        if (number := row[machine.column]) is not None:
            assert judged(code, machine.audit, number) == eperm
    assert judged(code, machine.audit, machine.clone) == eperm
    assert judged(code, machine.audit, machine.clone, {0: seccomp.CLONE_THREAD}) == allow
    assert judged(code, machine.audit, machine.clone3) == enosys
    assert judged(code, machine.audit, machine.sendto) == allow
    assert judged(code, machine.audit, machine.sendto, {4: 1}) == eperm
    assert judged(code, machine.audit, machine.sendto, {4: 1 << 32}) == eperm
    assert judged(code, machine.audit, seccomp.NEWEST + 1) == enosys
    assert judged(code, machine.audit, seccomp.X32 | 41) == eperm
    assert judged(code, 0x4000_0003, 1) == 0x8000_0000  # i386: killed
    assert judged(code, machine.audit, 0 if machine.column == 0 else 63) == allow  # read


def judged(
    code: bytes, audit: int, number: int, arguments: dict[int, int] | None = None
) -> int:
    """Run a filter as the kernel would (the instructions we use)."""
    data = number.to_bytes(4, "little") + audit.to_bytes(4, "little") + bytes(8)
    for at in range(6):
        data += (arguments or {}).get(at, 0).to_bytes(8, "little")
    held, place = 0, 0
    while True:
        opcode = int.from_bytes(code[place : place + 2], "little")
        true, false = code[place + 2], code[place + 3]
        value = int.from_bytes(code[place + 4 : place + 8], "little")
        place += 8
        match opcode:
            case 0x20:
                held = int.from_bytes(data[value : value + 4], "little")
            case 0x15:
                place += 8 * (true if held == value else false)
            case 0x25:
                place += 8 * (true if held > value else false)
            case 0x45:
                place += 8 * (true if held & value else false)
            case 0x06:
                return value
            case _:
                raise AssertionError(opcode)


def test_what_lies_in_a_refused_package_is_refused() -> None:
    """The parts of a package go with it; names that only begin alike do not."""
    assert imports.is_refused("aiohttp.client")
    assert imports.is_refused("http.client")
    assert not imports.is_refused("http")
    assert not imports.is_refused("asyncio_like")


def test_the_abi_is_a_number() -> None:
    """Asking changes nothing and never raises."""
    assert landlock.abi() >= 0
