"""Every answer of a persona against that of the real server it imitates.

Without the servers, against what they said when it was written down; with them (root,
Debian), against the running program, from memory and through the whole of ``trapline up``.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fidelity import compare, fuzz, script, truth
from tests.fidelity.debian import ROOT, Missing
from tests.fidelity.real import HOST, SERVERS, Server, running
from tests.fidelity.score import WIRE, Result, in_memory, over_tcp, persona_trap

from trapline.rehearsal import LOCAL

DIALOGUES = {name: {one.name: one for one in script.load_for(name)} for name in SERVERS}
WRITTEN = [
    (name, which)
    for name in truth.names()
    for which in truth.load(name)
    if which in DIALOGUES[name] and WIRE not in which
]
PORT = 2525
CONFIG = """
[install]
host = "{host}"

[[trap]]
kind = "smtp"
address = ["{address}"]
port = {port}
persona = "{persona}"
auth = "{auth}"
"""


@pytest.mark.parametrize(("name", "which"), WRITTEN, ids=map(" ".join, WRITTEN))
def test_a_persona_says_what_its_model_said(name: str, which: str) -> None:
    """Code, text, lines, line ends, and who closes when; only ids and dates are masked."""
    dialogue = DIALOGUES[name][which]
    rows = truth.compared(name, dialogue, persona_trap(name))
    assert all(row.same for row in rows), compare.diff(dialogue, rows)


def test_everything_was_written_down() -> None:
    """Postfix and Exim were heard on every dialogue there is."""
    for name in ("postfix-3.7", "exim-4.96", "postfix-3.7+auth", "exim-4.96+auth"):
        wanted = {which for which in DIALOGUES[name] if WIRE not in which}
        assert set(truth.load(name)) >= wanted


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Return the real server, or skip with the reason why there is none."""
    try:
        with running(request.param) as real:
            yield real
    except Missing as why:
        pytest.skip(f"no real server for {request.param}: {why}")


def said_the_same(results: list[Result]) -> None:
    """Fail with the first differences."""
    wrong = [compare.diff(one.dialogue, one.rows) for one in results if not one.same]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(results)} differ", *wrong[:3]])


@pytest.mark.system
@pytest.mark.xdist_group("fidelity")
def test_a_persona_cannot_be_told_from_the_running_server(server: Server) -> None:
    """All dialogues, played with both now."""
    said_the_same(in_memory(server.name, DIALOGUES[server.name].values(), server))


@pytest.mark.system
@pytest.mark.xdist_group("fidelity")
def test_nor_by_what_nobody_thought_of(server: Server) -> None:
    """A hundred random dialogues; Sendmail's rewriting is followed for most addresses only."""
    results = in_memory(server.name, fuzz.dialogues(2026, 100), server)
    if server.name.startswith("sendmail"):
        same, rows = compare.score(row for one in results for row in one.rows)
        assert same / rows > 0.98
    else:
        said_the_same(results)


@pytest.mark.system
@pytest.mark.xdist_group("fidelity")
@pytest.mark.timeout(600)
def test_nor_over_tcp_through_the_real_shell(server: Server) -> None:
    """Every fourth dialogue, with `trapline up` beside the server in the same network."""
    scratch = server.stage.scratch
    persona, plus, _ = server.name.partition("+auth")
    auth = "always" if plus else "never"
    text = CONFIG.format(
        host=HOST, address=LOCAL.address, port=PORT, persona=persona, auth=auth
    )
    (scratch / "trapline.toml").write_text(text)
    command = [str(Path(sys.executable).with_name("trapline")), "up"]
    env = {**os.environ, "TRAPLINE_HOME": str(scratch / "home"), "TRAPLINE_PORTS": ""}
    up = server.stage.run([*command, "--config", str(scratch / "trapline.toml")], env)
    try:
        server.stage.await_greeting(PORT)
        sample = list(DIALOGUES[server.name].values())[::4]
        results = over_tcp(sample, server, lambda: server.stage.connect(PORT, 10))
        said_the_same(results)
    finally:
        up.terminate()
        up.wait(20)


def test_the_repository_is_where_it_should_be() -> None:
    """The cache of unpacked servers must not end up in a commit."""
    assert "/build/" in (ROOT / ".gitignore").read_text().split()
