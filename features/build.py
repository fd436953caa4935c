"""Builders → one feature table: every signal of every account, as known on each date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import cast

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from features.builders.builder import Builder, Request
from features.builders.settings import SignalsSettings
from features.catalog import AGE, Signal
from features.errors import SettingsError, sample
from features.observations import active_accounts
from features.outcomes.churned import DAYS_TO_LOSS
from features.outcomes.settings import OF_SOME_ACCOUNTS, OutcomeSettings
from features.signals.adoption import AdoptionBuilder
from features.signals.enablement import EnablementBuilder
from features.signals.payments import PaymentsBuilder
from features.signals.profile import ProfileBuilder
from features.signals.referrals import ReferralsBuilder
from features.signals.relationship import RelationshipBuilder
from features.signals.snapshots import SnapshotsBuilder
from features.signals.support import SupportBuilder
from features.signals.surveys import SurveysBuilder
from features.signals.usage import UsageBuilder
from features.sources.engines.engine import Engine
from features.tables.cleaning import CleanTable
from features.tables.company import SECOND_COPY, Company, Progress, days_between
from features.tables.mapping.contract import CONTRACT, Table
from features.tables.mapping.mapped import TYPES

BUILDERS: tuple[Builder, ...] = (
    UsageBuilder(),
    AdoptionBuilder(),
    SupportBuilder(),
    PaymentsBuilder(),
    ReferralsBuilder(),
    SurveysBuilder(),
    EnablementBuilder(),
    RelationshipBuilder(),
    ProfileBuilder(),
    SnapshotsBuilder(),
)


KEYS = ("account_id", "observation_date", "happened", DAYS_TO_LOSS, AGE)
"""Columns of the feature table that are no signals."""
ORDER = ("observation_date", "account_id")
POSITION = "position_in_feature_table"
PIECE_ROWS = 131_072
NAMED_BY_USER = SignalsSettings(key_features=("NAME",), rubric={"NAME": {}})
"""Signals that a user's own names make appear once, with NAME in place of the name."""


def active_builders(
    company: Company, settings: SignalsSettings
) -> dict[Builder, tuple[Signal, ...]]:
    """Return the builders whose tables are there and not switched off, with their signals.

    Raises
    ------
    SettingsError
        When two columns of the feature table would get the same name, or a healthy direction is
        declared for a signal that is not there.
    """
    off = settings.groups_off
    builders = BUILDERS
    if settings.builders:
        from features.builders.own import own_builders

        builders = (*BUILDERS, *own_builders(settings.builders))
    found = {
        builder: tuple(s for s in builder.signals(company, settings) if s.group not in off)
        for builder in builders
        if builder.group not in off
    }
    names = Counter(signal.name for signals in found.values() for signal in signals)
    clashes = sorted(name for name, n in (names + Counter(KEYS)).items() if n > 1)
    if clashes:
        raise SettingsError(
            f"Each column of the feature table needs a name of its own, and {sample(clashes)} would"
            " be there twice; rename the attribute, the column of snapshots or the signal of your"
            " own builder that takes it"
        )
    settings.check_healthy([signal for signals in found.values() for signal in signals])
    labels = Counter(signal.label for signals in found.values() for signal in signals)

    def shown(signal: Signal) -> Signal:
        # Attributes and columns may read like a signal of the catalogue; two lines never do.
        apart = f" ({signal.name})" if labels[signal.label] > 1 else ""
        healthy = settings.healthy.get(signal.name, signal.healthy)
        return replace(signal, healthy=healthy, label=signal.label + apart)

    return {builder: tuple(map(shown, signals)) for builder, signals in found.items() if signals}


def signals_of(company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
    """List every signal that can be built, in catalogue order."""
    return tuple(
        signal for signals in active_builders(company, settings).values() for signal in signals
    )


def every_signal() -> tuple[Signal, ...]:
    """List every signal that the builders know, were every table and column there.

    Examples
    --------
    >>> [signal.name for signal in every_signal() if signal.group == "referrals"][0]
    'referrals_365d'
    """
    # Labels are for data without dates, in which there is no tenure.
    tables = {name: _empty(table) for name, table in CONTRACT.items() if name != "labels"}
    company = Company(cast("Engine", None), tables, {}, date.today())
    listed = signals_of(company, NAMED_BY_USER)
    # Without a due date invoices say something else.
    bare = tables["invoices"]
    tables["invoices"] = replace(bare, cleaned=bare.cleaned.drop("due_at"))
    names = {signal.name for signal in listed}
    others = signals_of(company, NAMED_BY_USER)
    return (*listed, *(signal for signal in others if signal.name not in names))


def _empty(contract: Table) -> CleanTable:
    """Return a table of the contract that no engine holds."""
    columns = {column.name: TYPES[column.kind] for column in contract.all_columns()}
    table = ibis.table(columns, name=contract.name)
    return CleanTable(contract, contract.name, table, table)


@dataclass(frozen=True)
class FeatureRows:
    """The feature table of some dates, before it is fetched from the engine.

    Attributes
    ----------
    company : Company
        Whose tables it is computed from; they must stay open.
    table : ibis Table
        ``account_id``, ``observation_date``, ``happened``, of churn ``days_to_loss``, and
        ``account_age_days`` if labelled, ``mrr`` where it is mapped, and a column per signal.
    count : int
        Number of rows.
    signals : tuple of Signal
        What the columns are.
    groups : tuple of (ibis Table, tuple of str)
        The rows without signals, then for each group of signals a table of accounts and dates, and
        the columns that come of each; needed for :meth:`pieces` alone.
    """

    company: Company
    table: ir.Table
    count: int
    signals: tuple[Signal, ...]
    groups: tuple[tuple[ir.Table, tuple[str, ...]], ...] = ()

    def frame(self) -> pd.DataFrame:
        """Fetch all rows, ordered by date and account.

        Returns
        -------
        pandas.DataFrame
            A column per signal: float64 with NaN for unknown, or text with None.
        """
        return _typed(self.table.order_by(*ORDER).execute(), self.signals)

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Fetch the rows some at a time, ordered by date and account.

        Parameters
        ----------
        rows : int
            Most rows of a batch.

        Yields
        ------
        pyarrow.RecordBatch
            A column per signal: double or string, null for unknown.
        """
        counted = self.table.mutate(**{POSITION: ibis.row_number().over(order_by=ORDER)})
        kept = self.company.keep("feature_table", counted)
        schema = self._schema()
        for start in range(0, self.count, rows):
            here = kept.filter(kept[POSITION].between(start, start + rows - 1))
            part = here.order_by(POSITION).drop(POSITION).to_pyarrow()
            yield from part.cast(schema).combine_chunks().to_batches()

    def pieces(self) -> Iterator[pa.RecordBatchReader]:
        """Fetch the columns of one group after the other, rows in no order but numbered.

        The engine never holds, nor sends, all columns of a row at once, which of many rows would
        take more memory than all that is made of them.

        Yields
        ------
        pyarrow.RecordBatchReader
            :data:`POSITION`, the place of a row by date and account, beside the columns.
        """
        keys = ["account_id", "observation_date"]
        (observations, own), *groups = self.groups
        numbered = observations.mutate(**{POSITION: ibis.row_number().over(order_by=ORDER)})
        rows = self.company.keep("numbered_rows", numbered)
        place = rows.select(POSITION, *keys)
        tables = [(rows, own)]
        for group, names in groups:
            both = place.left_join(group.select(*keys, *names), keys, rname=SECOND_COPY)
            tables.append((both, names))
        schema = self._schema()
        for table, names in tables:
            kinds = pa.schema([pa.field(POSITION, pa.int64()), *(schema.field(n) for n in names)])
            piece = table.select(*kinds.names).to_pyarrow().cast(kinds)
            yield piece.to_reader(PIECE_ROWS)

    def _schema(self) -> pa.Schema:
        kinds = {s.name: pa.string() if s.is_categorical else pa.float64() for s in self.signals}
        own = self.table.schema().to_pyarrow()
        return pa.schema([(field.name, kinds.get(field.name, field.type)) for field in own])


def build_features(
    company: Company,
    dates: Sequence[date],
    outcome: OutcomeSettings,
    settings: SignalsSettings,
    *,
    labelled: bool,
    account_id: str | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Build the feature table and fetch it, as :func:`feature_rows` and its ``frame`` do."""
    return feature_rows(
        company,
        dates,
        outcome,
        settings,
        labelled=labelled,
        account_id=account_id,
        progress=progress,
    ).frame()


def feature_rows(
    company: Company,
    dates: Sequence[date],
    outcome: OutcomeSettings,
    settings: SignalsSettings,
    *,
    labelled: bool,
    account_id: str | None = None,
    progress: Progress | None = None,
) -> FeatureRows:
    """Describe the feature table, with all but its last step computed.

    Parameters
    ----------
    company : Company
        The tables.
    dates : sequence of date
        Observation dates; matured ones where labels are wanted.
    outcome : OutcomeSettings
        What is foretold, and over which window.
    settings : SignalsSettings
        Key features and what to leave out.
    labelled : bool
        Whether to add ``happened`` and drop accounts gone before their window opens.
    account_id : str, optional
        Build for this account only.
    progress : callable, optional
        Told of each builder.

    Returns
    -------
    FeatureRows
        To be fetched while the company is open.
    """
    builders = active_builders(company, settings)
    steps = len(builders) + 2
    tell = progress or (lambda name, number, total: None)
    tell("finding active accounts", 1, steps)
    rows = active_accounts(company, dates)
    if account_id is not None:
        rows = rows.filter(rows.account_id == account_id)
    if labelled or outcome.kind in OF_SOME_ACCOUNTS:
        # What reads outcomes is loaded where one is read: a night reads none.
        from features.outcomes.labels import candidates, with_label

        rows = candidates(rows, company, outcome, dates)
    if labelled:
        rows = with_label(rows, company, outcome, dates)
        rows = rows.mutate(**{AGE: days_between(rows.observation_date, rows.created_at)})
    observations = company.keep("observations", rows)
    request = Request(company, observations, tuple(dates), settings, outcome, account_id)
    extra = [name for name in (*KEYS[2:], "mrr") if name in observations.columns]
    joined = observations.select("account_id", "observation_date", *extra)
    groups = [(joined, (*joined.columns,))]
    for number, (builder, signals) in enumerate(builders.items(), start=2):
        tell(f"building {builder.group} signals", number, steps)
        names = [signal.name for signal in signals]
        values = builder.build(request).select("account_id", "observation_date", *names)
        values = company.keep(f"{builder.group}_signals", values)
        fresh = [name for name in names if name not in joined.columns]
        both = joined.left_join(
            values.select("account_id", "observation_date", *fresh),
            ["account_id", "observation_date"],
            rname=SECOND_COPY,
        )
        joined = both.select(*joined.columns, *fresh)
        groups.append((values, tuple(fresh)))
    tell("collecting the feature table", steps, steps)
    every = tuple(signal for signals in builders.values() for signal in signals)
    count = int(observations.count().execute())
    return FeatureRows(company, joined, count, every, tuple(groups))


def _typed(frame: pd.DataFrame, signals: Sequence[Signal]) -> pd.DataFrame:
    types = {signal.name: "object" if signal.is_categorical else "float64" for signal in signals}
    typed = frame.astype(types)
    for signal in signals:
        if signal.is_categorical:
            typed[signal.name] = typed[signal.name].where(typed[signal.name].notna(), None)
    return typed
