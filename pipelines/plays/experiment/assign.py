"""Drawing who is left alone, among the accounts of an issued run."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, SettingsError, nearest, sample
from features.json_values import JsonReady
from pipelines.plays.experiment.ledger import FILE_NAME, Assignment, Draw, Ledger
from pipelines.project.account_texts import account_texts
from pipelines.project.project import Project
from pipelines.project.settings.experiment import ExperimentSettings
from pipelines.reports.terminal.whole_file import replaced_whole
from pipelines.store.issued import issued_run
from pipelines.store.opening import open_store

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.store.runs import Run

MONTHS = 12
COLUMNS = ("account_id", "segment", "band", "probability", "mrr")
LEFT_ALONE, ACTED = "left alone", "acted on"


@dataclass(frozen=True)
class Assigned(JsonReady):
    """What a draw did.

    Parameters
    ----------
    experiment, play : str
        What is tried.
    as_of : date
        Date of the scores.
    fresh : tuple of Assignment
        Accounts that were assigned now; those of earlier draws stay as they were.
    before : int
        Accounts assigned earlier.
    """

    experiment: str
    play: str
    as_of: date
    fresh: tuple[Assignment, ...]
    before: int


def settings_of(project: Project, name: str) -> ExperimentSettings:
    """Return what the configuration says of an experiment.

    Raises
    ------
    SettingsError
        When it has no such section.
    """
    experiments = project.settings.experiments
    if name not in experiments:
        known = f"; known are {sample(experiments, 8)}" if experiments else ""
        hint = nearest(name, experiments) or known
        raise SettingsError(
            f"There is no experiment {sample([name])}{hint}; describe it under [experiments.NAME]"
        )
    return experiments[name]


def ledger_of(project: Project) -> Ledger:
    """Return the ledger, which lies beside the configuration."""
    return Ledger(project.folder / FILE_NAME, project.settings.store.seal_key())


def assign(project: Project, name: str, as_of: date | None = None) -> Assigned:
    """Draw who is left alone among accounts that take part and were not drawn before.

    An account is drawn once and stays what it was drawn for.

    Raises
    ------
    SettingsError
        When there is no such experiment.
    DataError
        When a date before that of an earlier draw is asked for.
    StoreError
        When no run was issued, or the ledger was changed or cannot be written.
    """
    from secrets import randbelow

    settings = settings_of(project, name)
    ledger = ledger_of(project)
    with ledger.adding():
        draws = ledger.draws(name)
        run, rows = _taking_part(project, settings, as_of)
        if draws and run.key.as_of < draws[-1].as_of:
            raise DataError(
                f"Experiment {sample([name])} was last drawn by scores of {draws[-1].as_of}, and"
                f" those of {run.key.as_of} are older; draw by newer scores"
            )
        drawn = {one.account_id for draw in draws for one in draw.assignments}
        fresh = rows[~rows["account_id"].isin(drawn)].sort_values("account_id", ignore_index=True)
        seed = randbelow(2**63)
        owners = account_texts(project, fresh["account_id"].tolist(), project.settings.serve.owner)
        assignments = _drawn(fresh, settings.share, seed, owners)
        if assignments:
            ledger.add(
                Draw(
                    experiment=name,
                    as_of=run.key.as_of,
                    drawn_at=datetime.now(UTC).replace(microsecond=0),
                    model_version=run.key.model_version,
                    share=settings.share,
                    seed=seed,
                    assignments=assignments,
                )
            )
    return Assigned(name, settings.play, run.key.as_of, assignments, len(drawn))


def taking_part(rows: pd.DataFrame, settings: ExperimentSettings) -> pd.DataFrame:
    """Keep the accounts that an experiment is about."""
    keep = rows["band"].isin(settings.bands) & ~rows["account_id"].isin(settings.exclude)
    if settings.segments:
        keep &= rows["segment"].isin(settings.segments)
    if settings.most_arr is not None:
        keep &= ~(MONTHS * rows["mrr"] > settings.most_arr)
    return rows[keep]


def refuse_other_file(file: Path | None) -> None:
    """Refuse a file of another kind before anybody is drawn.

    Raises
    ------
    SettingsError
        When its name does not end in .csv.
    """
    if file is not None and file.suffix.lower() != ".csv":
        raise SettingsError(
            f"Assignments are written as .csv, and {sample([file.name])} is none; name another file"
        )


def write_assignments(file: Path, assigned: Assigned) -> None:
    """Write who is to be acted on and who is not, for the team's own tools: a CSV file."""
    import pyarrow as pa

    from pipelines.scoring.export_files import harmless

    with replaced_whole(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["account_id", "owner", "arm", "play", "as_of"])
        for one in assigned.fresh:
            arm = LEFT_ALONE if one.left_alone else ACTED
            texts = [one.account_id, one.owner or "", arm, assigned.play]
            writer.writerow([*harmless(pa.array(texts)).to_pylist(), assigned.as_of.isoformat()])


def _taking_part(
    project: Project, settings: ExperimentSettings, as_of: date | None
) -> tuple[Run, pd.DataFrame]:
    import pandas as pd

    with open_store(project, read_only=True) as store:
        run = issued_run(store, project.outcome_name, as_of)
        batches = [
            taking_part(batch.to_pandas(), settings) for batch in store.scores(run, columns=COLUMNS)
        ]
    empty = pd.DataFrame(columns=list(COLUMNS))
    return run, pd.concat(batches, ignore_index=True) if batches else empty


def _drawn(
    rows: pd.DataFrame, share: float, seed: int, owners: dict[str, str]
) -> tuple[Assignment, ...]:
    import numpy as np

    from models.plays.experiment import leave_alone, strata_of

    if rows.empty:
        return ()
    risk = rows["probability"].to_numpy(dtype=float)
    strata = strata_of(rows["segment"].to_numpy(dtype=object), risk)
    alone = leave_alone(strata, share, np.random.default_rng(seed))
    return tuple(
        Assignment(str(account), bool(left), str(stratum), float(q), owners.get(str(account)))
        for account, left, stratum, q in zip(rows["account_id"], alone, strata, risk, strict=True)
    )
