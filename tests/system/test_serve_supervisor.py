"""The supervisor and its workers, started as an operator does: restarts, stops, privileges."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.conftest import COMMAND, Running, environment, eventually

pytestmark = pytest.mark.system
TWO = "[install]\nworkers = 2\n"
ALONE = ("--no-watch", "--quiet")


def talk(port: int) -> bytes:
    """Take the banner of a listener, or nothing if it does not answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            return client.recv(200)
    except OSError:
        return b""


def workers(home: Path) -> dict[int, int]:
    """Return worker -> process id, as the workers say."""
    found = [json.loads(file.read_text()) for file in (home / "state").glob("worker-*.json")]
    return {one["worker"]: one["pid"] for one in found}


def entries(running: Running, kind: str) -> list[dict[str, object]]:
    """Return the events of one kind in the journal."""
    lines = running.run("journal", "cat").splitlines()
    events = [json.loads(line)["event"] for line in lines]
    return [event for event in events if event["kind"] == kind]


def test_a_killed_worker_is_started_again(up: Callable[..., Running]) -> None:
    """Connections wait in the listening socket meanwhile; none is refused."""
    running = up(TWO, *ALONE)
    before = workers(running.home)
    assert sorted(before) == [0, 1]
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    for _ in range(20):
        assert talk(running.ports["smtp"]).startswith(b"220 ")
    after = workers(running.home)
    assert not set(before.values()) & set(after.values())
    assert any("signal 9" in line for line in running.printed)
    assert running.stop() == 0


def test_both_workers_let_strangers_in(up: Callable[..., Running]) -> None:
    """The kernel spreads the connections; ids tell the workers apart."""
    running = up(TWO, *ALONE)
    for _ in range(40):
        assert talk(running.ports["smtp"]).startswith(b"220 ")
    assert running.stop() == 0
    lines = [json.loads(line) for line in running.run("journal", "cat").splitlines()]
    sessions = {one["stamp"]["session"] for one in lines if one["stamp"].get("session")}
    assert len(sessions) == 40
    assert {session[0] for session in sessions} == {"0", "1"}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_keeps_what_was_promised(
    up: Callable[..., Running], how: signal.Signals
) -> None:
    """A message that is on its way when the stop comes is taken, kept and answered 250.

    Planted: closing all connections at once on a stop loses the message and the answer.
    """
    running = up("", *ALONE)
    with running.connect() as idle, running.connect() as client:
        assert idle.recv(200).startswith(b"220 ")
        for octets in (b"", b"HELO x.example\r\n", b"MAIL FROM:<a@b.example>\r\n"):
            client.sendall(octets)
            client.recv(500)
        for octets in (b"RCPT TO:<c@d.example>\r\n", b"DATA\r\n", b""):
            client.sendall(octets)
            if octets:
                client.recv(500)
        client.sendall(b"Subject: half\r\n\r\n")
        running.process.send_signal(how)
        while idle.recv(500):
            pass
        client.sendall(b"and half\r\n.\r\n")
        said = b""
        while piece := client.recv(500):
            said += piece
        assert said.startswith(b"250 ")
    assert running.stop() == 0
    (mail,) = entries(running, "mail.offered")
    assert mail["size"] == 27
    assert (
        len(entries(running, "sensor.stopped")) == len(entries(running, "sensor.started")) == 2
    )


def test_a_stop_does_not_wait_for_ever(up: Callable[..., Running]) -> None:
    """Who never ends a message is ended after the grace, and recorded."""
    running = up("[limits]\ngrace_seconds = 0.5\n", *ALONE)
    with running.connect() as client:
        for octets in (b"", b"HELO x\r\n", b"MAIL FROM:<a@b.example>\r\n"):
            client.sendall(octets)
            client.recv(500)
        client.sendall(b"RCPT TO:<c@d.example>\r\n")
        client.recv(500)
        client.sendall(b"DATA\r\n")
        client.recv(500)
        assert running.stop() == 0
    assert [one["reason"] for one in entries(running, "session.closed")] == ["stopped"]


def test_workers_end_when_the_supervisor_is_killed(up: Callable[..., Running]) -> None:
    """Nobody is left who listens without being watched over."""
    running = up(TWO, *ALONE)
    pids = workers(running.home).values()
    running.process.kill()
    running.process.wait()
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 15)


def test_socket_activation(tmp_path: Path) -> None:
    """A socket from the service manager is taken by its name, both workers share it."""
    given = socket.create_server(("127.0.0.1", 0))
    port = given.getsockname()[1]
    launcher = textwrap.dedent(f"""
        import os, sys
        os.dup2({given.fileno()}, 3)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="relay")
        os.execv(sys.argv[1], sys.argv[1:])
    """)
    file = tmp_path / "two.toml"
    file.write_text(TWO)
    command = [sys.executable, "-c", launcher, COMMAND, "up", *ALONE, "--config", str(file)]
    with subprocess.Popen(
        command,
        env=environment(tmp_path),
        pass_fds=[given.fileno()],
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"listening smtp 127.0.0.1:%d\n" % port
            while process.stdout.readline() != b"ready\n":
                assert process.poll() is None
            given.close()
            assert all(talk(port).startswith(b"220 ") for _ in range(10))
        finally:
            process.terminate()
        assert process.wait(30) == 0


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """Return a folder that any account can reach (pytest's own are root's alone)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


# Where Python lives in a closed folder (/root/.pyenv), the namespace opens that folder.
OPEN = """
set -e
if [ -n "$1" ]; then
    spare=$(mktemp -d)
    mount --bind "$2" "$spare"
    mount -t tmpfs -o mode=755 none "$1"
    mkdir -p "$2"
    mount --bind "$spare" "$2"
fi
shift 2
exec "$@"
"""
INSIDE = """
import json, os, pathlib, pwd, signal, socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
while (line := process.stdout.readline()) and line != b"ready\\n":
    pass
with socket.create_connection(("127.0.0.1", 25), 5) as client:
    banner = client.recv(100).decode()
home = pathlib.Path(os.environ["TRAPLINE_HOME"])
states = [json.loads(file.read_text()) for file in (home / "state").glob("*.json")]
pids = [process.pid, *(state["pid"] for state in states)]
lines = [pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() for pid in pids]
kept = ("Uid", "Gid", "Groups", "CapEff")
facts = [[line.split() for line in one if line.split(":")[0] in kept] for one in lines]
process.terminate()
print(json.dumps({"banner": banner, "facts": facts, "status": process.wait(30)}))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to bind port 25 and become nobody")
def test_privileges_are_given_up_once_port_25_is_bound(everybodys: Path) -> None:
    """Supervisor and workers are nobody, with nobody's groups and no capability."""
    home, file = everybodys / "home", everybodys / "user.toml"
    trap = '[[trap]]\nkind = "smtp"\nport = 25\n'
    file.write_text(f'[install]\nuser = "nobody"\n{trap}')
    there = {**environment(home), "TRAPLINE_PORTS": ""}
    prefix = Path(sys.base_prefix)
    closed = [str(one) for one in prefix.parents if not one.stat().st_mode & 0o001][-1:] or [""]
    command = ["unshare", "--net", "--mount", "sh", "-c", OPEN, "sh", *closed, str(prefix)]
    command += [sys.executable, "-c", INSIDE, COMMAND, "up", *ALONE]
    done = subprocess.run(
        [*command, "--config", str(file)],
        env=there,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["banner"].startswith("220 ")
    assert told["status"] == 0
    for facts in told["facts"]:
        by_name = {line[0]: line[1:] for line in facts}
        assert set(by_name["Uid:"]) == {"65534"}
        assert set(by_name["Gid:"]) == {"65534"}
        assert "0" not in by_name["Groups:"]
        assert int(by_name["CapEff:"][0], 16) == 0


def test_there_is_one_on_a_data_directory(up: Callable[..., Running]) -> None:
    """Planted fault: without the lock the second one starts workers that cannot write."""
    first = up("", *ALONE)
    note = (first.home / "running.toml").readlink()
    second = subprocess.run(
        [COMMAND, "up"],
        env=environment(first.home),
        capture_output=True,
        check=False,
        timeout=20,
        text=True,
    )
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"trapline: another `trapline up` runs on {first.home}\n"
    assert (first.home / "running.toml").readlink() == note
    assert talk(first.ports["smtp"]).startswith(b"220 ")


def test_nothing_outlives_a_killed_supervisor(up: Callable[..., Running]) -> None:
    """Planted fault: a watch that asks who its parent is once it runs may be too late."""
    running = up("", "--quiet")
    children = f"/proc/{running.process.pid}/task/{running.process.pid}/children"
    pids = [int(pid) for pid in Path(children).read_text().split()]
    assert len(pids) == 2
    running.process.kill()
    running.process.wait()
    assert eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids))


def test_status_stays_true_without_state_and_names_all_addresses(
    up: Callable[..., Running],
) -> None:
    """What can be deleted at any time is deleted while it runs."""
    running = up(
        '[[trap]]\nkind = "smtp"\nname = "relay"\nport = 25\naddress = ["127.0.0.1", "::1"]\n',
        "--quiet",
    )
    for folder in ("state", "lake"):
        shutil.rmtree(running.home / folder, ignore_errors=True)
    status = json.loads(running.run("status", "--json"))
    assert status["running"]
    assert [
        row["address"].partition("]")[0].partition(":")[0] for row in status["sensors"]
    ] == [
        "127.0.0.1",
        "[",
    ]
    assert all(row["listening"] for row in status["sensors"])
    assert eventually((running.home / "state" / "watch.lock").exists)


@pytest.mark.parametrize("line", ["listening ", "ready"])
def test_ctrl_c_in_a_terminal_at_any_moment_is_quiet(tmp_path: Path, line: str) -> None:
    """The terminal signals the whole group; planted fault: children in it print tracebacks."""
    with subprocess.Popen(
        [COMMAND, "up", "--quiet"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout
        assert any(heard.startswith(line) for heard in running.stdout)
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (0, "")
