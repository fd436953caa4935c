"""Overrides held against what happened: whether who disputed the model knew better."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from features.errors import DataError, sample
from features.json_values import JsonReady
from pipelines.portfolio.matured import what_happened
from pipelines.project.company import open_company
from pipelines.project.project import Project
from pipelines.project.records.overrides import Override, Scored, override_book
from pipelines.reports.wording import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

LEAST = 20
"""From so many on it is said who was nearer to what happened."""
NINETY = 1.645
"""Standard errors on either side of a mean that hold it in 90 of 100 cases."""


@dataclass(frozen=True)
class OverridesReport(JsonReady):
    """Overrides of an outcome.

    Parameters
    ----------
    outcome : str
        Which.
    made : int
        Overrides that disputed a score.
    known : int
        Those of which it is known what happened.
    happened : int
        Those of them to which the outcome happened.
    foretold, meant : float
        How many the model foretold, and how many the bands that people named would have.
    better : int
        Those whose band was nearer to what happened than the model's probability.
    gain : float or None
        Mean squared error of the model's probabilities less that of the bands' (Brier 1950,
        "Verification of forecasts"): above zero where people knew better. None without any.
    low, high : float or None
        90 % interval of it, by accounts.
    """

    outcome: str
    made: int
    known: int
    happened: int
    foretold: float
    meant: float
    better: int
    gain: float | None
    low: float | None
    high: float | None

    @property
    def sentence(self) -> str:
        """Say who was nearer to what happened."""
        if not self.made:
            return "Nobody has disputed a score yet"
        waiting = self.made - self.known
        if self.known < LEAST or self.gain is None or self.low is None or self.high is None:
            return (
                f"{plural(self.known, 'override')} of {self.made:,} can be held against what"
                f" happened, too few to say who knew better; {LEAST} are enough"
            )
        counted = (
            f"of {plural(self.known, 'override')}, {self.better:,} were nearer to what happened"
            f" than the model: {self.happened:,} churned, the model expected {self.foretold:.1f}"
            f" and the overrides {self.meant:.1f}"
        ).replace("churned", "came true" if self.outcome != "main" else "churned")
        later = f"; of {waiting:,} more it is not known yet" if waiting else ""
        if self.low > 0:
            return f"Overrides beat the model: {counted}{later}"
        if self.high < 0:
            return f"The model beat the overrides: {counted}{later}"
        return f"Neither overrides nor the model can be said to know better: {counted}{later}"


def overrides_report(project: Project) -> OverridesReport:
    """Hold the overrides of an outcome against what happened to their accounts.

    Of several overrides of one account by scores of one date the last counts, and one that was
    taken back before its end counts as long as it disputed a score of its date.

    Raises
    ------
    DataError
        When the tables cannot be read.
    StoreError
        When the record of overrides was changed.
    """
    from features.outcomes.labels import days_to_label

    outcome = project.outcome_name
    disputes = {
        (one.account_id, one.as_of): one
        for one in override_book(project.folder).entries()
        if one.outcome == outcome and one.band is not None
    }
    by_day: dict[date, list[Override]] = defaultdict(list)
    pairs: list[tuple[Override, float]] = []
    if disputes:
        with open_company(project) as company:
            wait = timedelta(days=days_to_label(company, project.settings.outcome))
            for one in disputes.values():
                if company.is_dated and one.as_of + wait <= company.data_end:
                    by_day[one.as_of].append(one)
            for day, happened in what_happened(project, company, sorted(by_day)):
                for one in by_day[day]:
                    value = happened.get(one.account_id)
                    if value is not None and value == value:
                        pairs.append((one, float(value)))
    return _summed(outcome, len(disputes), pairs)


def scored_account(project: Project, account_id: str) -> Scored:
    """Look up what an account was issued last, and what the bands of that run mean.

    Raises
    ------
    DataError
        When it is not among the newest scores.
    StoreError
        When nothing was issued, or the store cannot be read.
    """
    from pipelines.store.issued import issued_run
    from pipelines.store.opening import open_store

    with open_store(project, read_only=True) as store:
        run = issued_run(store, project.outcome_name)
        columns = ("account_id", "band", "probability")
        rows = store.scores(run, columns=columns).read_all().to_pandas()
    own = rows[rows["account_id"] == account_id]
    if own.empty:
        raise DataError(
            f"Account {sample([account_id])} is not among the scores of {run.key.as_of}; check its"
            " id with 'healthscore trend'"
        )
    means = rows.groupby("band")["probability"].mean()
    return Scored(
        outcome=run.key.outcome,
        as_of=run.key.as_of,
        model_version=run.key.model_version,
        band=str(own["band"].iloc[0]),
        probability=float(own["probability"].iloc[0]),
        means={str(band): float(mean) for band, mean in means.items()},
    )


def _summed(outcome: str, made: int, pairs: Sequence[tuple[Override, float]]) -> OverridesReport:
    import numpy as np

    happened = np.array([value for _, value in pairs])
    model = np.array([one.probability for one, _ in pairs])
    people = np.array([one.probability_meant for one, _ in pairs])
    gains = (model - happened) ** 2 - (people - happened) ** 2
    gain = low = high = None
    if len(pairs) > 1:
        accounts = np.unique([one.account_id for one, _ in pairs], return_inverse=True)[1]
        gain = float(gains.mean())
        # Clustered: what one account brings twice is not two accounts.
        sums = np.bincount(accounts, weights=gains - gain)
        error = float(np.sqrt((sums**2).sum())) / len(pairs)
        low, high = gain - NINETY * error, gain + NINETY * error
    return OverridesReport(
        outcome=outcome,
        made=made,
        known=len(pairs),
        happened=round(float(happened.sum())),
        foretold=float(model.sum()),
        meant=float(people.sum()),
        better=int((gains > 0).sum()),
        gain=gain,
        low=low,
        high=high,
    )
