"""A full disk: the journal refuses, leaves no half record, and takes again when it can."""

import hashlib
import json
import os
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.system.conftest import Running, eventually

from trapline import journal
from trapline.errors import NotKept
from trapline.events import MailOffered, SessionOpened, Stamp

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]
SIZE = 4 * 2**20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Lend a disk of 4 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "trapline-test", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def mail(body: bytes) -> MailOffered:
    """Return the event that goes with a body."""
    digest = hashlib.sha256(body).hexdigest()
    return MailOffered(
        sender="a@b", recipients=("c@d",), content=digest, size=len(body), kept=len(body)
    )


def keep(hand: journal.Writer, at: int, body: bytes) -> str:
    """Append one message, commit it and return its id."""
    entry_id = hand.append(Stamp(at=at), mail(body), body)
    hand.commit()
    return entry_id


def test_a_full_disk_refuses_and_takes_again(small: Path) -> None:
    """Every id that was kept is readable, and no other; with segments and without room.

    Planted fault: no cutting back; the half batch hid what came after it.
    """
    body = os.urandom(150_000)
    # A reserve below nothing: the look at the free space never gets in before the kernel.
    hand = journal.Writer(small / "journal", "0", reserve_octets=-(2**30), segment_octets=10**6)
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 10**6)
    kept, refused = [], 0
    for at in range(60):
        if at == 30:
            ballast.unlink()
        try:
            kept.append(keep(hand, at, body))
        except NotKept:
            refused += 1
            if at < 30:
                assert [entry.id for entry in journal.read(small / "journal")] == kept
    hand.close()
    assert refused > 10
    assert [entry.id for entry in journal.read(small / "journal")] == kept
    assert all(journal.fetch(small / "journal", name)[1] == body for name in kept)
    assert len(set(kept)) == len(kept) > 20
    assert journal.verify(small / "journal").ok


def test_the_reserve_is_left_free(small: Path) -> None:
    """The refusal comes before the disk is full, and ends when there is room again."""
    clock = [10**18]
    hand = journal.Writer(
        small / "journal", "0", reserve_octets=2 * 2**20, now=lambda: clock[0]
    )
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 10**6)
    kept = []
    with pytest.raises(NotKept, match="reserve"):
        kept += [keep(hand, at, b"y" * 100_000) for at in range(100)]
    disk = os.statvfs(small)
    assert 2 * 2**20 <= disk.f_bavail * disk.f_frsize < 2 * 2**20 + 200_000
    ballast.unlink()
    with pytest.raises(NotKept):
        keep(hand, 200, b"y" * 100_000)  # the disk is looked at once a second
    clock[0] += 10**9
    keep(hand, 201, b"y" * 100_000)
    hand.close()


def test_a_start_on_a_full_disk_waits_for_room(small: Path) -> None:
    """The trap can start and answer 452 until then."""
    journal.Writer(small / "journal", "0", reserve_octets=0).close()
    ballast = small / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    clock = [10**18]
    hand = journal.Writer(small / "journal", "0", reserve_octets=0, now=lambda: clock[0])
    with pytest.raises(NotKept):
        keep(hand, 1, b"z" * 5000)
    ballast.unlink()
    clock[0] += 10**9
    hand.append(Stamp(at=2), SessionOpened())
    hand.commit()
    hand.close()
    assert [entry.stamp.at for entry in journal.read(small / "journal")] == [2]
    assert journal.verify(small / "journal").ok


def test_a_trap_answers_452_and_status_says_so(small: Path, up: Callable[..., Running]) -> None:
    """Until there is room again; planted fault: nobody wrote journal.short."""
    home = small / "home"
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 10**6)
    running = up("[journal]\nreserve_mib = 1\n", "--quiet", home=home)

    def refusing() -> bool:
        status: bool = json.loads(running.run("status", "--json"))["refusing"]
        return status

    body = b"Subject: big\r\n\r\n" + b"0123456789\r\n" * 10_000
    with smtplib.SMTP("127.0.0.1", running.ports["smtp"]) as client:
        assert not refusing()
        answers = set()
        while 452 not in answers:
            client.mail("a@b.example")
            client.rcpt("c@d.example")
            answers.add(client.data(body)[0])
    assert answers == {250, 452}
    assert refusing()
    assert b"DISK FULL: traps answer 452" in running.run("status")
    ballast.unlink()
    assert eventually(lambda: not refusing())
    kept = [row["refusing"] for row in events(home) if row["kind"] == "journal.short"]
    assert kept == [True, False]


def events(home: Path) -> list[dict[str, object]]:
    """Return all events of a journal, as JSON has them."""
    found = journal.read(home / "journal")
    return [dict(msgspec.to_builtins(entry.event)) for entry in found]
