"""Errors: facts as attributes, and one line that an operator can act on."""

import json


class TraplineError(Exception):
    """Something the operator has to know; its text says what would be right."""


class ConfigError(TraplineError):
    """The configuration cannot be used as written.

    ``where`` is the dotted path of the setting (``"trap[2].port"``), ``got`` the value
    found there, ``want`` what would be accepted, in words.
    """

    def __init__(self, where: str, got: object, want: str) -> None:
        super().__init__(where, got, want)  # all of them: errors must pickle
        self.where, self.got, self.want = where, got, want

    def __str__(self) -> str:
        if self.got is None:
            return f"{self.where}: missing; it has to be {self.want}"
        got = json.dumps(self.got, ensure_ascii=False, default=str)  # as TOML spells it
        return f"{self.where}: {got} is not {self.want}"


class ConfigFileError(ConfigError):
    """A configuration file cannot be read at all; ``got`` is why."""

    def __str__(self) -> str:
        return f"{self.where}: {self.got}; it has to be {self.want}"


class JournalError(TraplineError):
    """A journal segment cannot be written or read; ``where`` names file and place."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where, self.what = where, what

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class NoEntry(TraplineError):  # noqa: N818 - an answer: no such id
    """The journal holds no entry with this id, or not any more; ``id`` was asked for."""

    def __init__(self, entry_id: str) -> None:
        super().__init__(entry_id)
        self.id = entry_id

    def __str__(self) -> str:
        return f"no entry {self.id!r} in the journal"


class NotKept(TraplineError):  # noqa: N818 - a fact told to a trap, not a failure of it
    """What a trap wanted recorded is not on disk and will not be; it must not say 250."""


class Gone(TraplineError):  # noqa: N818 - the peer's act, not an error of ours
    """The peer closed or reset the connection; nothing more can be read or written."""


class TimedOut(TraplineError):  # noqa: N818 - the peer's act, not an error of ours
    """The peer stayed silent for longer than the trap's patience."""
