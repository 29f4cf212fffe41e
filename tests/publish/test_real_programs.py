"""What Postfix, the kernel and rbldnsd make of our files: the real programs are the judges."""

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.publish.sample import LISTINGS, NOW, OLDER

from trapline.config import PublishSettings
from trapline.deliver import deliver
from trapline.listings import Listing
from trapline.publish import nftables, postfix, rbldnsd

pytestmark = pytest.mark.system


def run(*words: str, status: int = 0) -> str:
    """Run a program and return what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout


def needs(program: str) -> None:
    """Skip where a program is missing."""
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        pytest.skip(f"{program} is not installed")


# -- Postfix ------------------------------------------------------------------------------


def asked(table: Path, client: str) -> str:
    """Ask Postfix's own reader of cidr tables about one client."""
    words = ("postmap", "-q", client, f"cidr:{table}")
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def test_postfix_answers_from_our_table(tmp_path: Path) -> None:
    """Host, network, both versions; nobody else; and not a word of warning."""
    needs("postmap")
    table = tmp_path / "trapline.cidr"
    table.write_text(postfix.render(LISTINGS, postfix.Settings(), NOW))
    assert asked(table, "9.9.9.9") == f"REJECT {LISTINGS[2].reason}"
    assert asked(table, "203.1.113.200") == f"REJECT {LISTINGS[1].reason}"
    assert asked(table, "2a02:26f7:c9c0::9") == f"REJECT {LISTINGS[5].reason}"
    assert [asked(table, ip) for ip in ("9.9.9.8", "127.0.0.1", "2a01:4f8::2")] == [""] * 3


# -- nftables -----------------------------------------------------------------------------


@pytest.fixture
def inside() -> Iterator[tuple[str, ...]]:
    """Yield the words that run a program in a network namespace of its own."""
    needs("nft")
    if os.geteuid():
        pytest.skip("network namespaces need root")
    name = f"trapline-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        for address in ("9.9.9.9/32", "9.9.9.8/32", "2a01:4f8::1/128", "2a01:4f8::2/128"):
            run("ip", "-n", name, "address", "add", address, "dev", "lo")
        yield ("ip", "netns", "exec", name)
    finally:
        run("ip", "netns", "delete", name)


def load(inside: tuple[str, ...], file: Path, listings: list[Listing], now: int = NOW) -> None:
    """Check a ruleset without applying it, then load it."""
    file.write_text(nftables.render(listings, nftables.Settings(ports=(2525,)), now))
    run(*inside, "nft", "-c", "-f", str(file))
    run(*inside, "nft", "-f", str(file))


REACH = """
import socket, sys
for source in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with socket.socket(family) as ours, socket.socket(family) as theirs:
        ours.bind(("::1" if ":" in source else "127.0.0.1", 2525))
        ours.listen()
        theirs.settimeout(0.7)
        theirs.bind((source, 0))
        try:
            theirs.connect(ours.getsockname())
            print("in")
        except TimeoutError:
            print("dropped")
"""


def reach(inside: tuple[str, ...], *sources: str) -> list[str]:
    """Tell which clients get through to a service behind the ruleset."""
    return run(*inside, sys.executable, "-c", REACH, *sources).split()


def test_the_kernel_holds_what_we_listed_and_drops_it(
    inside: tuple[str, ...], tmp_path: Path
) -> None:
    """Listed peers reach nothing, others everything; what is withdrawn comes in again."""
    file = tmp_path / "trapline.nft"
    load(inside, file, list(LISTINGS))
    assert nftables.live(run(*inside, *nftables.CHECK)) == nftables.carried(LISTINGS)
    peers = ("9.9.9.9", "9.9.9.8", "2a01:4f8::1", "2a01:4f8::2")
    assert reach(inside, *peers) == ["dropped", "in", "dropped", "in"]
    load(inside, file, [LISTINGS[0]])
    assert reach(inside, *peers) == ["in"] * 4
    assert nftables.live(run(*inside, *nftables.CHECK)) == {"203.1.113.7"}
    load(inside, file, [])
    assert nftables.live(run(*inside, *nftables.CHECK)) == frozenset()


def test_elements_end_by_themselves_and_counters_stay(
    inside: tuple[str, ...], tmp_path: Path
) -> None:
    """Loaded again, an element has its new end; what was dropped stays counted."""
    file = tmp_path / "trapline.nft"
    load(inside, file, list(LISTINGS))
    reach(inside, "9.9.9.9")
    load(inside, file, [OLDER, LISTINGS[2]])
    shown = json.loads(run(*inside, *nftables.CHECK))["nftables"]
    counters = {c["name"]: c["packets"] for t in shown if (c := t.get("counter"))}
    assert counters["dropped4"] > 0
    elements = {
        e["elem"]["val"]: e["elem"] for t in shown for e in t.get("set", {}).get("elem", [])
    }
    assert elements["203.1.113.7"]["timeout"] == 86_400
    assert elements["9.9.9.9"]["comment"] == LISTINGS[2].case


def test_no_other_table_is_touched(inside: tuple[str, ...], tmp_path: Path) -> None:
    """The operator's own rules are there before and after, to the byte."""
    run(*inside, "nft", "add table inet own; add set inet own bad4 { type ipv4_addr; }")
    run(*inside, "nft", "add element inet own bad4 { 1.2.3.4 }")
    before = run(*inside, "nft", "list", "table", "inet", "own")
    load(inside, tmp_path / "trapline.nft", list(LISTINGS))
    load(inside, tmp_path / "trapline.nft", [])
    assert run(*inside, "nft", "list", "table", "inet", "own") == before


def test_a_delivery_is_proven_by_what_the_kernel_holds(
    inside: tuple[str, ...], tmp_path: Path
) -> None:
    """And a kernel that holds something else is trouble: the old list is loaded again."""
    file = str(tmp_path / "trapline.nft")
    words = (*inside, "nft", "-f", file)
    good = PublishSettings("nftables", file, reload=words, check=(*inside, *nftables.CHECK))
    settings = nftables.Settings()
    done = deliver(good, settings, [LISTINGS[0]], NOW, dry_run=False)
    assert (done.changed, done.trouble) == (True, "")
    lazy = PublishSettings("nftables", file, reload=("true",), check=good.check)
    done = deliver(lazy, settings, LISTINGS, NOW, dry_run=False)
    assert "5 missing" in done.trouble
    assert nftables.listed(Path(file).read_text()) == {"203.1.113.7"}
    deaf = PublishSettings("nftables", file, reload=(*inside, "nft", "-f", "/dev/null/x"))
    assert "status 1" in deliver(deaf, settings, LISTINGS, NOW, dry_run=False).trouble


# -- rbldnsd ------------------------------------------------------------------------------


@pytest.fixture
def zone() -> Iterator[int]:
    """Yield the port of an rbldnsd that serves our zone on loopback."""
    needs("rbldnsd")
    needs("dig")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = ["rbldnsd", "-n", "-b", f"127.0.0.1/{port}"]
    words += ["-u", "nobody"] if not os.geteuid() else []
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile("w+") as log:
        folder = Path(place)
        folder.chmod(0o755)  # rbldnsd is nobody when it reads
        text = rbldnsd.render(LISTINGS, rbldnsd.Settings(), time.time_ns())
        (folder / "trapline.rbl").write_text(text)
        words += ["-w", place, "bl.test:combined:trapline.rbl"]
        with subprocess.Popen(words, stdout=log, stderr=log) as server:
            try:
                until = time.monotonic() + 10
                while not dig(port, "2.0.0.127.bl.test") and time.monotonic() < until:
                    assert server.poll() is None
                    time.sleep(0.05)
                yield port
            finally:
                server.terminate()
                server.wait(10)
        log.seek(0)
        assert "invalid" not in (said := log.read()), said


def dig(port: int, name: str, kind: str = "A") -> str:
    """Ask the server one question."""
    words = ("dig", "+short", "+tries=1", "+time=1", "-p", str(port), "@127.0.0.1", name, kind)
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    return done.stdout.strip() if done.returncode == 0 else ""


def reverse(address: str) -> str:
    """Return the name under which an address is asked for."""
    pointer = ipaddress.ip_address(address).reverse_pointer
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa") + ".bl.test"


def test_rbldnsd_answers_from_our_zone(zone: int) -> None:
    """Addresses of both versions, networks, names, TXT; and nobody else."""
    for address in ("9.9.9.9", "203.1.113.200", "2a01:4f8::1", "2a02:26f7:c9c0::77"):
        assert dig(zone, reverse(address)) == "127.0.0.2", address
    for address in ("9.9.9.8", "203.1.114.1", "2a01:4f8::2", "1.2.3.4"):
        assert dig(zone, reverse(address)) == "", address
    assert dig(zone, reverse("9.9.9.9"), "TXT") == f'"{LISTINGS[2].reason}"'
    assert dig(zone, reverse("2a01:4f8::1"), "TXT") == f'"{LISTINGS[4].reason}"'
    assert dig(zone, "sub.spam.example.names.bl.test") == "127.0.0.2"
    assert dig(zone, "ham.example.names.bl.test") == ""


def test_the_test_entries_of_rfc_5782_are_there(zone: int) -> None:
    """Section 5: 127.0.0.2 is listed and 127.0.0.1 is not, in both versions; TEST is a name."""
    assert dig(zone, reverse("127.0.0.2")) == "127.0.0.2"
    assert dig(zone, reverse("127.0.0.1")) == ""
    assert dig(zone, reverse("::ffff:7f00:2")) == "127.0.0.2"
    assert dig(zone, reverse("::ffff:7f00:1")) == ""
    assert dig(zone, "test.names.bl.test") == "127.0.0.2"
    assert dig(zone, "invalid.names.bl.test") == ""
