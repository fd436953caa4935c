"""Details of an account, from the source tables: every signal, its past, ratings, and the move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from features.errors import DataError, HealthscoreError, RegistryError
from pipelines.dashboard.access.notes import Note, led_by, note_of
from pipelines.dashboard.account.peers import Peers, peers_of
from pipelines.dashboard.account.ratings import Rating
from pipelines.dashboard.account.tables import SourceTables
from pipelines.dashboard.panel.registry_reads import RegistryReads
from pipelines.scoring.curves.curve import AccountCurve, told_curve
from pipelines.scoring.explain import InactiveAccount, inactive, timing_words
from pipelines.scoring.moves.move import explain_rows
from pipelines.store.issued import DatedScore, issued_scores

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from models.scoring.health_model import HealthModel
    from models.scoring.reasons import Reason
    from models.scoring.scored import ScoredAccounts
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project
    from pipelines.scoring.moves.move import ExplainedMove
    from pipelines.store.runs import Run

PAST_DAYS = (30, 90, 365)
"""So many days back a signal's own past is looked up."""
SAME_SCORE = 1e-6


@dataclass(frozen=True)
class SignalLine:
    """One signal of an account.

    Parameters
    ----------
    signal : Signal
        Which one, with its healthy direction.
    reason : Reason
        Its value, its points and both in words.
    past : dict of date to (float, str or None)
        What was known of it on earlier dates; dates on which the account was not active are absent.
    """

    signal: Signal
    reason: Reason
    past: dict[date, Any]


@dataclass(frozen=True)
class AccountDetails:
    """An account on the date of a run, as the tables say today that it was known then.

    Parameters
    ----------
    account_id : str
        Which account.
    as_of : date
        The run's date.
    model_version : str
        What made the run.
    segment : str
        The account's segment.
    baseline, score : float
        The segment's mean account's score, and what the signals' points add up to from there.
    lines : list of SignalLine
        Largest absolute points first.
    past_dates : list of date
        Earlier dates that were looked at, the latest first.
    peers : Peers or None
        Accounts it is held against.
    ratings : list of Rating
        What people said of it in the year before, the latest first.
    move : ExplainedMove or None
        Why its score is not that of the run before.
    notes : list of Note
        What is missing or otherwise than expected.
    timing : str or None
        When the contract renews, where the model tells it apart from the score.
    curve : AccountCurve or None
        Its risk over a year, where the model tells one.
    """

    account_id: str
    as_of: date
    model_version: str
    segment: str
    baseline: float
    score: float
    lines: list[SignalLine]
    past_dates: list[date]
    peers: Peers | None
    ratings: list[Rating]
    move: ExplainedMove | None
    notes: list[Note]
    timing: str | None = None
    curve: AccountCurve | None = None


def account_details(
    project: Project,
    snapshot: Snapshot,
    account_id: str,
    reads: RegistryReads,
    tables: SourceTables,
) -> AccountDetails:
    """Compute what the tables say of an account on the date of a run.

    Parameters
    ----------
    project : Project
        The configuration, of the snapshot's outcome.
    snapshot : Snapshot
        The run, and the model that made it.
    account_id : str
        The account.
    reads : RegistryReads
        What was kept beside the model.
    tables : SourceTables
        The project's tables.

    Raises
    ------
    RegistryError
        When the model that made the run is gone.
    DataError
        When the tables cannot be read, no longer give what the model needs, or say that the
        account was not active.
    """
    from models.scoring.scorer import Scorer

    run, model = snapshot.run, snapshot.model
    day = run.key.as_of
    if model is None:
        raise RegistryError(
            f"Version {run.key.model_version} of the model, which made these scores, cannot be"
            " loaded from the registry; restore it there, or issue scores with the champion"
        )
    notes: list[Note] = []
    history = _history(project, account_id, notes)
    before = max((one.as_of for one in history if one.as_of < day), default=None)
    past = [day - timedelta(days=back) for back in PAST_DAYS]
    wanted = [day, *(one for one in {*past, before} - {None, day} if one is not None)]
    frame, ratings, built = tables.read(run, account_id, wanted)
    _refuse_lost(model, {signal.name for signal in built})
    rows = {one: _row_of(frame, one) for one in wanted}
    if rows[day].empty:
        raise InactiveAccount(inactive(account_id, day, project.settings.outcome))
    scored = Scorer(model).score(rows[day])
    segment = str(scored.table.at[0, "segment"])
    baseline, score = (float(scored.table[name].iloc[0]) for name in ("baseline_score", "score"))
    issued = next((one.score for one in history if one.as_of == day), None)
    if issued is not None and abs(issued - score) > SAME_SCORE:
        notes.append(
            Note(
                f"The tables were revised since: from what they hold today the score of {day} is"
                f" {score:.1f}, and {issued:.1f} was issued. The signals below are those of"
                " today's tables"
            )
        )
    active = [one for one in past if not rows[one].empty]
    return AccountDetails(
        account_id=account_id,
        as_of=day,
        model_version=run.key.model_version,
        segment=segment,
        baseline=baseline,
        score=score,
        lines=_lines(model, scored, {one: rows[one] for one in active}),
        past_dates=active,
        peers=_peers(project, run, reads, segment, scored, notes),
        ratings=ratings,
        move=_move(project, account_id, before, rows, history, run, model, notes),
        notes=notes,
        timing=timing_words(model, rows[day], day),
        curve=None
        if model.curve is None
        else told_curve(model, run.key.model_version, rows[day], day),
    )


def _history(project: Project, account_id: str, notes: list[Note]) -> list[DatedScore]:
    try:
        return issued_scores(project, account_id)
    except HealthscoreError as error:
        notes.append(note_of(error, "Earlier scores could not be read just now"))
        return []


def _refuse_lost(model: HealthModel, built: set[str]) -> None:
    from features.errors import sample

    lost = [signal.name for signal in model.signals if signal.name not in built]
    if lost:
        raise DataError(
            f"The model of these scores needs the signals {sample(lost, 5)}, which the"
            " configuration no longer gives; map their tables and columns again or score with a"
            " newer model"
        )


def _row_of(frame: pd.DataFrame, day: date) -> pd.DataFrame:
    rows: pd.DataFrame = frame[frame["observation_date"].dt.date == day]
    return rows.reset_index(drop=True)


def _lines(
    model: HealthModel, scored: ScoredAccounts, past: dict[date, pd.DataFrame]
) -> list[SignalLine]:
    from models.scoring.reasons import reasons

    signals = {signal.name: signal for signal in model.signals}
    (stated,) = reasons(scored.points, scored.values, scored.signals, len(signals))
    # Those without points are told too, last and in catalogue order.
    named = {reason.signal for reason in stated}
    stated += [_silent(signal, scored) for signal in model.signals if signal.name not in named]
    return [
        SignalLine(
            signals[reason.signal],
            reason,
            {day: _value(row.at[0, reason.signal]) for day, row in past.items()},
        )
        for reason in stated
    ]


def _silent(signal: Signal, scored: ScoredAccounts) -> Reason:
    from models.scoring.reasons import Reason, sentence

    value = _value(scored.values.at[0, signal.name])
    text = sentence(signal, value, 0.0)
    return Reason(signal.name, signal.group, signal.label, value, 0.0, text)


def _value(value: Any) -> float | str | None:
    import pandas as pd

    if pd.isna(value):
        return None
    return value if isinstance(value, str) else float(value)


def _peers(
    project: Project,
    run: Run,
    reads: RegistryReads,
    segment: str,
    scored: ScoredAccounts,
    notes: list[Note],
) -> Peers | None:
    reference = reads.reference(project, run.key.model_version)
    if reference.value is None:
        assert reference.failure is not None
        notes.append(led_by("Accounts to compare with cannot be shown", reference.failure))
        return None
    row = {str(name): value for name, value in scored.values.iloc[0].items()}
    return peers_of(reference.value.reference, segment, scored.signals, row)


def _move(
    project: Project,
    account_id: str,
    before: date | None,
    rows: dict[date, pd.DataFrame],
    history: list[DatedScore],
    run: Run,
    model: HealthModel,
    notes: list[Note],
) -> ExplainedMove | None:
    day, version = run.key.as_of, run.key.model_version
    if before is None:
        notes.append(
            Note("No earlier score of this account was issued, so there is no move to explain")
        )
        return None
    pair = {before: rows[before], day: rows[day]}
    # Of several scores of a date the one on this page counts.
    of_run = [one for one in history if one.as_of != day or one.model_version == version]
    try:
        return explain_rows(project, account_id, pair, of_run, (model, version))
    except HealthscoreError as error:
        notes.append(note_of(error, f"Why the score moved since {before} cannot be told"))
        return None
