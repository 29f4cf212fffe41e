"""Show with evidence that Trapline is harmless here, and fit to run."""

import argparse
from pathlib import Path

import msgspec

from trapline import config, selfcheck
from trapline.safe import text
from trapline.serve import launch


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--config", type=Path, help="the operator's file")
    parser.add_argument("--json", action="store_true", help="print one JSON line a check")


def run(args: argparse.Namespace) -> int:
    """Print the findings as they come; 1 where one of them is "no"."""
    status = 0
    for finding in selfcheck.check(launch.plan(config.load(args.config))):
        status = 1 if finding.verdict is selfcheck.Verdict.NO else status
        if args.json:
            print(msgspec.json.encode(finding).decode(), flush=True)
        else:
            evidence = text(finding.evidence, 1000)
            print(f"{finding.verdict:8}{finding.name:32}{evidence}", flush=True)
    return status
