"""The self-check: Trapline is harmless, and fit to run, shown with evidence.

Each check is a row: what was looked at, the verdict, and the evidence in words.  What was
not shown is "unknown", never "ok".

Must not be in here: printing; anything that mends what it finds.
"""

import enum
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

import trapline
from trapline import journal
from trapline.serve import imports, state
from trapline.serve.attempts import Outcome
from trapline.serve.plan import Listener, Plan

SECONDS: Final = 30.0  # for a process that tries things
SPARE: Final = 200  # descriptors beside those of connections
DRIFT: Final = 0.05  # seconds that two clocks may part in WATCHED
WATCHED: Final = 0.2
GIB: Final = 2**30
DENIALS: Final = {"EPERM", "EACCES", "refused"}
CLOSURE: Final = """
import importlib, pkgutil, sys
import trapline.serve.worker, trapline.traps, trapline.dialects
for room in (trapline.traps, trapline.dialects):
    for module in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{module.name}")
print(*sorted(sys.modules))
"""
PORTS: Final = {"smtp": {25}, "submission": {465, 587}}  # where the world looks for them


class Verdict(enum.StrEnum):
    """What a check found."""

    OK = "ok"
    NO = "no"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True):
    """One row: ``evidence`` is for a person to read."""

    name: str
    verdict: Verdict
    evidence: str


def check(plan: Plan) -> Iterator[Finding]:
    """Look at everything; each finding comes as soon as it is made."""
    yield from egress(_tried())
    yield closure(_imported())
    yield from workers(plan)
    yield descriptors(plan, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield disk(plan)
    yield clock(plan)
    yield last_entry(plan)
    yield ports(plan.listeners)


# -- harmlessness ----------------------------------------------------------------------


def _tried() -> Outcome | str:
    """Have a process in the very sandbox of the traps try what they must not do."""
    with tempfile.TemporaryDirectory() as folder:
        done = _python("-m", "trapline.serve.attempts", folder)
    try:
        return msgspec.json.decode(done.stdout, type=Outcome)
    except msgspec.DecodeError:
        return done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]


def egress(outcome: Outcome | str) -> Iterator[Finding]:
    """Judge what was tried in the sandbox."""
    if isinstance(outcome, str):
        yield Finding("sandbox", Verdict.NO, f"the trial process failed: {outcome}")
        return
    walls, tried = outcome.walls, outcome.tried
    shown = [name for name in ("seccomp", "no_new_privs") if getattr(walls, name)]
    shown += [f"Landlock ABI {walls.landlock}"] * walls.files
    yield Finding(
        "sandbox",
        Verdict.OK if walls.seccomp and walls.no_new_privs and walls.files else Verdict.NO,
        "; ".join([f"in force: {', '.join(shown) or 'nothing'}", *walls.trouble]),
    )
    kinds = {
        "no connection goes out": ("connect to", "send a datagram"),
        "no socket is opened": ("open a",),
        "no program is run": ("run a", "start a"),
        "nothing is written elsewhere": ("write",),
        "no client is imported": ("import",),
    }
    for name, starts in kinds.items():
        mine = {act: what for act, what in tried.items() if act.startswith(starts)}
        good = bool(mine) and set(mine.values()) <= DENIALS
        words = "; ".join(f"{act}: {what}" for act, what in sorted(mine.items()))
        yield Finding(name, Verdict.OK if good else Verdict.NO, words or "could not be tried")


def _imported() -> list[str] | str:
    """Return all modules that a process with all traps has imported."""
    done = _python("-c", CLOSURE)
    if done.returncode:
        return done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return done.stdout.decode().split()


def closure(modules: list[str] | str) -> Finding:
    """Judge what a worker imports."""
    name = "imports of the trap process"
    if isinstance(modules, str):
        return Finding(name, Verdict.NO, f"a worker cannot be imported: {modules}")
    if bad := sorted(filter(imports.is_refused, modules)):
        return Finding(name, Verdict.NO, f"it imports {', '.join(bad)}")
    words = f"{len(modules)} modules, none of them a client of SMTP, HTTP or FTP"
    return Finding(name, Verdict.OK, words)


def workers(plan: Plan) -> Iterator[Finding]:
    """Look at the workers that run, with the kernel's own word for each."""
    running = [one for one in state.read(Path(plan.home)) if one.is_alive()]
    if not running:
        yield Finding(
            "running workers", Verdict.UNKNOWN, "none has told of itself; start `trapline up`"
        )
    for one in running:
        facts = _status(one.pid)
        good = facts.get("Seccomp") == "2" and facts.get("NoNewPrivs") == "1"
        words = f"pid {one.pid}: Seccomp {facts.get('Seccomp')}"
        words += (
            f", NoNewPrivs {facts.get('NoNewPrivs')}, uid {facts.get('Uid', '?').split()[0]}"
        )
        words += "".join(f"; {trouble}" for trouble in (one.walls.trouble if one.walls else ()))
        verdict = Verdict.OK if good else Verdict.NO
        yield Finding(f"running worker {one.worker}", verdict, words)


def _status(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process; nothing where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("latin-1").splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


# -- fitness ---------------------------------------------------------------------------


def descriptors(plan: Plan, allowed: int) -> Finding:
    """Compare the connections we promise to hold with the descriptors there are."""
    each = -(-plan.limits.total // plan.workers) + SPARE
    verdict = Verdict.OK if allowed >= each or allowed == resource.RLIM_INFINITY else Verdict.NO
    words = (
        f"limits.total = {plan.limits.total} with {plan.workers} workers needs {each} in each"
    )
    return Finding("descriptors", verdict, f"{words}; {allowed} are allowed (ulimit -Hn)")


def disk(plan: Plan) -> Finding:
    """Compare the room on the disk with what must stay free."""
    folder = Path(plan.home)
    if not folder.is_dir():
        return Finding("disk", Verdict.UNKNOWN, f"{folder} does not exist yet")
    there = os.statvfs(folder)
    free = there.f_bavail * there.f_frsize
    words = f"{free / GIB:.1f} GiB free, {plan.reserve_octets / GIB:.2f} GiB must stay free"
    return Finding("disk", Verdict.OK if free > plan.reserve_octets else Verdict.NO, words)


def clock(plan: Plan) -> Finding:
    """Look whether the clock can be right: stamps are evidence."""
    del plan
    real, steady = time.time(), time.monotonic()
    time.sleep(WATCHED)
    parted = abs((time.time() - real) - (time.monotonic() - steady))
    built = Path(str(trapline.__file__)).stat().st_mtime
    if real < built:
        return Finding("clock", Verdict.NO, "it is earlier than this installation's files")
    if parted > DRIFT:
        return Finding("clock", Verdict.NO, f"it jumped by {parted:.2f} s while looked at")
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(real))
    return Finding("clock", Verdict.OK, f"{now}, later than the installation, and steady")


def last_entry(plan: Plan) -> Finding:
    """Look when the journal was written last."""
    segments = sorted(plan.journal.glob("*.seg"), key=lambda file: file.stat().st_mtime)
    if not segments:
        return Finding("last entry", Verdict.UNKNOWN, "the journal is empty")
    since = journal.ends(plan.journal)
    last = segments[-1].stat().st_mtime
    if last > time.time() + 1:
        return Finding("last entry", Verdict.NO, f"{segments[-1].name} is from the future")
    ago = max(0.0, time.time() - last)
    words = f"{ago:.0f} s ago, in {segments[-1].name}; {len(since)} writers"
    return Finding("last entry", Verdict.OK, words)


def ports(listeners: tuple[Listener, ...]) -> Finding:
    """Look whether the traps make a server somebody could have set up."""
    name, odd = "plausible to strangers", list[str]()
    outside = [one for one in listeners if not one.address.startswith(("127.", "::1"))]
    for one in outside:
        usual = PORTS.get(one.kind, {one.port})
        if one.port not in usual:
            odd.append(f"{one} is none of {', '.join(map(str, sorted(usual)))}")
    for address in {one.address for one in outside}:
        personas = sorted({one.persona for one in outside if one.address == address})
        if len(personas) > 1:
            odd.append(f"{address} is {' and '.join(personas)} at once")
    if odd:
        words = f"{'; '.join(odd)} (unless ports are redirected)"
        return Finding(name, Verdict.UNKNOWN, words)
    where = "usual ports, one persona an address" if outside else "only this machine sees them"
    return Finding(name, Verdict.OK, f"{len(listeners)} listeners: {where}")


def _python(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run our own Python on our own code."""
    return subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-P", *words], capture_output=True, check=False, timeout=SECONDS
    )
