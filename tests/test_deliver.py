"""Deliver: the file is whole or the old one, and no success is claimed that was not seen."""

import os
import stat
import sys
import time
from pathlib import Path

import pytest
from tests.publish.sample import LISTINGS, NOW

from trapline import deliver, files
from trapline.config import PublishSettings
from trapline.deliver import orders, proof
from trapline.deliver.orders import Failed, run
from trapline.listings import Listing
from trapline.publish import nftables, plain, postfix

HOST, NET = LISTINGS[2], LISTINGS[1]


def target(
    path: Path, reload: tuple[str, ...] = (), check: tuple[str, ...] = ()
) -> PublishSettings:
    """Return a target in the format of Postfix."""
    return PublishSettings(kind="postfix", path=str(path), reload=reload, check=check)


def go(to: PublishSettings, *listings: Listing, **how: bool) -> deliver.Delivery:
    """Deliver some listings."""
    how.setdefault("dry_run", False)
    return deliver.deliver(to, postfix.Settings(), listings, NOW, **how)


def python(code: str, *more: str) -> tuple[str, ...]:
    """Return the words of a command that runs some Python."""
    return (sys.executable, "-c", code, *more)


def test_a_dry_run_touches_nothing_and_says_what_it_would_do(tmp_path: Path) -> None:
    """Planted: writing the file before asking whether to write it."""
    path = tmp_path / "list"
    marker = python("open(__import__('sys').argv[1], 'w')", str(tmp_path / "ran"))
    done = go(target(path, marker), HOST, NET, dry_run=True)
    assert (done.changed, done.added, done.trouble) == (True, ("203.1.113.0/24", "9.9.9.9"), "")
    assert str(done).endswith("would write 2 listings (2 added, 0 removed)")
    assert list(tmp_path.iterdir()) == []


def test_what_changed_is_counted_against_the_live_file(tmp_path: Path) -> None:
    """And an equal list changes nothing."""
    path = tmp_path / "list"
    assert go(target(path), HOST).changed
    done = go(target(path), NET)
    assert (done.added, done.removed) == (("203.1.113.0/24",), ("9.9.9.9",))
    assert not go(target(path), NET).changed
    assert path.read_text() == postfix.render([NET], postfix.Settings(), NOW)


def test_mode_owner_and_link_stay(tmp_path: Path) -> None:
    """The mail server must be able to read it the day after, too."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("# foreign\n")
    real.chmod(0o640)
    if not os.geteuid():
        os.chown(real, 12, 34)
    link.symlink_to(real)
    assert not go(target(link), HOST).trouble
    was = real.stat()
    assert link.is_symlink()
    assert stat.S_IMODE(was.st_mode) == 0o640
    if not os.geteuid():
        assert (was.st_uid, was.st_gid) == (12, 34)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["link", "real"], "no litter"


def test_the_reload_command_runs_without_a_shell(tmp_path: Path) -> None:
    """Planted: joining the words for a shell made the second file."""
    words = python("import sys; open(sys.argv[1], 'w')", f"{tmp_path}/a; touch {tmp_path}/b")
    assert "No such file" in go(target(tmp_path / "list", words), HOST).trouble
    assert not (tmp_path / "b").exists()


def test_a_failed_reload_puts_the_old_file_back(tmp_path: Path) -> None:
    """And reloads again; the operator sees what the command said, escaped."""
    path, log = tmp_path / "list", tmp_path / "log"
    go(target(path), HOST)
    old = path.read_bytes()
    code = (
        "import sys; t = open(sys.argv[1]).read(); open(sys.argv[2], 'a').write(t + '--');"
        "sys.exit('bad \\x1b[2J table' if '203.1.113' in t else 0)"
    )
    done = go(target(path, python(code, str(path), str(log))), HOST, NET)
    assert path.read_bytes() == old
    assert "status 1: bad \\x1b[2J table" in done.trouble
    assert "NOT DELIVERED" in str(done)
    assert log.read_text().split("--")[1] == old.decode(), "the old list was loaded again"


def test_where_there_was_no_file_a_failure_leaves_an_empty_list(tmp_path: Path) -> None:
    """Half a first list is worse than none."""
    path = tmp_path / "list"
    done = go(target(path, ("/nonexistent/reload",)), HOST)
    assert "No such file or directory" in done.trouble
    assert path.read_text() == postfix.render([], postfix.Settings(), NOW)


def test_a_folder_that_is_not_there_is_trouble_not_a_crash(tmp_path: Path) -> None:
    """The wheel turns on."""
    assert "No such file" in go(target(tmp_path / "no" / "list"), HOST).trouble


def test_a_settled_file_is_left_alone_and_an_unsettled_one_proven(tmp_path: Path) -> None:
    """After a restart nobody knows whether the reload was still run."""
    path, ran = tmp_path / "list", tmp_path / "ran"
    words = python("open(__import__('sys').argv[1], 'a').write('x')", str(ran))
    for settled, runs in ((False, "x"), (True, "x"), (False, "xx")):
        assert not go(target(path, words), HOST, settled=settled).trouble
        assert ran.read_text() == runs


CAT = "import sys; print(open(sys.argv[1]).read())"


def test_a_check_must_show_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a check whose status alone was looked at passed with any answer."""
    monkeypatch.setattr(proof, "SECONDS", 0.3)
    path = tmp_path / "list"
    assert not go(target(path, check=python(CAT, str(path))), HOST).trouble
    done = go(target(path, check=python("print('REJECT something')")), HOST, NET)
    assert "9.9.9.9/32 is listed, and the answer is 'REJECT something" in done.trouble
    assert "203.1.113" not in path.read_text()


ASK = "import sys; print(next((l for l in open(sys.argv[1]) if sys.argv[2] in l), ''))"


def test_a_check_that_takes_an_address_asks_for_withdrawn_ones_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that still answers from the old list did not take up the new one."""
    monkeypatch.setattr(proof, "SECONDS", 0.3)
    path, stale = tmp_path / "list", tmp_path / "stale"
    go(target(path), HOST, LISTINGS[3])
    stale.write_bytes(path.read_bytes())
    check = python(ASK, str(stale), "{address}")
    done = go(target(path, check=check), LISTINGS[3])
    assert "9.9.9.9/32 was withdrawn, and the answer is '9.9.9.9/32\\tREJECT" in done.trouble
    assert not go(target(path, check=python(ASK, str(path), "{address}")), LISTINGS[3]).trouble


def test_a_check_may_need_a_moment(tmp_path: Path) -> None:
    """The first answer may still be the old one."""
    path, second = tmp_path / "list", tmp_path / "second"
    code = (
        "import sys, pathlib; p = pathlib.Path(sys.argv[2]);"
        "print(open(sys.argv[1]).read() if p.exists() else ''); p.touch()"
    )
    assert not go(target(path, check=python(code, str(path), str(second))), HOST).trouble


def test_names_for_a_dns_list_are_filled_in() -> None:
    """``{reverse}`` is what stands before the zone."""
    assert HOST.network is not None
    words = proof._filled(["dig", "{reverse}.bl.test", "{address}"], HOST.network)
    assert words == ["dig", "9.9.9.9.bl.test", "9.9.9.9"]


def test_a_whole_that_differs_is_named() -> None:
    """What nftables holds is compared element by element."""
    output = '{"nftables": [{"set": {"name": "bad4", "elem": ["1.1.1.1"]}}]}'
    with pytest.raises(Failed, match=r"1 missing \['9.9.9.9'\], 1 too many \['1.1.1.1'\]"):
        proof._same(nftables.live(output), nftables.carried([HOST]))


def test_a_command_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: killing the child alone left the grandchild running."""
    monkeypatch.setattr(orders, "SECONDS", 1.0)
    code = (
        "import subprocess, sys, os; c = subprocess.Popen([sys.executable, '-c',"
        "'import time; time.sleep(60)']); open(sys.argv[1], 'w').write(str(c.pid)); c.wait()"
    )
    with pytest.raises(Failed, match="took longer than 1 seconds"):
        run(python(code, str(tmp_path / "pid")))
    state = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    until = time.monotonic() + 5
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] not in "ZX":
        assert time.monotonic() < until, "the grandchild lives on"
        time.sleep(0.05)


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk shows at fsync at the latest."""
    path = tmp_path / "list"
    path.write_text("old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(path, b"new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("list", "old")]


def test_every_format_delivers(tmp_path: Path) -> None:
    """Plain, as an example of one without any settings or commands."""
    to = PublishSettings(kind="plain", path=str(tmp_path / "list"))
    done = deliver.deliver(to, plain.Settings(), LISTINGS, NOW, dry_run=False)
    assert (done.listings, done.trouble) == (len(LISTINGS), "")
