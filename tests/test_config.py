"""Configuration: errors name the place, the value and what would be right."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from trapline import config
from trapline.errors import ConfigError

TRAP = '[[trap]]\nkind = "smtp"\nport = 2525\n'


def load(tmp_path: Path, text: str) -> config.Config:
    """Load a configuration with this text as the operator's file."""
    (tmp_path / "own.toml").write_text(text)
    return config.load(tmp_path / "own.toml")


def test_what_ships_is_good(tmp_path: Path) -> None:
    """The shipped file is complete, on loopback, and publishes nothing."""
    shipped = load(tmp_path, "")
    assert next((t.kind, t.name, t.port) for t in shipped.trap) == ("smtp", "relay", 2525)
    assert all(a == "127.0.0.1" for t in shipped.trap for a in t.address)
    assert shipped.court.publish == "dry-run"


def test_the_shipped_file_says_the_defaults_of_the_code() -> None:
    """Who reads the file reads the truth about the types, and the other way round."""
    shipped = config.check(tomllib.loads(config.shipped()))
    bare = config.check({"trap": tomllib.loads(config.shipped())["trap"]})
    assert shipped == bare


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            TRAP + TRAP.replace("2525", '"smtp"'),
            'trap[1].port: "smtp" is not a port number (1..65535)',
        ),
        (TRAP.replace("2525", "70000"), "trap[0].port: 70000 is not a port number (1..65535)"),
        (TRAP + "prot = 1\n", "trap[0].prot: 1 is not a setting ("),
        (
            TRAP + 'address = ["localhost"]\n',
            'trap[0].address[0]: "localhost" is not an IP address',
        ),
        (TRAP + 'persona = "qmail"\n', 'trap[0].persona: "qmail" is not one of '),
        ('[[trap]]\nkind = "gopher"\nport = 70\n', 'trap[0].kind: "gopher" is not one of smtp'),
        (
            '[[trap]]\nkind = "smtp"\n',
            "trap[0].port: missing; it has to be a port number (1..65535)",
        ),
        ("[limits]\ntotal = -1\n", "limits.total: -1 is not a whole number above 0"),
        ("[limit]\ntotal = 1\n", 'limit: {"total": 1} is not a table of settings (install, '),
        (
            '[court]\npublish = "yes"\n',
            "court.publish: \"yes\" is not one of 'dry-run', 'live'",
        ),
        (
            '[allow]\nnetworks = ["192.0.2.1/24"]\n',
            'allow.networks[0]: "192.0.2.1/24" is not a network',
        ),
        ('[install]\nhost = "a b"\n', 'install.host: "a b" is not a full host name'),
        ('trap = "smtp"\n', 'trap: "smtp" is not a list of tables: write [[trap]]'),
        (
            TRAP + 'name = "x"\n' + TRAP + 'name = "x"\n',
            'trap[1].name: "x" is not a name no other',
        ),
        (TRAP + "address = []\n", "trap[0].address: [] is not at least one IP address"),
        (
            TRAP + 'recipients = "MX of these domains"\n',
            'trap[0]: {"recipients": "MX of these domains"} is not complete: recipients = ',
        ),
        ("[settings]\nx = 1\n", 'settings: {"x": 1} is not a table of settings (install, '),
        ("[journal]\nquota_gib = inf\n", "journal.quota_gib: Infinity is not a number"),
        ('[install]\nhost = "a..b"\n', 'install.host: "a..b" is not a full host name'),
        ('[allow]\nhosts = ["a b"]\n', 'allow.hosts[0]: "a b" is not a name ('),
        (
            '[clamd]\naddress = "192.0.2.1:3310"\n',
            'clamd.address: "192.0.2.1:3310" is not a socket\'s path or a loopback address',
        ),
        (
            '[[publish]]\nkind = "plain"\npath = "/a"\n' * 2,
            'publish[1].path: "/a" is not a path that no other list has',
        ),
    ],
)
def test_errors_name_place_value_and_right(tmp_path: Path, text: str, complaint: str) -> None:
    """Planted fault: without the descriptions the first reads ``not a whole number``."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(complaint)


def test_strangers_need_a_name(tmp_path: Path) -> None:
    """A trap that faces strangers does not start under a made-up name."""
    open_trap = TRAP + 'address = ["0.0.0.0"]\n'
    with pytest.raises(ConfigError, match=r"install\.host"):
        load(tmp_path, open_trap)
    assert load(tmp_path, open_trap + '[install]\nhost = "mx.example.org"\n').install.host


def test_files_that_are_no_toml_are_named(tmp_path: Path) -> None:
    """The parser's line and column come through."""
    with pytest.raises(
        ConfigError, match=r"own\.toml: .*line 1.*; it has to be a text in TOML"
    ):
        load(tmp_path, "[install\n")
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        config.load(tmp_path / "none.toml")


def test_tables_merge_and_lists_replace(tmp_path: Path) -> None:
    """The operator's file lies over the shipped one."""
    own = load(tmp_path, "[court]\nterm_days = 3.0\n" + TRAP)
    assert own.court.term_days == 3.0
    assert own.court.half_life_days == 7.0
    assert [t.name for t in own.trap] == ["smtp"]


def test_names_are_given_where_none_is_set() -> None:
    """Two traps of a kind can be told apart in the journal."""
    row: dict[str, Any] = {"kind": "smtp", "port": 1}
    assert [t.name for t in config.check({"trap": [row, row]}).trap] == ["smtp", "smtp-2"]


def test_reading_commands_judge_by_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted fault: without the note, `blocklist` judges by the shipped configuration."""
    monkeypatch.setenv("TRAPLINE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own.toml"
    own.write_text("[court]\nterm_days = 3.0\n")
    assert config.remember(own) == own
    assert config.load().court.term_days == 3.0
    assert config.remember(None) is None
    assert config.load().court.term_days == 7.0


def test_only_documentation_space_can_be_rehearsed_with() -> None:
    """Planted fault: any network was taken, and silently freed nothing."""
    with pytest.raises(ConfigError, match=r'court.rehearsal_networks\[1\]: "10.0.0.0/8"'):
        config.check({"court": {"rehearsal_networks": ["192.0.2.0/24", "10.0.0.0/8"]}})
