"""The main job, whole: spam falls into the relay trap and becomes a proven blocklist.

Clients are Debian's swaks and the standard library's smtplib; addresses come by the PROXY
protocol from documentation networks, which the configuration lets count as ordinary.
"""

import hashlib
import json
import shutil
import smtplib
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.conftest import Running, eventually

Up = Callable[..., Running]

CONFIG = """
[[trap]]
kind = "smtp"
name = "relay"
port = 2525
proxy_from = ["127.0.0.1"]

[court]
publish = "live"
rehearsal_networks = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]

[genuine]
mail = ["{genuine}"]
trusted = ["127.0.0.0/8"]

[[publish]]
kind = "postfix"
path = "{table}"
"""
HAM = """\
Received: from friend.example.org (friend.example.org [203.0.113.77])
\tby mx.example.net (Postfix) with ESMTP id 4C1 for <me@example.net>;
\tMon, 2 Nov 2026 10:00:00 +0000
From: friend@friend.example.org
To: me@example.net
Subject: lunch {number}
Message-ID: <{number}@friend.example.org>
Date: Mon, 2 Nov 2026 10:00:00 +0000

See you at noon.
"""
SPAM = """\
From: Deals <deals@shop.example>
To: victim@example.com
Subject: Cheap watches, 90% off today
Message-ID: <{number}@shop.example>

Buy now at http://watches.example/buy?id={number}
"""


def send(running: Running, peer: str, number: int, *, port: str = "smtp") -> None:
    """Hand the trap one spam as if it came from ``peer``."""

    class Proxied(smtplib.SMTP):
        """A client behind a proxy that names it."""

        def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
            connected = socket.create_connection((host, port), timeout)
            connected.sendall(f"PROXY TCP4 {peer} 192.0.2.25 40000 25\r\n".encode())
            return connected

    with Proxied("127.0.0.1", running.ports[port]) as client:
        to = [f"v{number}-{n}@example.com" for n in range(5)]
        client.sendmail("deals@shop.example", to, SPAM.format(number=number))


def prepared(tmp_path: Path) -> str:
    """Write genuine mail and return the configuration that names it."""
    genuine = tmp_path / "genuine"
    genuine.mkdir()
    for number in range(40):
        (genuine / f"{number}.eml").write_text(HAM.format(number=number))
    return CONFIG.format(genuine=genuine, table=tmp_path / "trapline.cidr")


@pytest.mark.system
def test_spam_becomes_a_listing_and_genuine_mail_forbids_one(up: Up, tmp_path: Path) -> None:
    """The spammer is listed and published; the friend who also spams is not.

    Planted fault: a trial that ignores the Received chain lists the friend as well.
    """
    running = up(prepared(tmp_path))
    for number in range(4):
        send(running, "198.51.100.9", number)
        send(running, "203.0.113.77", number + 100)
    messages = running.rows("messages")
    assert len(messages) == 8
    raw = running.run("show", messages[0]["id"], "--raw")
    assert hashlib.sha256(raw).hexdigest() == messages[0]["sha256"]
    assert raw.replace(b"\r\n", b"\n").decode() == SPAM.format(number=0)

    table = tmp_path / "trapline.cidr"
    assert eventually(lambda: table.exists() and "198.51.100.9" in table.read_text())
    listed = running.run("blocklist", "--format", "plain").decode()
    assert "198.51.100.9" in listed
    assert "203.0.113.77" not in listed + table.read_text()
    why = json.loads(running.run("why", "198.51.100.9", "--json"))
    assert why
    suspects = running.rows("suspects")
    assert {row["value"] for row in suspects} >= {
        "198.51.100.9",
        "203.0.113.77",
    }
    running.run("why", "192.0.2.200", status=1)
    running.run("withdraw", "198.51.100.9", "--reason", "test")
    assert "198.51.100.9" not in running.run("blocklist", "--format", "plain").decode()
    assert eventually(lambda: "198.51.100.9" not in table.read_text())
    assert running.stop() == 0


@pytest.mark.system
def test_only_the_journal_is_needed(up: Up, tmp_path: Path) -> None:
    """Deleting all but journal, identity and configuration gives the same published bytes."""
    running = up(prepared(tmp_path))
    for number in range(4):
        send(running, "198.51.100.9", number)
    time.sleep(3)
    running.stop()
    first = {
        f: running.run("blocklist", "--format", f) for f in ("plain", "postfix", "rbldnsd")
    }
    for derived in ("lake", "state"):
        shutil.rmtree(running.home / derived)
    again = {f: running.run("blocklist", "--format", f) for f in first}
    assert b"198.51.100.9" in first["plain"]
    assert first == again


@pytest.mark.system
@pytest.mark.skipif(
    not shutil.which("swaks"), reason="swaks is not installed: no foreign client"
)
def test_swaks_is_served_in_the_clear_and_with_tls(up: Up) -> None:
    """Debian's swaks sends with the shipped configuration."""
    running = up()
    for more in ([], ["--tls"], ["--pipeline"]):
        words = ["swaks", "--server", f"127.0.0.1:{running.ports['smtp']}", "--hide-all"]
        words += ["--from", "a@example.org", "--to", "b@example.net", *more]
        assert subprocess.run(words, check=False, timeout=60).returncode == 0
    assert len(running.rows("messages")) == 3
    status = json.loads(running.run("status", "--json"))
    assert (status["running"], status["messages"]) == (True, 3)
    assert {row["sensor"] for row in status["sensors"]} == {"relay", "submission"}
    running.run("blocklist", "--format", "plain")
    assert running.stop() == 0
    running.run("journal", "verify")
