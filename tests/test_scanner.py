"""Scanner: clamd's INSTREAM, played by a thread; and nothing that leaves this machine."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trapline.config import ClamdSettings
from trapline.errors import ConfigError, TraplineError
from trapline.scanner import CHUNK, infected


class Clamd:
    """A daemon that knows one virus."""

    def __init__(self, listening: socket.socket) -> None:
        self.heard = b""
        self.reply = b""
        self._listening = listening
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            with line, line.makefile("rb") as octets:
                assert octets.read(10) == b"zINSTREAM\0"
                heard = b""
                while size := int.from_bytes(octets.read(4), "big"):
                    assert size <= CHUNK
                    heard += octets.read(size)
                self.heard = heard
                found = (
                    b"stream: Eicar-Signature FOUND\0" if b"EICAR" in heard else b"stream: OK\0"
                )
                line.sendall(self.reply or found)


@pytest.fixture
def clamd(tmp_path: Path) -> Iterator[tuple[Clamd, ClamdSettings]]:
    """Yield a daemon on a local socket, and the settings that find it."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "ctl"))
        listening.listen()
        yield Clamd(listening), ClamdSettings(address=str(tmp_path / "ctl"), seconds=5.0)
        listening.shutdown(socket.SHUT_RDWR)


def test_a_message_is_sent_whole_and_the_verdict_read(
    clamd: tuple[Clamd, ClamdSettings],
) -> None:
    """Planted: sending the first chunk alone let the virus behind it pass."""
    daemon, settings = clamd
    assert infected(settings, b"harmless") == ""
    body = b"x" * (2 * CHUNK + 5) + b"EICAR"
    assert infected(settings, body) == "Eicar-Signature"
    assert daemon.heard == body


def test_an_answer_that_is_no_verdict_is_trouble(clamd: tuple[Clamd, ClamdSettings]) -> None:
    """Planted: taking whatever is not FOUND for clean."""
    daemon, settings = clamd
    daemon.reply = b"INSTREAM size limit exceeded. ERROR\0"
    with pytest.raises(TraplineError, match="size limit exceeded"):
        infected(settings, b"x")
    daemon.reply = b"\0"
    with pytest.raises(TraplineError, match="answers"):
        infected(settings, b"x")


def test_a_daemon_on_the_loopback_is_asked_as_well() -> None:
    """By address and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        Clamd(listening)
        settings = ClamdSettings(address=f"127.0.0.1:{listening.getsockname()[1]}")
        assert infected(settings, b"EICAR") == "Eicar-Signature"
        listening.shutdown(socket.SHUT_RDWR)


def test_nobody_is_asked_where_nobody_is_set_up_or_there(tmp_path: Path) -> None:
    """No address, no question; no daemon, trouble."""
    assert infected(ClamdSettings(), b"EICAR") == ""
    with pytest.raises(TraplineError, match="No such file"):
        infected(ClamdSettings(address=str(tmp_path / "no")), b"x")


@pytest.mark.parametrize("address", ["192.0.2.1:3310", "clamd:3310", "[::2]:3310", "127.0.0.1"])
def test_no_message_leaves_this_machine(address: str) -> None:
    """Names are not even resolved."""
    with pytest.raises(ConfigError, match="loopback"):
        infected(ClamdSettings(address=address), b"x")
