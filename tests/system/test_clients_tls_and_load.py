"""openssl's client against the certificate, and Postfix's smtp-source as load."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable

import pytest
from tests.system.conftest import Running

from trapline import rooms

pytestmark = pytest.mark.system

Up = Callable[..., Running]
HOST = '[install]\nhost = "mx1.example.net"\n'
TLS = [name for name, one in sorted(rooms.personas().items()) if "STARTTLS" in one.extensions]
MESSAGES, SESSIONS, SIZE = 1000, 20, 2048


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("persona", TLS)
def test_the_certificate_is_the_host_s_own_and_stays(up: Up, persona: str) -> None:
    """Two handshakes see the same certificate, made out to the name in the banner."""
    running = up(HOST, "--persona", persona)
    address = f"127.0.0.1:{running.ports['smtp']}"
    command = ["openssl", "s_client", "-starttls", "smtp", "-connect", address, "-showcerts"]
    seen = [
        subprocess.run(
            command, input=b"QUIT\r\n", capture_output=True, check=False, timeout=30
        ).stdout.decode()
        for _ in range(2)
    ]
    assert all("CN = mx1.example.net" in text for text in seen), seen[0][:2000]
    pems = [text.partition("-----BEGIN")[2].partition("-----END")[0] for text in seen]
    assert pems[0] == pems[1] != ""


@pytest.mark.skipif(shutil.which("smtp-source") is None, reason="smtp-source is not installed")
@pytest.mark.parametrize("persona", ["postfix-3.7", "exim-4.96"])
def test_a_thousand_messages_are_all_in_the_journal(up: Up, persona: str) -> None:
    """Every message that smtp-source got a 250 for is there, whole."""
    running = up(HOST, "--persona", persona)
    port = running.ports["smtp"]
    load = [
        "-s",
        str(SESSIONS),
        "-m",
        str(MESSAGES),
        "-l",
        str(SIZE),
        "-M",
        "probe.example.org",
    ]
    envelope = ["-f", "a@example.org", "-t", "b@example.com"]
    subprocess.run(
        ["smtp-source", *load, *envelope, f"inet:127.0.0.1:{port}"], check=True, timeout=120
    )
    rows = running.rows("messages")
    assert len(rows) == MESSAGES
    assert len({row["id"] for row in rows}) == MESSAGES
    for row in rows[:: MESSAGES // 5]:
        raw = running.run("show", row["id"], "--raw")
        assert hashlib.sha256(raw).hexdigest() == row["sha256"]
        assert raw.startswith(b"From: <a@example.org>\r\n")
        assert SIZE <= len(raw) < SIZE + 400
