"""Privileges: given up for good once the ports are bound.

Must not be in here: anything that needs them.
"""

import os
import pwd
from pathlib import Path

from trapline.errors import TraplineError


def drop(user: str, home: Path) -> None:
    """Become ``user`` with its own groups only; "" stays who we are.

    The data directory is made and given to the account first, for afterwards nobody here
    could.

    Raises:
        TraplineError: there is no such account, or we may not become it.
    """
    home.mkdir(mode=0o750, parents=True, exist_ok=True)
    if not user:
        return
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise TraplineError(f"install.user: {user!r} is no account of this machine") from None
    if os.getuid() == account.pw_uid:
        return
    if os.getuid():
        raise TraplineError(f"only root can become {user!r}; start as root or as {user!r}")
    _give(home, account.pw_uid, account.pw_gid)
    os.initgroups(user, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    if not os.access(home, os.W_OK | os.X_OK):
        raise TraplineError(f"{user!r} may not write to {home}; a folder above it is closed")


def _give(home: Path, user: int, group: int) -> None:
    """Give the data directory and what an earlier run as root left in it."""
    os.chown(home, user, group)
    for folder, folders, files in os.walk(home):
        for name in folders + files:
            os.chown(Path(folder, name), user, group, follow_symlinks=False)
