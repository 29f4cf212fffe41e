"""Score the personas against the real servers they imitate, and show the first differences.

python bench/fidelity.py                      every persona that has a real server here
python bench/fidelity.py --persona exim-4.96 --dialogue early
python bench/fidelity.py --persona exim-4.96 --fuzz 1000 --seed 7
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fidelity import compare, fuzz, script, truth
from tests.fidelity.debian import Missing
from tests.fidelity.real import SERVERS, Server, running
from tests.fidelity.score import Result, in_memory


def main() -> int:
    """Print a line per persona; exit with 1 if any of them can be told from its model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--persona", choices=sorted(SERVERS), help="only this one")
    parser.add_argument("--dialogue", default="", help="only those with this in their name")
    parser.add_argument("--fuzz", type=int, default=0, metavar="N", help="N random dialogues")
    parser.add_argument("--seed", type=int, default=1, help="of the random dialogues")
    parser.add_argument("--show", type=int, default=5, help="differences to show")
    parser.add_argument("--record", action="store_true", help="write down what servers say")
    args = parser.parse_args()
    missed = 0
    for name in [args.persona] if args.persona else sorted(SERVERS):
        try:
            with running(name) as server:
                missed += judge(server, args)
        except Missing as why:
            print(f"{name:16s} not compared: {why}")
    return int(missed > 0)


def judge(server: Server, args: argparse.Namespace) -> int:
    """Compare one persona with its server; return the number of dialogues that differ."""
    if args.fuzz:
        dialogues = fuzz.dialogues(args.seed, args.fuzz)
    else:
        dialogues = [one for one in script.load_for(server.name) if args.dialogue in one.name]
    results = in_memory(server.name, dialogues, server)
    if args.record and not (args.fuzz or args.dialogue):
        told = {one.dialogue.name: one.truth for one in results if one.truth}
        truth.save(server.name, told)
    report(server.name, results, args.show)
    return sum(not one.same for one in results)


def report(name: str, results: list[Result], show: int) -> None:
    """Print the score and the first differences."""
    same, rows = compare.score(row for one in results for row in one.rows)
    played = [one for one in results if one.rows]
    alike = sum(one.same for one in played)
    percent = 100 * same / rows if rows else 0.0
    print(f"{name:16s} {percent:7.3f} % of {rows} answers, {alike}/{len(played)} dialogues")
    if slow := [one.dialogue.name for one in results if not one.rows]:
        print(f"{'':16s} not waited for: {', '.join(slow)}")
    for one in [one for one in results if not one.same][:show]:
        print(compare.diff(one.dialogue, one.rows))


if __name__ == "__main__":
    sys.exit(main())
