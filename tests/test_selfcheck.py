"""The self-check: what is not shown is never ok, and each verdict follows its evidence."""

import os
import time
from pathlib import Path

import pytest

from trapline import selfcheck
from trapline.journal import Writer
from trapline.selfcheck import Verdict
from trapline.serve import state
from trapline.serve.attempts import Outcome
from trapline.serve.plan import Limits, Listener, Plan, Task
from trapline.serve.sandbox import Walls

GOOD = Walls(
    no_new_privs=True, seccomp=True, landlock=7, network=True, files=True, imports=True
)
DENIED = {
    "connect to 192.0.2.1": "EPERM",
    "open a socket": "EPERM",
    "run a program": "EPERM",
    "write elsewhere": "EACCES",
    "import smtplib": "refused",
}


def plan(home: Path, *listeners: Listener, total: int = 1000, reserve: int = 0) -> Plan:
    """Return a plan for this folder."""
    return Plan(
        listeners=listeners, home=str(home), limits=Limits(total=total), reserve_octets=reserve
    )


def listener(kind: str, address: str, port: int, persona: str = "postfix-3.7") -> Listener:
    """Return a listener."""
    return Listener(name=kind, kind=kind, address=address, port=port, persona=persona)


def verdicts(outcome: Outcome | str) -> dict[str, Verdict]:
    """Judge an outcome."""
    return {row.name: row.verdict for row in selfcheck.egress(outcome)}


def test_all_denied_is_ok() -> None:
    """Five attempts, five denials, all walls."""
    assert set(verdicts(Outcome(GOOD, DENIED)).values()) == {Verdict.OK}


@pytest.mark.parametrize("act", DENIED)
@pytest.mark.parametrize("became", ["done", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"])
def test_anything_but_a_denial_is_no(act: str, became: str) -> None:
    """Refused by the other end, or by a missing route, is not denied: a packet may have left.

    Planted: taking every error for a denial lets ECONNREFUSED pass.
    """
    found = verdicts(Outcome(GOOD, DENIED | {act: became}))
    assert sorted(found.values()).count(Verdict.NO) == 1


def test_what_was_not_tried_is_not_ok() -> None:
    """No attempt, no process, no wall: no."""
    assert set(verdicts(Outcome(GOOD, {})).values()) == {Verdict.OK, Verdict.NO}
    assert verdicts("Segmentation fault") == {"sandbox": Verdict.NO}
    assert verdicts(Outcome(Walls(trouble=("none",)), DENIED))["sandbox"] is Verdict.NO


@pytest.mark.system
def test_the_very_sandbox_is_tried() -> None:
    """The whole way, on this kernel."""
    outcome = selfcheck._tried()
    assert isinstance(outcome, Outcome), outcome
    if not outcome.walls.seccomp:
        pytest.skip(str(outcome.walls.trouble))
    assert set(verdicts(outcome).values()) == {Verdict.OK}
    assert not Path("/tmp/trapline-selfcheck").exists()  # noqa: S108 - looked for, not made


def test_a_client_in_the_closure_is_no() -> None:
    """By module or by package."""
    assert selfcheck.closure(["os", "ssl"]).verdict is Verdict.OK
    for name in ("smtplib", "http.client", "asyncio.events", "urllib.request"):
        assert selfcheck.closure(["os", name]).verdict is Verdict.NO
    assert selfcheck.closure("ImportError: no").verdict is Verdict.NO


def test_the_workers_own_closure_is_clean() -> None:
    """A worker with every trap and dialect imports no client."""
    assert selfcheck.closure(selfcheck._imported()).verdict is Verdict.OK


def test_a_process_without_walls_is_no(tmp_path: Path) -> None:
    """The kernel's word counts: this test process says it is a worker, and has no filter."""
    task = Task(plan=plan(tmp_path), index=0, host="x", seed=b"", sockets=())
    state.writable(task.plan)
    (none,) = selfcheck.workers(task.plan)
    assert none.verdict is Verdict.UNKNOWN
    state.write(task, state.began(os.getpid()), GOOD)
    (row,) = selfcheck.workers(task.plan)
    assert row.verdict is Verdict.NO
    assert "Seccomp 0" in row.evidence
    state.write(task, state.began(os.getpid()) + 1, GOOD)  # another process of that number
    (gone,) = selfcheck.workers(task.plan)
    assert gone.verdict is Verdict.UNKNOWN


def test_descriptors_must_do_for_all_connections(tmp_path: Path) -> None:
    """With what a worker needs besides."""
    wanted = plan(tmp_path, total=1000)
    assert selfcheck.descriptors(wanted, 1200).verdict is Verdict.OK
    assert selfcheck.descriptors(wanted, 1199).verdict is Verdict.NO


def test_disk(tmp_path: Path) -> None:
    """Less than must stay free is no; no folder yet is unknown."""
    assert selfcheck.disk(plan(tmp_path)).verdict is Verdict.OK
    assert selfcheck.disk(plan(tmp_path, reserve=2**60)).verdict is Verdict.NO
    assert selfcheck.disk(plan(tmp_path / "none")).verdict is Verdict.UNKNOWN


def test_a_clock_before_the_installation_is_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1970, and a clock that jumps while looked at."""
    assert selfcheck.clock(plan(tmp_path)).verdict is Verdict.OK
    real = time.time
    monkeypatch.setattr("trapline.selfcheck.time.time", lambda: 1.0)
    assert selfcheck.clock(plan(tmp_path)).verdict is Verdict.NO
    jumps = iter([real(), real() + 60])
    monkeypatch.setattr("trapline.selfcheck.time.time", lambda: next(jumps))
    assert "jumped" in selfcheck.clock(plan(tmp_path)).evidence


def test_the_last_entry(tmp_path: Path) -> None:
    """An empty journal is unknown, one from the future is no."""
    there = plan(tmp_path)
    assert selfcheck.last_entry(there).verdict is Verdict.UNKNOWN
    Writer(there.journal, "0", reserve_octets=0).close()
    assert selfcheck.last_entry(there).verdict is Verdict.OK
    (segment,) = there.journal.glob("*.seg")
    os.utime(segment, (time.time() + 1000,) * 2)
    assert selfcheck.last_entry(there).verdict is Verdict.NO


def test_two_personas_on_one_address_are_not_plausible() -> None:
    """Nor is a relay on a port where nobody looks; on loopback nobody sees either."""
    relay, other = listener("smtp", "192.0.2.1", 25), listener("smtp", "192.0.2.1", 2525)
    exchange = listener("submission", "192.0.2.1", 587, "exchange-2019")
    assert selfcheck.ports((relay,)).verdict is Verdict.OK
    assert selfcheck.ports((listener("smtp", "127.0.0.1", 2525),)).verdict is Verdict.OK
    assert "none of 25" in selfcheck.ports((other,)).evidence
    found = selfcheck.ports((relay, exchange))
    assert found.verdict is Verdict.UNKNOWN
    assert "exchange-2019 and postfix-3.7 at once" in found.evidence
