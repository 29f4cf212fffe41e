"""Real mail servers from Debian, unpacked beside the system instead of installed.

They conflict with one another as packages, so each is downloaded with apt and unpacked
under ``build/real``, with the libraries that this machine does not have.  Nothing is
installed, no maintainer script runs.  ``python -m tests.fidelity.debian`` gets them all.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / "build" / "real"
EXIM: Final = ("exim4-daemon-heavy", "exim4-base")
SENDMAIL: Final = ("sendmail-bin", "sendmail-base", "sendmail-cf", "m4")
_QUIET: Final = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")


class Missing(Exception):  # noqa: N818 - told to pytest as the reason of a skip
    """A real server cannot be had on this machine; the text says why."""


@functools.cache
def unpacked(*packages: str) -> Path:
    """Return the directory into which ``packages`` and their libraries were unpacked.

    Raises:
        Missing: there is no apt here, or it cannot reach an archive that has them.
    """
    where = CACHE / packages[0]
    if (where / ".complete").exists():
        return where
    if shutil.which("apt-get") is None:
        raise Missing("no apt-get: not a Debian system")
    shutil.rmtree(where, ignore_errors=True)
    debs = where / "debs"
    debs.mkdir(parents=True)
    _run(["apt-get", "download", *packages, *_libraries(packages)], debs)
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(deb), str(where)], where)
    shutil.rmtree(debs)
    for program in where.rglob("*"):
        if program.is_file() and not program.is_symlink():
            program.chmod(0o755)  # not set-id: those would not look for our libraries
    (where / ".complete").touch()
    return where


def libraries(root: Path) -> dict[str, str]:
    """Return the environment in which the unpacked programs find their libraries."""
    found = sorted({str(so.parent) for so in root.glob("**/*.so*")})
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(found)}


def _libraries(packages: tuple[str, ...]) -> list[str]:
    """Name the libraries that the packages want and this machine does not have."""
    flags = [f"--no-{kind}" for kind in _QUIET]
    listed = _run(["apt-cache", "depends", "--recurse", *flags, *packages], ROOT)
    names = {line for line in listed.splitlines() if line.startswith("lib")}
    show = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"]
    there = {
        line.split()[0] for line in _run(show, ROOT).splitlines() if line.endswith(" installed")
    }
    return sorted(names - there)


def _run(command: list[str], where: Path) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"{' '.join(command[:3])}: {done.stderr.strip()[-200:]}")
    return done.stdout


def main() -> None:
    """Get what is missing; say what cannot be had, and leave it to the tests to skip."""
    for packages in (EXIM, SENDMAIL):
        try:
            unpacked(*packages)
        except Missing as why:
            print(f"cannot get {packages[0]}: {why}")  # noqa: T201 - this is a command


if __name__ == "__main__":
    main()
