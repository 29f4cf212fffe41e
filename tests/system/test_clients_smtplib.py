"""Python's smtplib: every extension that a persona advertises works."""

import smtplib
import ssl
from collections.abc import Callable, Iterator

import pytest
from tests.system.conftest import Running

from trapline import rooms

pytestmark = pytest.mark.system

Up = Callable[..., Running]
HOST = '[install]\nhost = "mx1.example.net"\n'
PERSONAS = sorted(rooms.personas())
KNOWN = {
    *("pipelining", "size", "vrfy", "etrn", "starttls", "enhancedstatuscodes", "8bitmime"),
    *("dsn", "smtputf8", "chunking", "help", "pipeconnect", "deliverby", "binarymime", "xrdst"),
}


@pytest.fixture(params=PERSONAS)
def client(request: pytest.FixtureRequest, up: Up) -> Iterator[tuple[smtplib.SMTP, Running]]:
    """Return a greeted client and the trap it talks to."""
    running = up(HOST, "--persona", request.param)
    with smtplib.SMTP("127.0.0.1", running.ports["smtp"], "probe.example.org", 30) as one:
        one.ehlo()
        yield one, running


Client = tuple[smtplib.SMTP, Running]


def needs(client: smtplib.SMTP, extension: str) -> None:
    """Skip where the persona does not advertise it."""
    if not client.has_extn(extension):
        pytest.skip(f"this persona does not advertise {extension.upper()}")


def test_nothing_is_advertised_that_no_test_here_knows(client: Client) -> None:
    """A dead extension gives a trap away, so a new one needs a test."""
    assert set(client[0].esmtp_features) <= KNOWN


def test_size(client: Client) -> None:
    """A message that is announced too big is refused before it comes."""
    smtp, _ = client
    needs(smtp, "size")
    limit = int(smtp.esmtp_features["size"] or 0)
    assert smtp.mail("a@b.org", ["SIZE=1000"])[0] == 250
    smtp.rset()
    if limit:
        assert smtp.mail("a@b.org", [f"SIZE={limit + 1}"])[0] == 552


def test_8bitmime(client: Client) -> None:
    """Eight bits come through as they are."""
    smtp, running = client
    needs(smtp, "8bitmime")
    body = b"Subject: x\r\n\r\n\xc3\xa4\xff\r\n"
    smtp.sendmail("a@b.org", ["c@d.org"], body, ["BODY=8BITMIME"])
    (row,) = running.rows("messages")
    assert running.run("show", row["id"], "--raw") == body


def test_smtputf8(client: Client) -> None:
    """Addresses beyond ASCII are taken once SMTPUTF8 was said."""
    smtp, running = client
    needs(smtp, "smtputf8")
    options = ["SMTPUTF8", "BODY=8BITMIME"]
    smtp.sendmail("m\xfcller@b.org", ["j\xfcrgen@d.org"], "Subject: x\r\n\r\nx\r\n", options)
    assert len(running.rows("messages")) == 1


def test_delivery_notices(client: Client) -> None:
    """RET, ENVID, NOTIFY and ORCPT are understood."""
    smtp, running = client
    needs(smtp, "dsn")
    of_mail = ["RET=HDRS", "ENVID=abc+2B1"]
    of_rcpt = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;c@d.org"]
    smtp.sendmail("a@b.org", ["c@d.org"], "Subject: x\r\n\r\nx\r\n", of_mail, of_rcpt)
    assert len(running.rows("messages")) == 1


def test_starttls(client: Client) -> None:
    """TLS starts, forgets what was said before, and carries mail."""
    smtp, running = client
    needs(smtp, "starttls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert smtp.starttls(context=context)[0] == 220
    smtp.ehlo()
    assert not smtp.has_extn("starttls")
    smtp.sendmail("a@b.org", ["c@d.org"], "Subject: x\r\n\r\nx\r\n")
    assert len(running.rows("messages")) == 1
    smtp.quit()
    assert [row["tls"] for row in running.rows("sessions")] == [True]


def test_chunking(client: Client) -> None:
    """BDAT, which smtplib does not speak itself: two chunks, with a NUL in them."""
    smtp, running = client
    needs(smtp, "chunking")
    smtp.mail("a@b.org")
    smtp.rcpt("c@d.org")
    chunks = [b"Subject: x\r\n\r\n", b"\0\xff.\r\n.\r\n"]
    for number, chunk in enumerate(chunks):
        last = b" LAST" if number else b""
        smtp.send(b"BDAT %d%s\r\n" % (len(chunk), last) + chunk)
        assert smtp.getreply()[0] == 250
    (row,) = running.rows("messages")
    assert running.run("show", row["id"], "--raw") == b"".join(chunks)


def test_pipelining(client: Client) -> None:
    """A group of commands gets a group of replies, in order."""
    smtp, _ = client
    needs(smtp, "pipelining")
    smtp.send(b"MAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\nRSET\r\nQUIT\r\n")
    assert [smtp.getreply()[0] for _ in range(4)] == [250, 250, 250, 221]


def test_words_without_parameters(client: Client) -> None:
    """HELP, VRFY, ETRN: answered, and the session goes on."""
    smtp, _ = client
    for extension, word, codes in (
        ("help", "HELP", {214}),
        ("vrfy", "VRFY a@b.org", {250, 252}),
        ("etrn", "ETRN b.org", {250, 458, 459}),
    ):
        if smtp.has_extn(extension):
            assert smtp.docmd(word)[0] in codes
    assert smtp.noop()[0] == 250


def test_enhanced_codes(client: Client) -> None:
    """Where they are promised they are there."""
    smtp, _ = client
    needs(smtp, "enhancedstatuscodes")
    assert smtp.mail("a@b.org")[1].startswith(b"2.1.0 ")
    assert smtp.rcpt("c@d.org")[1].startswith(b"2.1.5 ")


def test_binarymime_and_deliverby(client: Client) -> None:
    """Parameters of the rarer extensions are taken by who advertises them."""
    smtp, _ = client
    if smtp.has_extn("binarymime"):
        assert smtp.mail("a@b.org", ["BODY=BINARYMIME"])[0] == 250
    elif smtp.has_extn("deliverby"):
        assert smtp.mail("a@b.org", ["BY=3600;R"])[0] == 250
    else:
        pytest.skip("this persona advertises neither")
