"""Score every active account on a date and issue the scores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.errors import DataError
from pipelines.company_data import open_company, scoring_date
from pipelines.config import Project
from pipelines.feature_table import features_of_date
from pipelines.progress import show_progress

if TYPE_CHECKING:
    import pandas as pd

    from features.company import Company
    from models.health_model import HealthModel, ScoredAccounts

REASONS = 5


@dataclass(frozen=True)
class Issued:
    """One run of the batch job.

    Parameters
    ----------
    outcome : str
        Name of the outcome the scores foretell.
    as_of : date
        Date the scores speak of.
    model_version : str
        The champion's version.
    rows : int
        Accounts in the run.
    fresh : bool
        Whether the run was written now; False when it had been issued before.
    warnings : list of str
        One sentence each.
    model : HealthModel
        The champion that made the scores.
    """

    outcome: str
    as_of: date
    model_version: str
    rows: int
    fresh: bool
    warnings: list[str]
    model: HealthModel


def score_accounts(project: Project, as_of: date | None) -> Issued:
    """Build signals as known on a date, score with the champion and issue the result once.

    Raises
    ------
    RegistryError
        When there is no champion.
    DataError
        When the date lies outside the data, or the data break the contract.
    StoreError
        When the store cannot be written; it then holds what it held before.
    """
    from pipelines.store import write_scores

    model, version, facts = champion(project)
    with open_company(project) as company:
        day, warnings = scoring_date(company, as_of)
        frame = features_on(project, company, model, day)
    with show_progress("Score") as step:
        step(f"scoring {len(frame):,} accounts", 1, 2)
        scored = model.score(frame)
        scores = score_rows(frame, scored)
        reasons = reason_rows(frame, scored)
        step(f"writing {project.store_file.name}", 2, 2)
        written = write_scores(
            project.store_file,
            scores,
            reasons,
            as_of=day,
            model_version=version,
            outcome=project.outcome_name,
        )
    warnings += _doubts(project, facts)
    if not written:
        warnings.append(
            f"Scores of {day} by model version {version} had been issued before and stay as they"
            " are"
        )
    return Issued(project.outcome_name, day, version, len(scores), bool(written), warnings, model)


def champion(project: Project) -> tuple[HealthModel, str, dict[str, Any]]:
    """Load the champion of a project's outcome, with its version and the facts of its run.

    Raises
    ------
    RegistryError
        When there is none, or it foretells another outcome than the configuration describes.
    """
    from features.errors import RegistryError
    from models.registry import load_champion

    settings = project.settings
    name, kind = settings.registry.model_name, settings.outcome.kind
    model, version, facts = load_champion(project.registry_folder, name)
    # Champions from before there were other outcomes foretell churn.
    taught = facts["params"].get("outcome", "churn")
    if taught != kind or model.scale.good != settings.outcome.is_good:
        news = "good" if model.scale.good else "bad"
        raise RegistryError(
            f"The champion {name!r} was taught to foretell {taught} as {news} news, and"
            f" [{project.outcome_section}] now says kind = {kind!r}; train again or give the new"
            " outcome a section of its own under [outcomes]"
        )
    return model, version, facts


def features_on(
    project: Project,
    company: Company,
    model: HealthModel,
    day: date,
    account_id: str | None = None,
) -> pd.DataFrame:
    """Build the feature rows of one date, refusing a model that other signals were taught.

    Raises
    ------
    DataError
        When no account is active on the date, or the model needs a signal the tables cannot give.
    """
    from features.build import signals_of

    settings = project.settings
    built = {signal.name for signal in signals_of(company, settings.signals)}
    lost = [signal.name for signal in model.signals if signal.name not in built]
    if lost:
        from features.errors import sample

        raise DataError(
            f"The champion needs the signals {sample(lost, 5)}, which the configuration no longer"
            " gives; map their tables and columns again or train a new champion"
        )
    return features_of_date(project, company, day, account_id)


def score_rows(frame: pd.DataFrame, scored: ScoredAccounts) -> pd.DataFrame:
    """Arrange scores as table ``scores`` of the store; groups without a signal hold 0 points."""
    from features.catalog import GROUPS

    columns = ["account_id", "segment", "score", "band", "probability", "coverage"]
    rows = scored.table[[*columns, "baseline_score"]].copy()
    by_group = scored.group_points()
    for group in GROUPS:
        rows[f"points_{group}"] = by_group[group].to_numpy() if group in by_group else 0.0
    rows["mrr"] = frame["mrr"].to_numpy() if "mrr" in frame else float("nan")
    return rows


def reason_rows(frame: pd.DataFrame, scored: ScoredAccounts) -> pd.DataFrame:
    """Arrange the five largest points of each account as table ``score_reasons``."""
    import pandas as pd

    rows = [
        (account, rank, reason.signal, reason.group, _text(reason.value), reason.points)
        for account, reasons in zip(frame["account_id"], scored.reasons(REASONS), strict=True)
        for rank, reason in enumerate(reasons, start=1)
    ]
    columns = ["account_id", "rank", "signal", "signal_group", "value", "points"]
    return pd.DataFrame(rows, columns=columns)


def _text(value: float | str | None) -> str | None:
    return None if value is None else str(value)


def _doubts(project: Project, facts: dict[str, Any]) -> list[str]:
    if facts["metrics"].get("holdout_enough_evidence"):
        return []
    return [
        "There is not enough evidence that behaviour foretells"
        f" {project.settings.outcome.words.noun}: do not act on the scores"
    ]
