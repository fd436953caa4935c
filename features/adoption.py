"""Adoption: how much of the product is used, and whether the features that matter are."""

from __future__ import annotations

import re
from hashlib import sha256

import ibis.expr.types as ir

from features.builder import Request, SignalsSettings, fill_rows, relative_change
from features.catalog import Group, Signal
from features.cleaning import CleanTable
from features.company import Company
from features.errors import SettingsError
from features.panes import Measure, Window, aggregate_windows

RECENT = Window("recent", 28)
BEFORE = Window("before", 28, ends_days_before=28)
LONG = Window("long", 90)

_BREADTH = (
    Signal(
        "features_used_28d",
        "adoption",
        "count",
        "higher",
        "Features used",
        28,
        "{value} feature{s} used in 28 days",
    ),
    Signal(
        "features_used_change",
        "adoption",
        "change",
        "higher",
        "Features used",
        28,
        "The number of features used {value} against the month before",
    ),
)


def signal_name(text: str) -> str:
    """Turn any text into a column name; a text in another script gets a digest for a name.

    Examples
    --------
    >>> signal_name("Export (CSV)")
    'export_csv'
    >>> signal_name("業種")
    'unnamed_ac16b6d4'
    """
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60]
    return plain or f"unnamed_{sha256(text.encode()).hexdigest()[:8]}"


def key_feature_names(settings: SignalsSettings) -> dict[str, str]:
    """Map each key feature to the stem of its signals' names.

    Raises
    ------
    SettingsError
        When two features would share a name.
    """
    stems: dict[str, str] = {}
    for feature in settings.key_features:
        stem = "feature_" + signal_name(feature)
        if stem in stems.values():
            raise SettingsError(
                f"[signals] key_features needs names that differ in letters or digits, and"
                f" {feature[:60]!r} reads like another one; take one of them off the list"
            )
        stems[feature] = stem
    return stems


def _key_feature_signals(settings: SignalsSettings) -> tuple[Signal, ...]:
    found: list[Signal] = []
    for feature, stem in key_feature_names(settings).items():
        shown = feature[:60].replace("{", "(").replace("}", ")")
        for window in (RECENT, LONG):
            found.append(
                Signal(
                    f"{stem}_{window.days}d",
                    "adoption",
                    "count",
                    "none",
                    f"Uses of {shown}",
                    window.days,
                    f"{{value}} use{{s}} of {shown} in {window.days} days",
                )
            )
    return tuple(found)


class AdoptionBuilder:
    """Signals of the ``adoption`` group, from the feature column of usage events."""

    group: Group = "adoption"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List breadth, and the volume of each key feature."""
        if not company.has("usage_events", "feature"):
            return ()
        return (*_BREADTH, *_key_feature_signals(settings))

    def build(self, request: Request) -> ir.Table:
        """Count distinct features over the windows, and the uses of each key feature."""
        table = request.company.tables["usage_events"]
        stems = key_feature_names(request.settings)
        breadth = aggregate_windows(
            table, request.dates, (RECENT, BEFORE), {"features": Measure("distinct", "feature")}
        )
        keys = request.observations.select("account_id", "observation_date")
        rows = fill_rows(keys, breadth, ["features_recent", "features_before"])
        rows = rows.select(
            "account_id",
            "observation_date",
            features_used_28d=rows.features_recent,
            features_used_change=relative_change(rows.features_recent, rows.features_before),
        )
        if not stems:
            return rows
        names = {
            f"{stem}_{window.name}": f"{stem}_{window.days}d"
            for stem in stems.values()
            for window in (RECENT, LONG)
        }
        volumes = aggregate_windows(
            _one_column_per_feature(table, stems),
            request.dates,
            (RECENT, LONG),
            {stem: Measure("sum", stem) for stem in stems.values()},
        )
        filled = fill_rows(rows, volumes, list(names))
        return filled.rename({new: old for old, new in names.items()})


def _one_column_per_feature(table: CleanTable, stems: dict[str, str]) -> CleanTable:
    events = table.cleaned.filter(table.cleaned.feature.isin(list(stems)))
    amount = events.quantity if table.has("quantity") else 1.0
    columns = {
        stem: (events.feature == feature).ifelse(amount, 0.0) for feature, stem in stems.items()
    }
    return CleanTable(table.contract, table.source_name, table.raw, events.mutate(**columns))
