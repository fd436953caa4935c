"""Model health from the registry: who serves, how it was judged, and what was decided since."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from features.errors import RegistryError
from pipelines.dashboard.access.notes import Note, note_of

if TYPE_CHECKING:
    import pandas as pd

    from models.registry.champions import History
    from models.registry.checks import MonitorRecord
    from models.registry.models import Champion
    from models.registry.recommendations import RecommendationRecord
    from pipelines.project.project import Project

NEWEST_CHECKS, NEWEST_RECOMMENDATIONS = 12, 12
LEAST_POSITIVES, POSITIVES_PER_BIN = 20, 5
"""Of fewer outcomes nothing can be said of probabilities, and no bin is made of fewer."""


@dataclass(frozen=True)
class Moved:
    """A signal that had moved at the last check.

    Parameters
    ----------
    signal, segment : str
        Which one, and where.
    weight : float
        Share of the score in that segment that rests on it, from 0 to 1.
    psi, psi_expected : float
        How far it moved (population stability index), and how far chance and season move it.
    """

    signal: str
    segment: str
    weight: float
    psi: float
    psi_expected: float


@dataclass(frozen=True)
class ModelHealth:
    """A champion and its history.

    Parameters
    ----------
    champion : Champion
        Who serves.
    age_days : int
        Days since it was registered.
    taught_until : date or None
        Newest observation date whose outcomes it was taught with.
    metrics : dict of str to float
        How it did on the dates that judged it.
    holdout : DataFrame or None
        What it said of those rows; None where they were not kept.
    history : History or None
        Champions and challengers.
    checks : list of MonitorRecord
        The latest ones, the newest first.
    moved : list of Moved
        What had moved at the last check of the champion, what weighs most first.
    recommendations : list of RecommendationRecord
        The latest ones, the newest first.
    notes : list of Note
        What cannot be shown, and why.
    """

    champion: Champion
    age_days: int
    taught_until: date | None
    metrics: dict[str, float]
    holdout: pd.DataFrame | None
    history: History | None
    checks: list[MonitorRecord]
    moved: list[Moved]
    recommendations: list[RecommendationRecord]
    notes: list[Note] = field(default_factory=list)

    @property
    def last_check(self) -> MonitorRecord | None:
        """The newest check of the champion of now."""
        own = [one for one in self.checks if one.model_version == self.champion.version]
        return own[0] if own else None

    @property
    def same_since(self) -> MonitorRecord | None:
        """The first of the champion's checks since which the decision is the same."""
        own = [one for one in self.checks if one.model_version == self.champion.version]
        first = None
        for check in own:
            if check.status != own[0].status:
                break
            first = check
        return first


def model_health(project: Project) -> ModelHealth:
    """Read what is on record of a project's champion.

    Parts that cannot be read are left out with a note.

    Raises
    ------
    RegistryError
        When there is no champion, or the registry cannot be reached.
    """
    champion = project.registry.champion()
    notes: list[Note] = []
    history = _history(project, notes)
    checks = _checks(project, notes)
    health = ModelHealth(
        champion=champion,
        age_days=_age(champion),
        taught_until=_taught_until(history, champion.version),
        metrics=_metrics(champion),
        holdout=_holdout(project, champion.version, notes),
        history=history,
        checks=checks[:NEWEST_CHECKS],
        moved=[],
        recommendations=_recommendations(project, notes),
        notes=notes,
    )
    health.moved.extend(_moved(project, health.last_check, notes))
    return health


def calibration(health: ModelHealth) -> pd.DataFrame | None:
    """Compare what was foretold with what happened, in bins; None where too little happened."""
    from models.measures.calibration_error import BINS
    from models.measures.metrics import calibration_table

    rows = health.holdout
    if rows is None or rows["happened"].sum() < LEAST_POSITIVES:
        return None
    bins = min(BINS, int(rows["happened"].sum()) // POSITIVES_PER_BIN)
    return calibration_table(
        rows["happened"], rows["probability"], bins, accounts=rows["account_id"]
    )


def _age(champion: Champion) -> int:
    made = datetime.fromisoformat(champion.created_at)
    return max((datetime.now(UTC) - made).days, 0)


def _metrics(champion: Champion) -> dict[str, float]:
    start = "holdout_"
    return {
        name.removeprefix(start): float(value)
        for name, value in champion.metrics.items()
        if name.startswith(start)
    }


def _history(project: Project, notes: list[Note]) -> History | None:
    from pipelines.monitor.champions import history

    try:
        return history(project)
    except RegistryError as error:
        notes.append(note_of(error, "The history of champions cannot be read"))
        return None


def _taught_until(history: History | None, version: str) -> date | None:
    own = [] if history is None else [one for one in history.versions if one.version == version]
    last = own[0].counts.get("last_date") if own else None
    return None if last is None else date.fromisoformat(str(last)[:10])


def _holdout(project: Project, version: str, notes: list[Note]) -> pd.DataFrame | None:
    try:
        return project.registry.holdout(version)
    except RegistryError as error:
        notes.append(note_of(error, "Whether its probabilities hold cannot be drawn"))
        return None


def _checks(project: Project, notes: list[Note]) -> list[MonitorRecord]:
    from models.registry.checks import monitor_records

    try:
        return monitor_records(project.registry_folder, project.settings.registry.model_name)
    except RegistryError as error:
        notes.append(note_of(error, "Checks cannot be read"))
        return []


def _recommendations(project: Project, notes: list[Note]) -> list[RecommendationRecord]:
    from models.registry.recommendations import recommendation_records

    try:
        name = project.settings.registry.model_name
        records, unreadable = recommendation_records(
            project.registry_folder, name, limit=NEWEST_RECOMMENDATIONS
        )
    except RegistryError as error:
        notes.append(note_of(error, "Recommendations cannot be read"))
        return []
    if unreadable:
        notes.append(Note(f"{unreadable} of the latest recommendations can no longer be read"))
    return records


def _moved(project: Project, check: MonitorRecord | None, notes: list[Note]) -> list[Moved]:
    """Read how far that which had moved did, from what the check kept."""
    if check is None or not check.drifted:
        return []
    from models.registry.checks import FILE
    from models.registry.session import UNREADABLE, kept_json, tracking

    try:
        with tracking(project.registry_folder, project.settings.registry.model_name, create=False):
            statistics = kept_json(check.run_id, FILE)["found"]["statistics"]
        mix = [statistics["mix"]] if statistics["mix"] else []
        measured = {
            (one["name"], one["segment"]): Moved(
                one["name"],
                one["segment"],
                float(one["weight"]),
                float(one["psi"]),
                float(one["psi_expected"]),
            )
            for one in (*statistics["signals"], *statistics["score"], *mix)
        }
    except (*UNREADABLE, KeyError, TypeError, RegistryError) as error:
        notes.append(Note("How far signals moved cannot be read", type(error).__name__))
        return []
    moved = [measured[place] for place in check.drifted if place in measured]
    return sorted(moved, key=lambda one: -one.weight * max(one.psi - one.psi_expected, 0.0))
