"""Inquiry: what the desk asks of docket and court, answered as of this moment.

It goes on from the watch's snapshot and takes what is newer from the journal, in memory:
what fell in a moment ago is in the answer, whether a watch runs or not.

Must not be in here: how answers look, writing anything down.
"""

from pathlib import Path

from trapline import genuine, identity, watch
from trapline.addresses import Network, inside, network
from trapline.analysis import trial
from trapline.analysis.court import Bar, Record, Verdicts, indicated
from trapline.config import Config
from trapline.digest import Digest
from trapline.lake import Lake
from trapline.listings import Indicator, Kind, Suspect, Trial
from trapline.standing import Standing


class Inquiry:
    """Where everybody stands now."""

    def __init__(self, config: Config, home: Path, now: int) -> None:
        """Read the snapshot, the genuine mail, and what the journal has since."""
        self.now, directory = now, home / "journal"
        self._threshold = config.court.threshold
        self.library = genuine.library(config, home / "state")
        self.genuine = self.library.genuine
        self._standing = Standing(config, directory, self.genuine.allow.correspondents)
        self._standing.load(watch.snapshot(home))
        with Lake(home / "lake") as lake:
            names = (identity.load(home, config.install.host).host,)
            digest = Digest(directory, lake, names)
            self._standing.catch_up(2**63, digest.facts, digest.hold)
            if self._standing.late:
                self._standing.rewind()
                self._standing.catch_up(2**63, digest.facts, digest.hold)

    def suspects(self) -> list[Suspect]:
        """Return everybody with evidence, the strongest first."""
        return self._standing.docket.suspects(self.now)

    def verdicts(self) -> Verdicts:
        """Return what the court says now."""
        return self._standing.court.sit(self.hold, self.now)

    def hold(self, suspect: Suspect) -> Trial:
        """Try one suspect."""
        return trial.hold(suspect, self.genuine)

    def short_of_trial(self, trial: Trial) -> str:
        """Say what is missing before the court sits on a suspect; "" where nothing is."""
        score, threshold = trial.suspect.score, self._threshold
        if score >= threshold or not trial.acquits_genuine_mail:
            return ""
        return f"not listed: a score of {score:.2f} is below court.threshold = {threshold:g}"

    def suspect(self, indicator: Indicator) -> Suspect | None:
        """Return what stands against one indicator."""
        return self._standing.docket.suspect(indicator, self.now)

    def record(self, indicator: Indicator) -> Record | None:
        """Return the court's record of an indicator, past terms included."""
        return self._standing.court.records.get(str(indicator))

    def bar(self, indicator: Indicator) -> Bar | None:
        """Return the withdrawal that keeps an indicator off the list."""
        return self._standing.court.bar(indicator, self.now)

    def known_as(self, text: str) -> list[Indicator]:
        """Return every indicator with evidence, a record or a bar that a text may mean.

        An address means itself and the networks around it; a case number its indicator;
        any other text the names that read so.
        """
        wanted, net = text.strip().casefold(), network(text)
        cases = {r.suspect.indicator: r.case for r in self._standing.court.records.values()}
        accounts = self._standing.docket.state.accounts
        known = {Indicator(kind, value) for kind in accounts for value in accounts[kind]}
        meant = [
            one
            for one in known | cases.keys()
            if wanted in (one.value.casefold(), str(one).casefold())
            or wanted == cases.get(one, "").casefold()
            or (net is not None and _around(net, one))
        ]
        if (named := indicated(text)) is not None and self.bar(named) is not None:
            meant.append(named)
        return sorted(
            {one for one in meant if one in cases or self.suspect(one) or self.bar(one)}
        )


def _around(net: Network, indicator: Indicator) -> bool:
    """Tell whether an indicator is a network that holds all of another."""
    outer = indicator.network() if indicator.kind is Kind.NETWORK else None
    return outer is not None and inside(net, outer)
