"""nmap, as a scanner would run it: what it believes it found, persona by persona."""

import re
import shutil
import subprocess
from collections.abc import Callable

import pytest
from tests.fidelity.debian import Missing
from tests.fidelity.real import SERVERS, running
from tests.system.conftest import Running

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("nmap") is None, reason="nmap is not installed"),
    pytest.mark.timeout(240),
]

HOST = '[install]\nhost = "mx1.example.net"\n'
Up = Callable[..., Running]
NAMED = {
    "postfix-3.7": "Postfix smtpd",
    "postfix-3.10": "Postfix smtpd",
    "exim-4.96": "Exim smtpd 4.96",
    "sendmail-8.17": "Sendmail 8.17.1.9/8.17.1.9",
    "sendmail-8.12": "Sendmail 8.12.9/8.12.9",
    "exchange-2019": "Microsoft Exchange smtpd",
}
ASKED = 10  # names that the script tries
ACCEPTED = {"postfix-3.7": 16, "postfix-3.10": 16, "exim-4.96": 3, "sendmail-8.17": 14}


def nmap(port: int, *words: str, address: str = "127.0.0.1") -> str:
    """Return what nmap prints about one port."""
    command = ["nmap", "-Pn", "-n", "-v", "-p", str(port), *words, address]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def accepted(printed: str) -> list[str]:
    """Return the relay forms that nmap saw accepted."""
    return re.findall(r"MAIL FROM:<\S*> -> RCPT TO:<\S*>", printed)


@pytest.mark.parametrize("persona", NAMED)
def test_version_detection_names_the_software(up: Up, persona: str) -> None:
    """``nmap -sV`` says what the persona wants to be taken for, host name included."""
    running = up(HOST, "--persona", persona)
    printed = nmap(running.ports["smtp"], "-sV")
    (line,) = [x for x in printed.splitlines() if "/tcp" in x and "open" in x and "smtp" in x]
    assert NAMED[persona] in line
    assert re.search(r"Service Info: Host: +mx1\.example\.net", printed)


@pytest.mark.parametrize("persona", ACCEPTED)
def test_the_relay_test_counts_what_the_real_server_would_give(up: Up, persona: str) -> None:
    """Postfix takes all sixteen forms, Exim three before it hangs up."""
    running = up(HOST, "--persona", persona)
    printed = nmap(running.ports["smtp"], "--script", "+smtp-open-relay")
    assert len(accepted(printed)) == ACCEPTED[persona], printed
    assert len(running.rows("messages")) == 0


@pytest.mark.parametrize("persona", sorted(x for x in SERVERS if "+" not in x))
def test_the_relay_test_prints_the_same_for_the_real_server(up: Up, persona: str) -> None:
    """The truth behind ``ACCEPTED``: the same scan of the program itself."""
    try:
        with running(persona) as server:
            words = ["nmap", "-Pn", "-n", "-v", "-p", "25", "--script", "smtp-open-relay"]
            server.stage.run([*words, "192.0.2.25"]).wait(120)
            told = accepted((server.stage.scratch / "log").read_text())
    except Missing as why:
        pytest.skip(f"no real server for {persona}: {why}")
    trap = up(HOST, "--persona", persona)
    printed = nmap(trap.ports["smtp"], "--script", "+smtp-open-relay")
    assert accepted(printed.replace("[127.0.0.1]", "[192.0.2.25]")) == told


@pytest.mark.parametrize("persona", ["postfix-3.7", "exim-4.96", "sendmail-8.17"])
def test_the_list_of_commands_is_the_persona_s(up: Up, persona: str) -> None:
    """EHLO and HELP as nmap shows them."""
    running = up(HOST, "--persona", persona)
    printed = nmap(running.ports["smtp"], "--script", "+smtp-commands")
    wanted = {
        "postfix-3.7": "PIPELINING, SIZE 10240000, VRFY, ETRN, STARTTLS, ENHANCEDSTATUSCODES",
        "exim-4.96": "8BITMIME, PIPELINING, PIPECONNECT, CHUNKING, STARTTLS, SMTPUTF8, HELP",
        "sendmail-8.17": "PIPELINING, 8BITMIME, SIZE, DSN, ETRN, STARTTLS, DELIVERBY, HELP",
    }
    assert wanted[persona] in printed


def test_looking_for_users_finds_few_where_mail_is_for_our_own(up: Up) -> None:
    """A server that knew every name would be taken for a trap; unknown ones are refused."""
    config = HOST + (
        '[[trap]]\nkind = "smtp"\nport = 2525\nrecipients = "MX of these domains"\n'
        'domains = ["nmap.scanme.org"]\n'
    )
    running = up(config)
    script = ["--script", "+smtp-enum-users", "--script-args", "smtp-enum-users.methods={RCPT}"]
    printed = nmap(running.ports["smtp"], *script)
    found = re.findall(r"^\|_? +RCPT, (\w+)\s*$", printed, re.MULTILINE)
    assert {"root", "admin"} <= set(found)
    assert len(found) < ASKED, found
