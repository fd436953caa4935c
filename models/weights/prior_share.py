"""How much of a model is what a team believed, and how much outcomes have taught it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords

Source = Literal["scorecard", "equal weights"]
SOURCES: Mapping[Source, str] = {
    "scorecard": "your own scorecard",
    "equal weights": "equal weights of the signal groups",
}


@dataclass(frozen=True)
class PriorShare:
    """Where a first model comes from.

    Attributes
    ----------
    source : {"scorecard", "equal weights"}
        What was believed before any outcome was seen.
    positives : int
        Outcomes that have moved it.
    learnt : float
        Share, from 0 to 1, of the doubt about who is riskier than whom that outcomes have removed:
        one less the variance of margins after they were seen over that before.
    groups : dict of str to float
        The same of what each signal group adds to the margin, context left out.
    """

    source: Source
    positives: int
    learnt: float
    groups: Mapping[str, float]

    def sentence(self, words: OutcomeWords) -> str:
        """Say how much is prior and how much is learnt.

        Examples
        --------
        >>> from features.outcomes.settings import WORDS
        >>> share = PriorShare("equal weights", 1, 0.124, {"usage": 0.2})
        >>> share.sentence(WORDS["churn"])
        'This first model is 88 % prior, equal weights of the signal groups, and 12 % learnt from 1
        account that churned'
        """
        accounts = "1 account" if self.positives == 1 else f"{self.positives:,} accounts"
        learnt = round(100 * self.learnt)
        return (
            f"This first model is {100 - learnt} % prior, {SOURCES[self.source]}, and {learnt} %"
            f" learnt from {accounts} that {words.past}"
        )

    def by_group(self) -> str:
        """Say how much of each group's weight is learnt.

        Examples
        --------
        >>> PriorShare("scorecard", 3, 0.1, {"usage": 0.2, "support": 0.04}).by_group()
        'Learnt so far of usage 20 %, support 4 %; the rest of each weight is prior'
        """
        parts = ", ".join(f"{name} {round(100 * part)} %" for name, part in self.groups.items())
        return f"Learnt so far of {parts}; the rest of each weight is prior"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return asdict(self)

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> PriorShare:
        """Rebuild from :meth:`to_dict`.

        Raises
        ------
        ValueError
            When a share is none, or nobody knows the source.
        """
        share = cls(**described)
        if share.source not in SOURCES or not all(
            0 <= part <= 1 for part in (share.learnt, *share.groups.values())
        ):
            raise ValueError(f"{described!r} says no share of a prior")
        return share
