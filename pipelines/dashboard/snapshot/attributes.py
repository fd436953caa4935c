"""Attributes of accounts, from the accounts table: name, owner, stage and further columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.catalog import signal_name
from pipelines.dashboard.snapshot.schema import (
    FIXED,
    LIFECYCLE,
    NAME,
    OWNER,
    RENEWAL,
    RESERVED,
    RESERVED_TOO,
    Attribute,
)
from pipelines.portfolio.worklist.described import contract_tables
from pipelines.project.project import Project

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from features.tables.company import Company

ROWS = 65_536
STAGE = "lifecycle_stage"


@dataclass(frozen=True)
class AccountAttributes:
    """Attributes of every account in the accounts table.

    Parameters
    ----------
    attributes : tuple of Attribute
        Columns that describe an account; sensitive ones are left out.
    batches : iterator of RecordBatch
        ``account_id``, ``name``, ``owner``, ``lifecycle``, ``renewal`` (when the contract renews
        next) and a column per attribute under its stored name.
    """

    attributes: tuple[Attribute, ...]
    batches: Iterator[pa.RecordBatch]


@contextmanager
def account_attributes(
    project: Project, owner: str | None, day: date
) -> Iterator[AccountAttributes]:
    """Open what the accounts table says, and the lifecycle stage of each account on a date.

    Parameters
    ----------
    project : Project
        The configuration.
    owner : str or None
        Column that names who looks after an account.
    day : date
        Date of the scores.

    Raises
    ------
    DataError
        When the source cannot be read, or has no such column.
    """
    from features.build import FeatureRows
    from pipelines.project.company import open_project_source

    with open_project_source(project) as source:
        company = contract_tables(project, source, owner, day)
        accounts = company.tables["accounts"].cleaned
        named = {NAME: accounts[NAME]} if NAME in accounts.columns else {}
        if owner is not None:
            named[OWNER] = accounts[owner].cast("string")
        attributes = _attributes(project, company, owner)
        described = accounts.select(
            "account_id",
            **named,
            **{
                one.stored: accounts[one.column].cast("string" if one.is_text else "float64")
                for one in attributes
            },
        )
        stages = _with_stage(project, company, described, day)
        rows = FeatureRows(company, stages, int(stages.count().execute()), ())
        yield AccountAttributes(attributes, _in_order(rows, attributes))


def _attributes(project: Project, company: Company, owner: str | None) -> tuple[Attribute, ...]:
    sensitive = {signal_name(name) for name in project.settings.signals.sensitive}
    attributes: dict[str, Attribute] = {}
    for column in project.settings.tables.accounts.attributes:
        name = signal_name(column)
        if name in sensitive or column == owner:
            continue
        if name in RESERVED | RESERVED_TOO or name in attributes:
            name = f"{name}_{len(attributes)}"
        kind = company.tables["accounts"].cleaned[column].type()
        attributes[name] = Attribute(name, column, is_text=not kind.is_numeric())
    return tuple(attributes.values())


def _with_stage(project: Project, company: Company, described: ir.Table, day: date) -> ir.Table:
    """Add the stage that the profile signals give on the date, where accounts have dates."""
    import ibis

    from features.builders.builder import Request
    from features.observations import active_accounts
    from features.signals.profile import ProfileBuilder

    if not company.is_dated:
        return described.mutate(observation_date=ibis.date(day))
    settings = project.settings
    active = company.keep("observations", active_accounts(company, [day]))
    request = Request(company, active, (day,), settings.signals, settings.outcome)
    profile = ProfileBuilder().build(request)
    stages = profile.select("account_id", **{LIFECYCLE: profile[STAGE]})
    added = [LIFECYCLE]
    if "renewal_at" in active.columns:
        renewals = active.select("account_id", **{RENEWAL: active.renewal_at.cast("date")})
        stages = stages.left_join(renewals, "account_id").select(*stages.columns, RENEWAL)
        added.append(RENEWAL)
    joined = described.left_join(stages, "account_id").select(*described.columns, *added)
    return joined.mutate(observation_date=ibis.date(day))


def _in_order(rows: Any, attributes: tuple[Attribute, ...]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    kinds: Mapping[str, pa.DataType] = {
        "account_id": pa.string(),
        **dict.fromkeys(FIXED, pa.string()),
        RENEWAL: pa.date32(),
        **{one.stored: pa.string() if one.is_text else pa.float64() for one in attributes},
    }
    schema = pa.schema(list(kinds.items()))
    for batch in rows.batches(ROWS):
        columns = [
            batch.column(name).cast(kind)
            if name in batch.schema.names
            else pa.nulls(batch.num_rows, kind)
            for name, kind in kinds.items()
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
