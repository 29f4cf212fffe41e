"""Files: who holds one keeps others off, and lets go of it when it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from trapline import files

HOLD = """
import pathlib, sys
from trapline import files
with files.held(pathlib.Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    input()
"""


def test_one_holds_and_the_others_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted fault: a shared lock lets both in."""
    monkeypatch.setattr(files, "HOLD", 0.1)
    path = tmp_path / "new" / "lock"
    assert not files.is_held(path)
    with files.held(path) as ours:
        assert ours
        assert files.is_held(path)
        with files.held(path) as second:
            assert not second
    assert not files.is_held(path)


def test_whoever_is_killed_lets_go(tmp_path: Path) -> None:
    """No lock is left behind by a crash."""
    path = tmp_path / "lock"
    words = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"True\n"
        assert files.is_held(path)
        other.kill()
        other.wait()
    assert not files.is_held(path)
