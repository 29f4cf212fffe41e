"""Identity: unique to an installation, and stable."""

from pathlib import Path

import pytest

from trapline import identity
from trapline.errors import TraplineError


def test_it_is_made_once_and_stays(tmp_path: Path) -> None:
    """Planted fault: drawing the seed anew at each start changes the host name."""
    first = identity.load(tmp_path)
    assert identity.load(tmp_path) == first
    assert identity.load(tmp_path, "mx.example.org").host == "mx.example.org"
    assert (tmp_path / "identity" / "seed").stat().st_mode & 0o777 == 0o600


def test_two_installations_differ(tmp_path: Path) -> None:
    """No two traps may share what fingerprints a trap."""
    one, two = identity.load(tmp_path / "a"), identity.load(tmp_path / "b")
    assert one.seed != two.seed
    assert one.digest("x") != two.digest("x")
    assert one.digest("x") == identity.load(tmp_path / "a").digest("x")


def test_a_damaged_seed_is_refused(tmp_path: Path) -> None:
    """A new identity must not come about by accident."""
    identity.load(tmp_path)
    (tmp_path / "identity" / "seed").write_bytes(b"short")
    with pytest.raises(TraplineError, match="5 octets, not 32"):
        identity.load(tmp_path)
