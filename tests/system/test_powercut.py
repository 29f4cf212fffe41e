"""Power cuts: what was acknowledged is on the disk, not only in the kernel's memory.

``kill -9`` proves nothing about fsync: the page cache outlives the process.  So the writer
works on ext4 in a file, is frozen at some moment, and the file is copied: the copy holds
what a disk would hold after a power cut, without the dirty pages of the file system in it.
The copy is mounted, mended and compared with what had been acknowledged.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from trapline import journal
from trapline.events import MailOffered
from trapline.lake import Lake

CUTS = 5
MIB = 128  # room enough that ext4 need not write early

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
    pytest.mark.skipif(not shutil.which("mkfs.ext4"), reason="needs mkfs.ext4 (e2fsprogs)"),
]

BODY = """
def body(n):
    return (b"message %d\\r\\n\\0\\xff" % n) * (n % 97)
"""

WRITER = (
    BODY
    + """
import hashlib, pathlib, sys, time
from trapline import journal
from trapline.events import MailOffered, Stamp
hand = journal.Writer(pathlib.Path(sys.argv[1]), "0", segment_octets=400_000, reserve_octets=0)
n = 0
while True:
    ids = []
    for _ in range(n % 7 + 1):
        content = body(n)
        event = MailOffered(sender=str(n), recipients=("a@b",), size=len(content),
            kept=len(content), content=hashlib.sha256(content).hexdigest())
        ids.append(hand.append(Stamp(at=n), event, content))
        n += 1
    hand.commit()
    print(*ids, flush=True)
    time.sleep(float(sys.argv[2]))
"""
)

LAKE = """
import pathlib, sys
from trapline import lake
lake.GRACE, rounds = 0.2, 0
while True:
    with lake.Lake(pathlib.Path(sys.argv[1]).parent / "lake") as x:
        x.catch_up(pathlib.Path(sys.argv[1]), limit=200)
        print(x.query("SELECT count(*) FROM entries")[0][0], flush=True)
        rounds += 1
        if rounds % 5 == 0:
            x.compact()
"""


def run(*words: str | Path) -> None:
    """Run a program that must succeed."""
    subprocess.run(list(map(str, words)), check=True, capture_output=True)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount a file system in a file; unmounting lets its loop device go."""
    place.mkdir()
    # The kernel must not commit by itself while the copy is being made; and ext4's habit
    # of writing truncated files early (DuckDB truncates) must not hide a missing fsync.
    run("mount", "-o", "loop,commit=60,noauto_da_alloc", image, place)
    try:
        yield place
    finally:
        run("umount", place)
        place.rmdir()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Lend an image and where it is mounted."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(MIB * 2**20)
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    try:
        with mounted(image, tmp_path / "disk") as place:
            yield image, place
    except subprocess.CalledProcessError as error:
        pytest.skip(f"loop devices do not work here: {error.stderr!r}")


class Worker:
    """A process at work on the disk, whose lines are acknowledgements."""

    def __init__(self, program: str, directory: Path, log: Path, pause: float = 0) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, str(directory), str(pause)],
                stdout=out,
                stderr=out,
            )

    def lines(self) -> list[str]:
        """Return the whole lines written so far; the log lies on another disk."""
        *lines, _ = self.log.read_text().split("\n")
        return lines

    def wait_for_more(self, lines: int) -> None:
        """Return when it has come further, by some lines."""
        wanted, deadline = len(self.lines()) + lines, time.monotonic() + 60
        while len(self.lines()) < wanted:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def working(*workers: Worker) -> Iterator[None]:
    """End workers in all cases, before the disk is unmounted."""
    try:
        yield
    finally:
        for worker in workers:
            worker.end()


@contextmanager
def cut(image: Path, name: str, *workers: Worker) -> Iterator[tuple[Path, list[list[str]]]]:
    """Yield the disk as a power cut leaves it, and what each had acknowledged by then."""
    copy = image.with_name(name)
    for worker in workers:
        worker.process.send_signal(signal.SIGSTOP)
        stopped, status = os.waitpid(worker.process.pid, os.WUNTRACED)
        assert stopped, status
    lines = [worker.lines() for worker in workers]
    shutil.copyfile(image, copy)
    for worker in workers:
        worker.process.send_signal(signal.SIGCONT)
    with ExitStack() as stack:
        stack.callback(copy.unlink)
        yield stack.enter_context(mounted(copy, copy.with_suffix(".mnt"))), lines


def content(n: int) -> bytes:
    """Return the body of message ``n``, as the writer makes it."""
    space: dict[str, object] = {}
    exec(BODY, space)  # noqa: S102 - one definition for both processes
    made = space["body"](n)  # type: ignore[operator]
    assert isinstance(made, bytes)
    return made


def compare(directory: Path, acknowledged: set[str]) -> int:
    """Mend a journal and demand that it holds all that was promised, all of it whole."""
    journal.Writer(directory, "0", reserve_octets=0).close()
    report = journal.verify(directory)
    assert report.ok, report
    kept = list(journal.read(directory))
    assert acknowledged <= {entry.id for entry in kept}
    for entry in kept[::20] + kept[-20:]:  # verify has compared all bodies' digests
        _, octets = journal.fetch(directory, entry.id)
        assert isinstance(entry.event, MailOffered)
        assert octets == content(int(entry.event.sender))
        assert hashlib.sha256(octets).hexdigest() == entry.event.content
    return len(kept)


def test_a_power_cut_takes_nothing_that_was_acknowledged(
    disk: tuple[Path, Path], tmp_path: Path
) -> None:
    """Planted fault: a commit without fdatasync lost hundreds of entries."""
    dice, (image, place) = random.Random(25), disk  # noqa: S311 - moments, not secrets
    worker = Worker(WRITER, place / "deep" / "journal", tmp_path / "log")
    with working(worker):
        for n in range(CUTS):
            worker.wait_for_more(dice.randrange(20, 200))
            with cut(image, f"copy{n}", worker) as (found, (lines,)):
                acknowledged = {name for line in lines for name in line.split()}
                assert len(acknowledged) >= 20
                assert compare(found / "deep" / "journal", acknowledged) >= len(acknowledged)


def test_a_power_cut_leaves_the_lake_where_its_position_is(
    disk: tuple[Path, Path], tmp_path: Path
) -> None:
    """Rows are those up to the position, each once; then it catches up to the end.

    Planted fault: Parquet files that were not synced before the catalog named them.
    """
    dice, (image, place) = random.Random(26), disk  # noqa: S311 - moments, not secrets
    writer = Worker(WRITER, place / "journal", tmp_path / "log", pause=0.02)
    with working(writer):
        writer.wait_for_more(5)
        laker = Worker(LAKE, place / "journal", tmp_path / "lakelog")
        with working(laker):
            for n in range(CUTS):
                laker.wait_for_more(dice.randrange(2, 5))
                assert writer.process.poll() is None, writer.lines()[-5:]
                with cut(image, f"copy{n}", writer, laker) as (found, (_, counts)):
                    check_lake(found, int(counts[-1]))


def check_lake(found: Path, acknowledged: int) -> None:
    """Compare a lake with the journal beside it."""
    compare(found / "journal", set())
    with Lake(found / "lake") as lake:
        position = lake.positions()["0"]
        taken = {
            entry.id
            for entry in journal.read(found / "journal")
            if tuple(map(int, entry.id.split("-")[1:])) <= (position.segment, position.ordinal)
        }
        ids = [name for (name,) in lake.query("SELECT id FROM entries")]
        assert len(ids) == len(set(ids)) >= acknowledged
        assert set(ids) == taken
        lake.catch_up(found / "journal")
        everything = {entry.id for entry in journal.read(found / "journal")}
        assert {name for (name,) in lake.query("SELECT id FROM entries")} == everything
