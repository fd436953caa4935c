"""The contract of a builder: from a company's tables to one group of signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

import ibis
import ibis.expr.types as ir

from features.builders.settings import SignalsSettings
from features.catalog import Signal
from features.outcomes.settings import OutcomeSettings
from features.sources.engines.engine import NOTHING
from features.tables.company import Company, rows_known, without_doubled_keys
from features.windows.panes import Events, Measure, Window, aggregate_windows, events_of


@dataclass(frozen=True)
class Request:
    """What a builder is given.

    Parameters
    ----------
    company : Company
        The tables.
    observations : ibis table
        Rows to build for: the result of :func:`features.observations.active_accounts`.
    dates : sequence of date
        The observation dates that occur.
    settings : SignalsSettings
        The ``[signals]`` section.
    outcome : OutcomeSettings
        What is foretold, and over which window.
    account_id : str or None
        The only account to build for, if it is one.
    """

    company: Company
    observations: ir.Table
    dates: Sequence[date]
    settings: SignalsSettings
    outcome: OutcomeSettings
    account_id: str | None = None

    @property
    def keys(self) -> ir.Table:
        """``account_id`` and ``observation_date`` of every row to build."""
        return self.observations.select("account_id", "observation_date")

    def events(self, table: str, at: str | None = None, **columns: ir.Value) -> Events:
        """Read a table as events: see :func:`features.windows.panes.events_of`."""
        events = events_of(self.company.tables[table], at, **columns)
        if self.account_id is None:
            return events
        of_account = events.rows.filter(events.rows.account_id == self.account_id)
        return replace(events, rows=of_account)

    def over_windows(
        self, events: Events, windows: Sequence[Window], measures: Mapping[str, Measure]
    ) -> ir.Table:
        """Measure events over windows: see :func:`features.windows.panes.aggregate_windows`."""
        # What is computed for one account alone is not worth keeping.
        remembered = NOTHING if self.account_id else self.company.engine.remembered
        return aggregate_windows(
            self.observations, self.dates, events, windows, measures, self.company.keep, remembered
        )

    def known(self, table: str, lookback_days: int | None = None) -> ir.Table:
        """Pair observations with what was known: see :func:`features.tables.company.rows_known`."""
        return rows_known(self.observations, self.company.tables[table], lookback_days)


class Builder(Protocol):
    """Builds signals, mostly those of one group, from one or more tables."""

    @property
    def group(self) -> str:
        """What progress calls it: its signal group, or a word where each signal says its own."""
        ...

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List the signals these tables can fill; none switches the group off."""
        ...

    def build(self, request: Request) -> ir.Table:
        """Return ``account_id``, ``observation_date`` and a column per signal for every row."""
        ...


def fill_rows(
    observations: ir.Table, values: ir.Table, zero_where_absent: Sequence[str]
) -> ir.Table:
    """Give every observation a row: counts of nothing are zero, everything else is unknown."""
    joined = observations.left_join(values, ["account_id", "observation_date"])
    joined = without_doubled_keys(joined)
    zeros = {name: joined[name].cast("float64").fill_null(0.0) for name in zero_where_absent}
    return joined.mutate(**zeros)


def all_history(request: Request, table: str) -> Window:
    """Return a window that reaches back to the first row of a table from every date."""
    first = request.company.quality[table].first
    days = (max(request.dates) - first.date()).days if first is not None else 1
    return Window("ever", max(days, 1))


def relative_change(now: ir.Value, before: ir.Value) -> ir.Value:
    """Return (now - before) / before; unknown where there was nothing before."""
    return ibis.ifelse(before > 0, (now - before) / before, ibis.null("float64"))
