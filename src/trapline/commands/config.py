"""Check the configuration, or print what ships with Trapline."""

import argparse
import json
from pathlib import Path

import msgspec

from trapline import config
from trapline.errors import ConfigError, TraplineError
from trapline.safe import text


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("action", choices=["check", "show", "default"])
    parser.add_argument("--config", type=Path, help="the operator's file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the outcome; 1 where the configuration cannot be used."""
    if args.action == "default":
        print(config.shipped(), end="")
        return 0
    file = config.find(args.config)
    try:
        loaded, trouble = config.load(args.config), None
    except (ConfigError, TraplineError) as error:
        loaded, trouble = None, str(error)
    if args.action == "show" and loaded is not None:
        print(json.dumps(msgspec.to_builtins(loaded), indent=2))
    elif args.json:
        print(
            json.dumps(
                {"file": str(file) if file else None, "ok": not trouble, "trouble": trouble}
            )
        )
    else:
        print(text(trouble, 2000) if trouble else f"{file or 'shipped configuration'}: good")
    return 1 if trouble else 0
