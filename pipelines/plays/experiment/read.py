"""Reading an experiment: accounts as they were assigned, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from features.errors import DataError, EvidenceError, SettingsError, StoreError, sample
from features.json_values import JsonReady
from pipelines.plays.experiment.assign import ledger_of, settings_of
from pipelines.plays.experiment.ledger import Assignment, Draw, owners_of_both
from pipelines.project.company import dated_events, open_company
from pipelines.project.project import Project
from pipelines.project.settings.experiment import ExperimentSettings

if TYPE_CHECKING:
    import pandas as pd

    from features.tables.company import Company
    from models.arrays import Floats
    from models.plays.experiment import Reading
    from models.plays.savable import Trial


@dataclass(frozen=True)
class ExperimentReading(JsonReady):
    """What an experiment says so far.

    Parameters
    ----------
    experiment, play : str
        What is tried.
    reading : Reading
        The comparison, of accounts as they were assigned.
    verdict : str
        One of "helps", "harms", "not settled" and "too early".
    first, last : date
        Draws that are read.
    days : int
        What came of an account is counted for so many days after its draw.
    waiting : int
        Accounts whose outcome is not known yet.
    planned : int or None
        Accounts after which a change worth finding is found with a probability of 80 %.
    left_alone_acted : int or None
        Accounts to be left alone that were acted on all the same; None where nobody records it.
    acted_missed : int or None
        Accounts to be acted on that were not.
    owners_of_both : int
        Owners of accounts of both arms, who may treat them alike.
    plays_on_record : tuple of str
        Plays that the interventions know.
    is_on_record : bool
        Whether the play is one of them, or nobody records any.
    """

    experiment: str
    play: str
    reading: Reading
    verdict: str
    first: date
    last: date
    days: int
    waiting: int
    planned: int | None
    left_alone_acted: int | None
    acted_missed: int | None
    owners_of_both: int
    plays_on_record: tuple[str, ...] = ()
    is_on_record: bool = True


def read(project: Project, name: str) -> ExperimentReading:
    """Compare the arms of an experiment by what is known now; it may be read at any time.

    Raises
    ------
    SettingsError
        When there is no such experiment, or the outcome is not churn.
    StoreError
        When the ledger was changed.
    EvidenceError
        When nothing was drawn, or no outcome is known yet.
    """
    import numpy as np

    from features.outcomes.interventions import play_name
    from models.plays.experiment import read_experiment

    settings = settings_of(project, name)
    draws = ledger_of(project).draws(name)
    _refuse_unreadable(project, name, draws)
    days = project.settings.outcome.maturity_days
    with open_company(project) as company:
        until = company.data_end - timedelta(days=days)
        churns = dated_events(company, project.settings.outcome)
        acts = _acts(project, company)
    matured = [
        (one, draw.as_of) for draw in draws if draw.as_of <= until for one in draw.assignments
    ]
    if not matured:
        raise EvidenceError(
            f"No outcome of experiment {sample([name])} is known until {days} days after"
            f" {draws[0].as_of}; load newer data and read it again"
        )
    alone = np.array([one.left_alone for one, _ in matured])
    risk = np.array([one.risk for one, _ in matured])
    planned = _planned(settings, float(risk.mean()))
    reading = read_experiment(
        alone, _within(matured, churns, days), risk, draws[0].share, planned or len(matured)
    )
    play = play_name(settings.play, project.settings.plays.renamed)
    own = None if acts is None else acts[acts["play"] == play]
    acted = None if own is None else _within(matured, own, days)
    return ExperimentReading(
        experiment=name,
        play=settings.play,
        reading=reading,
        verdict=reading.verdict,
        first=matured[0][1],
        last=matured[-1][1],
        days=days,
        waiting=sum(len(draw.assignments) for draw in draws) - len(matured),
        planned=planned,
        left_alone_acted=None if acted is None else int(acted[alone].sum()),
        acted_missed=None if acted is None else int((~alone).sum() - acted[~alone].sum()),
        owners_of_both=owners_of_both([one for one, _ in matured]),
        plays_on_record=() if acts is None else tuple(sorted(set(acts["play"]))),
        is_on_record=own is None or not own.empty,
    )


def settled(project: Project) -> tuple[tuple[Trial, ...], list[str]]:
    """Read what the experiments of the configuration have settled.

    Returns
    -------
    trials : tuple of Trial
        Of those whose reading says that the play helps or harms.
    notes : list of str
        Experiments that cannot be read, one sentence each.
    """
    from features.outcomes.interventions import play_name
    from models.plays.savable import Trial

    trials: list[Trial] = []
    notes: list[str] = []
    drawn = {draw.experiment for draw in _draws(project, notes)}
    for name, settings in project.settings.experiments.items():
        if name not in drawn:
            continue
        try:
            reading = read(project, name).reading
        except EvidenceError:
            continue
        except DataError as error:
            notes.append(str(error))
            continue
        change = reading.change
        if reading.verdict in ("helps", "harms") and None not in (change.low, change.high):
            play = play_name(settings.play, project.settings.plays.renamed)
            without = reading.churned_left_alone / reading.left_alone
            ends = float(change.value or 0), float(change.low or 0), float(change.high or 0)
            trials.append(Trial(play, settings.segments, without, *ends))
    return tuple(trials), notes


def _draws(project: Project, notes: list[str]) -> list[Draw]:
    try:
        return ledger_of(project).draws()
    except StoreError as error:
        # A ledger that somebody changed proves nothing, and stops nothing else.
        notes.append(str(error))
        return []


def _refuse_unreadable(project: Project, name: str, draws: list[Draw]) -> None:
    if project.settings.outcome.kind != "churn":
        raise SettingsError(
            f"Experiments are read by churn, and the outcome '{project.outcome_name}' is"
            f" {project.settings.outcome.kind}; name another with --outcome"
        )
    if not draws:
        raise EvidenceError(
            f"Nobody was assigned in experiment {sample([name])} yet; draw with"
            f" 'healthscore experiment assign {name}'"
        )
    shares = sorted({draw.share for draw in draws})
    if len(shares) > 1:
        listed = ", ".join(f"{share:g}" for share in shares[:4])
        raise DataError(
            f"Experiment {sample([name])} was drawn with the shares {listed}, and all its"
            " accounts must have the same chance; begin another under a new name"
        )


def _planned(settings: ExperimentSettings, risk: float) -> int | None:
    from models.plays.experiment import accounts_needed

    if not settings.smallest_change <= risk < 1:
        return None
    return accounts_needed(risk, settings.share, settings.smallest_change)


def _acts(project: Project, company: Company) -> pd.DataFrame | None:
    """List ``account_id``, ``happened_at`` and ``play`` of all that was done."""
    from features.outcomes.interventions import acts_of

    if "interventions" not in company.tables or not company.is_dated:
        return None
    acts = acts_of(company, project.settings.plays.renamed).dropna(subset=["occurred_at"])
    return acts.rename(columns={"occurred_at": "happened_at"})


def _within(
    matured: Sequence[tuple[Assignment, date]], events: pd.DataFrame | None, days: int
) -> Floats:
    """Mark the accounts that an event befell in so many days after their draw: (n,)."""
    import numpy as np

    marks = np.zeros(len(matured))
    if events is None:
        return marks
    moments: dict[str, list[date]] = {}
    for account, moment in events[["account_id", "happened_at"]].itertuples(index=False):
        moments.setdefault(str(account), []).append(moment.date())
    for place, (one, start) in enumerate(matured):
        end = start + timedelta(days=days)
        marks[place] = any(start <= day < end for day in moments.get(one.account_id, ()))
    return marks
