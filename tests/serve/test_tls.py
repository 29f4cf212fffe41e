"""TLS: the trap speaks with Python's client and openssl's, old versions too."""

import shutil
import ssl
import subprocess
import time
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from tests.serve.stage import IDENTITY, PERSONA, answer, heard, rest, stage
from tests.serve.test_connection import closed

from trapline.events import MailOffered, TlsFailed, TlsStarted
from trapline.persona import Persona
from trapline.serve import certificate
from trapline.serve.plan import Limits

OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make one certificate for all tests here."""
    return str(certificate.ensure(tmp_path_factory.mktemp("identity"), PERSONA, IDENTITY))


def trusting() -> ssl.SSLContext:
    """Return a client that takes any certificate and any version."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


def test_starttls_then_a_message(pem: str) -> None:
    """Version, cipher and the name asked for are recorded; the dialogue goes on inside."""
    with stage(certificate=pem) as there, there.connect() as plain:
        heard(plain)
        assert answer(plain, b"STARTTLS\r\n") == b"220 go\r\n"
        with trusting().wrap_socket(plain, server_hostname="mx.example") as client:
            client.sendall(b"DATA\r\n")
            assert client.recv(100) == b"354 go\r\n"
            client.sendall(b"x" * 300_000 + b"\r\n.\r\nQUIT\r\n")
            assert rest(client) == b"250 kept\r\n221 bye\r\n"
        (started,) = (
            there.journal.events(TlsStarted)
            or [closed(there), *there.journal.events(TlsStarted)][1:]
        )
        assert (started.version, started.server_name) == ("TLSv1.3", "mx.example")
        assert not started.implicit
        assert there.journal.events(MailOffered)[0].size == 300_002


def test_what_was_injected_before_tls_is_dropped(pem: str) -> None:
    """RFC 3207 section 4.2: commands sent in the clear behind STARTTLS do not count.

    Planted: keeping the session's buffer over the handshake answers the NOOP inside.
    """
    with stage(certificate=pem) as there, there.connect() as plain:
        heard(plain)
        assert answer(plain, b"STARTTLS\r\nNOOP\r\nQUIT\r\n") == b"220 go\r\n"
        with trusting().wrap_socket(plain, server_hostname="mx.example") as client:
            client.sendall(b"WAIT\r\n")
            assert client.recv(100) == b"250 waited, 0 unread\r\n"


def test_implicit_tls(pem: str) -> None:
    """The handshake comes before the banner."""
    with stage(certificate=pem, implicit_tls=True) as there, there.connect() as plain:
        with trusting().wrap_socket(plain) as client:
            assert client.recv(100).startswith(b"220 ")
            client.sendall(b"QUIT\r\n")
            assert client.recv(100) == b"221 bye\r\n"
        closed(there)
        assert there.journal.events(TlsStarted)[0].implicit


@pytest.mark.parametrize("sent", [b"EHLO x\r\n", b"", b"\x16\x03\x01\x00\x05hello"])
def test_a_handshake_that_fails_is_recorded(pem: str, sent: bytes) -> None:
    """Plain text, silence and garbage end the session; no banner is ever shown."""
    limits = Limits(handshake_seconds=0.3)
    with stage(certificate=pem, implicit_tls=True, limits=limits) as there:
        with there.connect() as client:
            client.sendall(sent)
            assert b"220" not in rest(client)
        (end,) = closed(there)
        (failed,) = there.journal.events(TlsFailed)
        assert failed.reason
        assert (end.reason, end.sent) == ("gone", 0)
        assert not there.connections()


def test_a_peer_that_goes_in_the_handshake(pem: str) -> None:
    """After STARTTLS nothing but the end comes."""
    with stage(certificate=pem) as there:
        with there.connect() as client:
            heard(client)
            answer(client, b"STARTTLS\r\n")
        closed(there)
        assert there.journal.events(TlsFailed)[0].reason == "the peer closed"


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_old_versions_are_spoken(pem: str, version: str) -> None:
    """Old spam software has nothing newer."""
    context = trusting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with (
        stage(certificate=pem, implicit_tls=True) as there,
        context.wrap_socket(there.connect()) as client,
    ):
        assert client.recv(100).startswith(b"220 ")
        assert client.version() == version.replace("_", ".")


@pytest.mark.system
@pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")
def test_openssl_s_client(pem: str) -> None:
    """The client everybody tries by hand; ``-crlf`` and ``-quiet`` as in recipes."""
    with stage(certificate=pem, implicit_tls=True) as there:
        done = subprocess.run(
            [
                str(OPENSSL),
                "s_client",
                "-quiet",
                "-crlf",
                "-connect",
                "{}:{}".format(*there.address),
            ],
            input=b"HELO x\nQUIT\n",
            capture_output=True,
            check=False,
            timeout=20,
        )
        assert done.stdout.endswith(b"250 ok\r\n221 bye\r\n")


def test_the_certificate_is_the_personas_and_stays(tmp_path: Path) -> None:
    """CN is the host, self-signed, ten years, not made this minute; asked twice it is one."""
    file = certificate.ensure(tmp_path, PERSONA, IDENTITY)
    before = file.read_bytes()
    assert certificate.ensure(tmp_path, PERSONA, IDENTITY).read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o600
    made = x509.load_pem_x509_certificate(before)
    assert (
        made.subject.rfc4514_string()
        == "CN=mx1.oakmill17.example"
        == made.issuer.rfc4514_string()
    )
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 3650
    assert made.not_valid_before_utc.timestamp() < time.time()


def test_another_issuer_and_key() -> None:
    """Whatever the persona's table says."""
    looks = {"subject": "CN={host},O=Exim Developers,C=UK", "issuer": "CN=CA", "key": "ec256"}
    persona = Persona(
        name="x", software="x", dialect="x", certificate={**looks, "days": "5", "names": "none"}
    )
    made = x509.load_pem_x509_certificate(certificate.made(persona, IDENTITY))
    assert made.issuer.rfc4514_string() == "CN=CA"
    assert made.subject.rfc4514_string() == "C=UK,O=Exim Developers,CN=mx1.oakmill17.example"
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 5
    assert len(made.extensions) == 1


def test_half_close_inside_tls(pem: str) -> None:
    """A close_notify from the peer ends its octets; what it asked for is still answered."""
    with stage(certificate=pem, implicit_tls=True) as there, there.connect() as plain:
        client = trusting().wrap_socket(plain, suppress_ragged_eofs=True)
        assert client.recv(100).startswith(b"220 ")
        client.sendall(b"NOOP\r\n")
        assert client.recv(100) == b"250 ok\r\n"
        client.unwrap().close()
        assert closed(there)[0].reason == "gone"
