"""The command line: statuses that scripts can rely on, and nothing hostile printed."""

import argparse

import pytest

from trapline import cli, rooms
from trapline.errors import ConfigError, TraplineError

COMMANDS = rooms.names("commands")


def test_wrong_use_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    """No command, an unknown one, and unknown options are wrong use."""
    assert cli.main([]) == 2
    assert cli.main(["\x1b[31mred"]) == 2
    assert "\x1b" not in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main(["config", "--wrong"])
    assert end.value.code == 2


def test_help_names_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command's first line is its help."""
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in COMMANDS:
        doc = rooms.find("commands", name).__doc__ or ""
        assert f"  {name:12}{doc.splitlines()[0]}" in shown
    assert cli.main(["--version"]) == 0
    assert rooms.version() in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_one(name: str) -> None:
    """A command declares arguments and runs; contract of the folder."""
    command = rooms.find("commands", name)
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    assert callable(command.run)
    assert (command.__doc__ or "").splitlines()[0].endswith(".")


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(TraplineError("\x1b]0;owned\x07"), 1), (ConfigError("a.b", 1, "right"), 2)],
)
def test_trouble_is_one_safe_line(
    trouble: TraplineError, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Planted fault: printing the error as it is lets the escape sequence through."""

    class Command:
        @staticmethod
        def run(args: argparse.Namespace) -> int:
            del args
            raise trouble

    assert cli._guarded(Command, argparse.Namespace()) == status  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert said.startswith("trapline: ")
    assert said.isprintable() or said.rstrip("\n").isprintable()
