"""The command line: statuses that scripts can rely on, and nothing hostile printed."""

import argparse
from pathlib import Path

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


def test_trouble_with_the_machine_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data directory that is a file, or a lake that is no lake; planted: a traceback."""
    home = tmp_path / "home"
    monkeypatch.setenv("TRAPLINE_HOME", str(home))
    home.write_text("")
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err.startswith("trapline: [Errno 20] Not a directory")
    home.unlink()
    (home / "lake").mkdir(parents=True)
    (home / "lake" / "catalog.sqlite").write_text("no database" * 1000)
    assert cli.main(["messages"]) == 1
    assert "the catalog cannot be used: file is not a database" in capsys.readouterr().err


def test_what_was_asked_for_in_the_wrong_words_is_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A persona or file that does not exist is wrong use; so is a negative number of rows."""
    monkeypatch.setenv("TRAPLINE_HOME", str(tmp_path))
    assert cli.main(["up", "--persona", "nobody"]) == 2
    assert '--persona: "nobody" is not one of' in capsys.readouterr().err
    assert cli.main(["up", "--config", str(tmp_path / "none.toml")]) == 2
    for limit in ("-1", "x", "\u0663"):
        with pytest.raises(SystemExit) as end:
            cli.main(["sessions", "--limit", limit])
        assert end.value.code == 2
