"""The contract of a builder: from a company's tables to one group of signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import ibis
import ibis.expr.types as ir
from pydantic import Field

from features.catalog import Group, Signal
from features.company import Company, without_doubled_keys
from features.mapping import Frozen


class SignalsSettings(Frozen):
    """The ``[signals]`` section.

    Parameters
    ----------
    key_features : tuple of str
        Product features (values of ``usage_events.feature``) that get signals of their own.
    groups_off : tuple of str
        Signal groups to leave out.
    sensitive : tuple of str
        Account attributes that are never inputs (gender, age …).
    """

    key_features: tuple[str, ...] = Field((), max_length=50)
    groups_off: tuple[Group, ...] = ()
    sensitive: tuple[str, ...] = ()


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
    """

    company: Company
    observations: ir.Table
    dates: Sequence[date]
    settings: SignalsSettings


class Builder(Protocol):
    """Builds the signals of one group from one or more tables."""

    group: Group

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


def relative_change(now: ir.Value, before: ir.Value) -> ir.Value:
    """Return (now - before) / before; unknown where there was nothing before."""
    return ibis.ifelse(before > 0, (now - before) / before, ibis.null("float64"))
