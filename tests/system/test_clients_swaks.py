"""swaks, the tool that testers reach for: in the clear, with TLS, with AUTH, pipelined."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.conftest import Running, eventually

from trapline import rooms

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed"),
]

Up = Callable[..., Running]
PERSONAS = sorted(rooms.personas())
AUTH = """
[install]
host = "mx1.example.net"

[[trap]]
kind = "smtp"
port = 2525
auth = "always"
"""
REFUSED = 28  # swaks(1): the server did not accept our credentials


def swaks(running: Running, *words: str) -> subprocess.CompletedProcess[str]:
    """Send one message, as far as the words let it come."""
    port = str(running.ports["smtp"])
    command = ["swaks", "--server", "127.0.0.1", "--port", port, "--helo", "probe.example.org"]
    envelope = ["--from", "spammer@example.org", "--to", "victim@example.com"]
    return subprocess.run(
        [*command, *envelope, *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("persona", PERSONAS)
def test_plain_mail_is_taken_and_kept_to_the_octet(
    up: Up, persona: str, tmp_path: Path
) -> None:
    """What swaks sent is what ``show --raw`` gives."""
    message = b"Subject: relay probe\r\n\r\n..dots.\r\n\xff eight bits\r\n"
    (tmp_path / "mail").write_bytes(message.replace(b"\r\n", b"\n"))
    running = up("", "--persona", persona)
    done = swaks(running, "--data", f"@{tmp_path / 'mail'}")
    assert done.returncode == 0, done.stdout
    (row,) = running.rows("messages")
    raw = running.run("show", row["id"], "--raw")
    assert raw == message + b"\r\n"  # swaks adds a line end


@pytest.mark.parametrize("persona", [p for p in PERSONAS if p != "sendmail-8.12"])
def test_mail_within_tls(up: Up, persona: str) -> None:
    """STARTTLS is not only advertised."""
    running = up("", "--persona", persona)
    done = swaks(running, "--tls")
    assert done.returncode == 0, done.stdout
    assert "=== TLS started" in done.stdout
    assert len(running.rows("messages")) == 1
    assert [row["tls"] for row in running.rows("sessions")] == [True]


def test_an_old_server_without_tls_says_so(up: Up) -> None:
    """Sendmail 8.12 was built without; swaks gives up with its own status for that."""
    assert swaks(up("", "--persona", "sendmail-8.12"), "--tls").returncode == 29


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("persona", ["postfix-3.7", "exim-4.96", "sendmail-8.17"])
def test_garbage_credentials_are_refused_and_captured(
    up: Up, persona: str, mechanism: str
) -> None:
    """A server that takes any password is known for a trap."""
    running = up(AUTH, "--persona", persona)
    words = ["--auth", mechanism, "--auth-user", "u ser", "--auth-password", "p\xe4ss=1"]
    done = swaks(running, *words)
    assert done.returncode == REFUSED, done.stdout

    def captured() -> bool:
        entries = running.run("journal", "cat").decode()
        return "auth.tried" in entries and '"user":"u ser"' in entries.replace('": ', '":')

    assert eventually(captured)
    assert running.rows("messages") == []


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_pipelined_envelope(up: Up, persona: str) -> None:
    """MAIL, RCPT and DATA in one packet."""
    running = up("", "--persona", persona)
    done = swaks(running, "--pipeline")
    assert done.returncode == 0, done.stdout
    assert len(running.rows("messages")) == 1


def test_the_percent_hack_is_as_good_as_an_address(up: Up) -> None:
    """One of the oldest relay tests."""
    running = up('[install]\nhost = "mx1.example.net"\n')
    done = swaks(running, "--to", "victim%example.com@mx1.example.net", "--quit-after", "RCPT")
    assert done.returncode == 0
