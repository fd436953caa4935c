"""Adoption: how much of the product is used, how deeply, and whether what matters is used."""

from __future__ import annotations

from datetime import date, datetime, time

import ibis
import ibis.expr.types as ir

from features.builders.builder import Request, all_history, fill_rows, relative_change
from features.builders.settings import SignalsSettings
from features.catalog import Direction, Group, Signal, Unit, signal_name
from features.errors import SettingsError
from features.observations import dates_table
from features.tables.company import Company, days_between, without_doubled_keys
from features.windows.panes import Events, Measure, Window, aggregate_windows, events_of

RECENT = Window("recent", 28)
BEFORE = Window("before", 28, ends_days_before=28)
LONG, HALF = Window("long", 90), Window("half", 180)
SOME_DAY = date(2020, 1, 1)


def _signal(
    name: str, unit: Unit, healthy: Direction, label: str, days: int | None, sentence: str
) -> Signal:
    return Signal(name, "adoption", unit, healthy, label, days, sentence)


_BREADTH_AND_DEPTH = (
    _signal(
        "features_used_28d",
        "count",
        "higher",
        "Features used",
        28,
        "{value} feature{s} used in 28 days",
    ),
    # Where there is little use, a month shows few of the features that an account knows.
    _signal(
        "features_used_90d",
        "count",
        "higher",
        "Features used, long",
        90,
        "{value} feature{s} used in 90 days",
    ),
    _signal(
        "features_used_180d",
        "count",
        "higher",
        "Features used, half a year",
        180,
        "{value} feature{s} used in 180 days",
    ),
    _signal(
        "features_used_change",
        "change",
        "higher",
        "Features used, change",
        28,
        "The number of features used {value} against the month before",
    ),
    _signal(
        "uses_per_feature_28d",
        "count",
        "higher",
        "Depth of use",
        28,
        "{value} use{s} per used feature in 28 days",
    ),
    # Who knows much of a product uses what few others do. That shows in little use, too, where
    # counts of features say how much was used and not how much is known.
    _signal(
        "rarest_feature_28d",
        "count",
        "higher",
        "Rarest feature used, lately",
        28,
        "The rarest feature used in 28 days is number {value} by accounts that use it",
    ),
    _signal(
        "rarest_feature_90d",
        "count",
        "higher",
        "Rarest feature used",
        90,
        "The rarest feature used in 90 days is number {value} by accounts that use it",
    ),
    _signal(
        "rarest_feature_180d",
        "count",
        "higher",
        "Rarest feature used, half a year",
        180,
        "The rarest feature used in 180 days is number {value} by accounts that use it",
    ),
)
_FIRST_VALUE = _signal(
    "days_to_first_value",
    "days",
    "lower",
    "Time to first value",
    None,
    "The first use that shows value came {value} after the start",
)
_KEY_SHARE = _signal(
    "key_features_used_90d",
    "share",
    "higher",
    "Key features used",
    90,
    "{value} of the key features were used in 90 days",
)


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
        for window, when in ((RECENT, ", lately"), (LONG, "")):
            found.append(
                _signal(
                    f"{stem}_{window.days}d",
                    "count",
                    "none",
                    f"Uses of {shown}{when}",
                    window.days,
                    f"{{value}} use{{s}} of {shown} in {window.days} days",
                )
            )
    return (_KEY_SHARE, *found) if found else ()


class AdoptionBuilder:
    """Signals of the ``adoption`` group, from the feature column of usage events."""

    group: Group = "adoption"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List breadth, depth, time to first value and the volume of each key feature."""
        if not company.has("usage_events", "feature"):
            return ()
        return (*_BREADTH_AND_DEPTH, _FIRST_VALUE, *_key_feature_signals(settings))

    def build(self, request: Request) -> ir.Table:
        """Count distinct features, the uses of each key feature and the days to the first."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        stems = key_feature_names(request.settings)
        rows = without_doubled_keys(
            _uses(request, stems).left_join(_rarest(request), ["account_id", "observation_date"])
        )
        values = {
            "features_used_28d": rows.features_recent,
            "features_used_90d": rows.features_long,
            "features_used_180d": rows.features_half,
            "features_used_change": relative_change(rows.features_recent, rows.features_before),
            "uses_per_feature_28d": rows.volume_recent / rows.features_recent.nullif(0.0),
            "rarest_feature_28d": rows.rarest_recent,
            "rarest_feature_90d": rows.rarest_long,
            "rarest_feature_180d": rows.rarest_half,
        }
        for stem in stems.values():
            values[f"{stem}_28d"] = rows[f"{stem}_recent"]
            values[f"{stem}_90d"] = rows[f"{stem}_long"]
        if stems:
            used = [ibis.ifelse(rows[f"{stem}_long"] > 0, 1.0, 0.0) for stem in stems.values()]
            values["key_features_used_90d"] = sum(used[1:], used[0]) / float(len(used))
        rows = rows.mutate(**values)
        return fill_rows(rows, _first_value(request), []).select(
            "account_id", "observation_date", *wanted
        )


def _uses(request: Request, stems: dict[str, str]) -> ir.Table:
    """Measure distinct features and their volume, and that of each key feature."""
    table = request.company.tables["usage_events"]
    events = table.cleaned
    amount = events.quantity if table.has("quantity") else ibis.literal(1.0)
    columns: dict[str, ir.Value] = {
        stem: ibis.ifelse(events.feature == feature, amount, 0.0) for feature, stem in stems.items()
    }
    measures = {stem: Measure("sum", stem) for stem in columns}
    columns["amount"] = ibis.ifelse(events.feature.notnull(), amount, 0.0)
    columns["feature"] = events.feature
    measures |= {
        "volume": Measure("sum", "amount"),
        "features": Measure("distinct", "feature", few=True),
    }
    windows = (RECENT, BEFORE, LONG, HALF)
    return request.over_windows(request.events("usage_events", **columns), windows, measures)


def _rarest(request: Request) -> ir.Table:
    """Say how far down the list of features the rarest one lies that an account used.

    Whose account it is asked of, the list is that of all accounts.
    """
    company, table = request.company, request.company.tables["usage_events"]
    return aggregate_windows(
        request.observations,
        request.dates,
        events_of(table, feature=table.cleaned.feature),
        (RECENT, LONG, HALF),
        {"rarest": Measure("rank", "feature")},
        company.keep,
        company.engine.remembered,
    )


def _first_value(request: Request) -> ir.Table:
    """Count the days from an account's creation to its first use of a key feature.

    Without key features any use counts. An account created before the record of usage begins may
    have had its first use before it too: its time is not known.
    """
    table = request.company.tables["usage_events"]
    chosen = list(request.settings.key_features)
    moment, feature = table.cleaned[table.contract.time], table.cleaned.feature
    # The first use is the one the most days ago, and a maximum is what the engine can combine.
    # From whatever day: a fixed one makes the same statement every night.
    ago = days_between(_midnight(SOME_DAY), moment)
    shows_value = feature.isin(chosen) if chosen else feature.notnull()
    events = request.events("usage_events", ago=ago, shows_value=shows_value)
    events = Events(events.rows.filter(events.rows.shows_value))
    ever = all_history(request, "usage_events")
    first = request.over_windows(events, [ever], {"ago": Measure("max", "ago")})
    rows = fill_rows(request.observations, first, [])
    rows = without_doubled_keys(rows.left_join(_record_starts(request), "observation_date"))
    waited = days_between(_midnight(SOME_DAY), rows.created_at) - rows[f"ago_{ever.name}"]
    on_record = rows.created_at >= rows.record_start.truncate("D")
    waited = ibis.ifelse(waited > 0, waited, ibis.ifelse(waited.notnull(), 0.0, waited))
    value = ibis.ifelse(on_record, waited, ibis.null("float64"))
    return rows.select("account_id", "observation_date", days_to_first_value=value)


def _record_starts(request: Request) -> ir.Table:
    """Return, per date, the first use of any account that was known on it."""
    events = events_of(request.company.tables["usage_events"])

    def by_day(rows: ir.Table) -> ir.Table:
        known_at = rows.known_at if events.may_be_late else rows.moment
        return rows.group_by(known=known_at.truncate("D")).aggregate(first=rows.moment.min())

    remembered = request.company.engine.remembered
    # Days are put together where they are kept; the least of all rows is found sooner.
    rows = events.rows.mutate(known=events.rows.moment, first=events.rows.moment)
    if events.may_be_late or remembered.covers(events.rows):
        rows = remembered.each(events.rows, by_day)
    midnights = [_midnight(day) for day in dict.fromkeys(request.dates)]
    firsts = rows.aggregate(
        **{
            f"first_{number}": rows["first"].min(where=rows["known"] < midnight)
            for number, midnight in enumerate(midnights)
        }
    )
    dated = dates_table(request.dates).cross_join(firsts)
    starts = [
        (dated.observation_date == midnight, dated[f"first_{number}"])
        for number, midnight in enumerate(midnights)
    ]
    return dated.select("observation_date", record_start=ibis.cases(*starts))


def _midnight(day: date) -> ir.Value:
    return ibis.literal(datetime.combine(day, time.min), "timestamp")
