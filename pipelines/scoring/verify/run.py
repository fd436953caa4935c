"""Make an issued run again, from the tables and the model it came from, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from features.errors import sample
from features.json_values import JsonReady
from pipelines.project.feature_stream import feature_stream
from pipelines.project.project import Project
from pipelines.reports.terminal.ordered_work import usable_cores
from pipelines.reports.terminal.progress import show_rows
from pipelines.scoring.bands.settled import bands_before
from pipelines.scoring.score import scored_batches
from pipelines.scoring.verify.rows import Compared, compare_rows
from pipelines.scoring.verify.seals import changed_parts, erased_words, key_at_hand
from pipelines.store.issued import issued_run, of_reasons
from pipelines.store.schema import SCORE_SCHEMA, without_reasons
from pipelines.store.seals import run_of
from pipelines.store.writer import checked, with_decimals

if TYPE_CHECKING:
    from pipelines.store.runs import Run

SHOWN = 5
BESIDE = (
    "The run fits its seal and what was erased from it, so nobody changed it: without the erased"
    " rows accounts that are compared with them, as by who rated both, come out otherwise"
)


@dataclass(frozen=True)
class Verified(JsonReady):
    """What came of making a run again.

    Parameters
    ----------
    outcome, as_of, model_version, revision
        Which run.
    rows : int
        Accounts in it.
    same : bool
        Whether all that people act on was met, and the run fits its seal.
    largest_difference : float
        Between an issued and a rebuilt score of the same account, in points.
    differing, gone, extra : int
        Accounts of which something differs, that the tables no longer give, and that they give in
        addition.
    columns : dict of str to int
        In how many accounts each column differs, where it does.
    examples : list of str
        Some of those accounts.
    same_data, same_config : bool
        Whether the signals, and the configuration, are what they were.
    is_sealed : bool
        Whether the run bears a seal.
    erased : int
        Accounts that were erased, which cannot be made again.
    reasons_kept : bool
        Whether its reasons are kept; those that were let go are not compared.
    said : list of str
        The same in sentences.
    """

    outcome: str
    as_of: str
    model_version: str
    revision: int
    rows: int
    same: bool
    largest_difference: float
    differing: int
    gone: int
    extra: int
    columns: dict[str, int]
    examples: list[str]
    same_data: bool
    same_config: bool
    is_sealed: bool
    erased: int
    reasons_kept: bool
    said: list[str]


def verify_run(
    project: Project,
    as_of: date | None,
    *,
    model_version: str | None = None,
    revision: int | None = None,
    features: Path | None = None,
) -> Verified:
    """Make a run again and compare it with what was issued; the store stays as it is.

    Parameters
    ----------
    project : Project
        The configuration.
    as_of : date or None
        The run's date; the newest when None.
    model_version, revision
        Which of that date's runs; the newest when None.
    features : Path, optional
        The feature table the run was scored from, where it was not the tables.

    Raises
    ------
    StoreError
        When no such run was issued.
    RegistryError
        When its model is gone.
    DataError
        When the tables no longer give its signals.
    """
    from models.training.fingerprint import RowsFingerprint
    from pipelines.store.opening import open_store

    with open_store(project, read_only=True) as store:
        run = issued_run(store, project.outcome_name, as_of, model_version, revision)
        issued = store.scores(run).read_all()
        seal = {seal.run: seal for seal in store.seals()}.get(run_of(run))
        groups = store.groups_of(run)
        erasures = [one for one in store.erasures() if one.run == run_of(run)]
        bands = bands_before(store, run)
    faults = [f"The run says {run.rows:,} rows and holds {len(issued):,}"] * (
        run.rows != len(issued)
    )
    parts = (
        changed_parts(run, seal, issued.to_batches(), groups, key_at_hand(project), erasures)
        if seal
        else []
    )
    if parts:
        faults.append(f"The run does not fit its seal ({', '.join(parts)}): the store was changed")
    champion = project.registry.version(run.key.model_version)
    model = champion.model
    if run.facts.get("model_run", champion.run_id) != champion.run_id:
        faults.append(
            f"The run says that its model came from run {sample([run.facts['model_run']])}, and"
            f" version {run.key.model_version} came from {champion.run_id}"
        )
    rebuilt, fingerprint = [], RowsFingerprint()
    gone = of_reasons(erasures)
    with feature_stream(project, model, run.key.as_of, features) as stream:
        count, scored = scored_batches(stream, model, usable_cores())
        with show_rows("Verify", count) as done:
            for rows, hashes in scored:
                fingerprint.update(hashes)
                settled = rows if bands is None else bands.settle(rows, model.scale)
                whole = checked(settled, groups)
                rebuilt.append(without_reasons(whole) if gone else whole)
                done(rows.num_rows)
    again = pa.Table.from_batches(rebuilt, SCORE_SCHEMA)
    # Nothing is left that an erased account could be made again from.
    erased = pc.is_in(
        issued["account_id"], pa.array([one.tombstone for one in erasures], pa.string())
    )
    # An earlier version issued more decimals than this one makes again.
    kept = [with_decimals(batch) for batch in issued.filter(pc.invert(erased)).to_batches()]
    compared = compare_rows(pa.Table.from_batches(kept, SCORE_SCHEMA), again)
    same_data = run.facts.get("data_fingerprint") == fingerprint.hexdigest()
    same_config = run.facts.get("config_fingerprint") == project.fingerprint
    return Verified(
        outcome=run.key.outcome,
        as_of=run.key.as_of.isoformat(),
        model_version=run.key.model_version,
        revision=run.revision,
        rows=len(issued),
        same=not compared.accounts and not faults,
        largest_difference=compared.largest_difference,
        differing=compared.differing,
        gone=compared.gone,
        extra=compared.extra,
        columns=compared.columns,
        examples=compared.accounts[:SHOWN],
        same_data=same_data,
        same_config=same_config,
        is_sealed=seal is not None,
        erased=pc.sum(erased).as_py() or 0,
        reasons_kept=not gone,
        said=[
            *_said(run, compared, faults, same_data=same_data, same_config=same_config),
            *erased_words(erasures),
            *[BESIDE]
            * bool(len(erasures) > len(gone) and seal and compared.accounts and not faults),
        ],
    )


def _said(
    run: Run, compared: Compared, faults: list[str], *, same_data: bool, same_config: bool
) -> list[str]:
    unknown = ["What the run was made from is not on record"] * (not run.facts)
    if not compared.accounts:
        return [f"All {compared.rows:,} scores were met", *unknown, *faults]
    said = [
        f"{len(compared.accounts):,} accounts are not as issued, such as"
        f" {sample(compared.accounts, SHOWN)}"
    ]
    if compared.columns:
        counts = [f"{name} ({count:,})" for name, count in compared.columns.items()]
        said.append(f"They differ in {', '.join(counts)}")
    if not same_config:
        said.append("The configuration has changed since the run was issued")
    if not same_data:
        said.append("The signals of that date have changed since: rows came late or were corrected")
    if same_config and same_data and not faults:
        said.append("Neither signals nor configuration have changed: the model or this program has")
    return said + unknown + faults
