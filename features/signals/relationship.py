"""Relationship: how the customer-success managers rate the account, made fair between raters."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.builders.builder import Request, fill_rows
from features.builders.settings import SignalsSettings
from features.catalog import Direction, Group, Signal, Unit, signal_label, signal_name
from features.errors import SettingsError
from features.observations import dates_table
from features.signals.raters import rater_leniency
from features.tables.company import Company, days_between, rows_known, without_doubled_keys

YEAR, QUARTER = 365, 90
STEPS = 2**20
"""Leniency is rounded to this part of a level: sums of fair ratings are exact then, and the same in
whatever order an engine adds."""


def _signal(name: str, unit: Unit, healthy: Direction, label: str, sentence: str) -> Signal:
    return Signal(name, "relationship", unit, healthy, label, YEAR, sentence)


_OVERALL = (
    _signal(
        "rating_overall",
        "score",
        "higher",
        "CSM rating",
        "The CSM rating is {value}, strict and lenient raters evened out",
    ),
    _signal(
        "rating_change_90d",
        "score",
        "higher",
        "Change of CSM rating",
        "The CSM rating moved by {value} in 90 days, strict and lenient raters evened out",
    ),
    _signal(
        "rating_disagreement",
        "score",
        "none",
        "Raters' disagreement",
        "Ratings by different raters lie {value} apart, strict and lenient ones evened out",
    ),
    _signal(
        "days_since_rating",
        "days",
        "lower",
        "Time since last rating",
        "Last rated {value} ago (365 at most)",
    ),
)


class RelationshipBuilder:
    """Signals of the ``relationship`` group, from ratings of the last 365 days."""

    group: Group = "relationship"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List the overall rating and that of each dimension of the rubric."""
        if not company.has("ratings"):
            return ()
        return (*_OVERALL, *_dimension_signals(settings).values())

    def build(self, request: Request) -> ir.Table:
        """Take each rater's leniency off, then read the latest rating of each dimension."""
        dimensions = _dimension_signals(request.settings)
        fair = request.company.keep("fair_ratings", fair_ratings(request))
        latest = request.company.keep("latest_ratings", _latest_by_dimension(fair))
        keys = ["account_id", "observation_date"]
        overall = latest.group_by(keys).aggregate(
            rating_overall=latest.now.mean(),
            rating_change_90d=(latest.now - latest.before).mean(),
            last=latest["last"].max(),
            **{
                signal.name: latest.now.max(where=latest.dimension == _word(dimension))
                for dimension, signal in dimensions.items()
            },
        )
        rows = fill_rows(fill_rows(request.keys, overall, []), _disagreement(fair), [])
        age = days_between(rows.observation_date, rows["last"]).fill_null(float(YEAR))
        rows = rows.mutate(days_since_rating=age)
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        return rows.select(*keys, *wanted)


def _dimension_signals(settings: SignalsSettings) -> dict[str, Signal]:
    found: dict[str, Signal] = {}
    taken = {signal.name for signal in _OVERALL}
    for dimension, levels in settings.rubric.items():
        name, label = f"rating_{signal_name(dimension)}", signal_label(dimension)
        if name in taken:
            raise SettingsError(
                f"[signals.rubric] needs names that differ in letters or digits, and"
                f" {dimension[:60]!r} reads like another signal; rename the dimension"
            )
        taken.add(name)
        sentence = f"{label} is rated {{value}}"
        signal = _signal(name, "score", "higher", f"{label} rating", sentence)
        found[dimension] = signal.with_levels(levels)
    return found


def _word(text: str) -> str:
    return text.strip().lower()


def fair_ratings(request: Request) -> ir.Table:
    """Pair observations with the ratings known on them, less their raters' leniency."""
    ratings = request.company.tables["ratings"]
    # A rater is judged by all accounts, whichever are asked for or still active.
    rated = ratings.cleaned.select("account_id").distinct()
    everyone = rated.cross_join(dates_table(request.dates))
    known = rows_known(everyone, ratings, YEAR)
    known = known.filter(known.rating.notnull() & known.rater.notnull() & known.dimension.notnull())
    known = known.select(
        "account_id",
        "observation_date",
        "rated_at",
        "rating",
        "rater",
        dimension=_normal_dimension(known.dimension, request.settings),
    )
    known = request.company.keep("known_ratings", known)
    leniency = rater_leniency(known, request.company.keep)
    wanted = without_doubled_keys(
        request.keys.inner_join(known, ["account_id", "observation_date"])
    )
    fair = wanted.left_join(leniency, ["rater", "observation_date"])
    steps = (fair.leniency.fill_null(0.0) * STEPS).round()
    return fair.select(*wanted.columns, fair=fair.rating - steps / float(STEPS))


def _normal_dimension(dimension: ir.Value, settings: SignalsSettings) -> ir.Value:
    """Ignore case; a word of the rubric is itself even where an engine folds only ASCII."""
    exact = [(dimension == word, _word(word)) for word in settings.rubric]
    folded = dimension.strip().lower()
    return ibis.cases(*exact, else_=folded) if exact else folded


def _latest_by_dimension(fair: ir.Table) -> ir.Table:
    """Return each dimension's latest rating, now and as it was a quarter ago.

    Of ratings at the same moment the mean counts.
    """
    keys = ["account_id", "observation_date", "dimension"]
    moments = fair.group_by(*keys, "rated_at").aggregate(fair=fair.fair.mean())
    earlier = moments.rated_at < moments.observation_date - ibis.interval(days=QUARTER)
    return moments.group_by(keys).aggregate(
        now=moments.fair.argmax(moments.rated_at),
        before=moments.fair.argmax(moments.rated_at, where=earlier),
        last=moments.rated_at.max(),
    )


def _disagreement(fair: ir.Table) -> ir.Table:
    """Return the mean over dimensions of the range of raters' mean ratings, where several rated."""
    keys = ["account_id", "observation_date"]
    raters = fair.group_by(*keys, "dimension", "rater").aggregate(fair=fair.fair.mean())
    spread = raters.group_by(*keys, "dimension").aggregate(
        raters=raters.count(), apart=raters.fair.max() - raters.fair.min()
    )
    spread = spread.filter(spread.raters > 1)
    return spread.group_by(keys).aggregate(rating_disagreement=spread.apart.mean())
