"""The label over the outcome window, and the dates on which it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import ibis.expr.types as ir

from features.catalog import Signal
from features.errors import SettingsError, nearest
from features.outcomes.adoption_target import not_there_yet, with_target_reached
from features.outcomes.churned import with_churn
from features.outcomes.renewal import with_a_renewal, with_renewal
from features.outcomes.revenue import with_revenue_change
from features.outcomes.settings import OF_SOME_ACCOUNTS, OutcomeSettings
from features.tables.company import Company, without_doubled_keys

WARM_UP_DAYS = 56


def refuse_unreadable(company: Company, outcome: OutcomeSettings) -> None:
    """Check that the tables tell of an outcome.

    Raises
    ------
    SettingsError
        When a table or column that the outcome is read from is not mapped, or a target names a
        feature that nobody has used.
    """
    needed = _needed(company, outcome)
    if not company.is_dated and outcome.kind not in ("churn", "label"):
        raise SettingsError(
            f"The outcome {outcome.kind} is read from rows with dates, and nothing here has one:"
            ' labels are all there is; set kind = "label" or map tables with dates'
        )
    for table, columns in needed.items():
        absent = [name for name in columns if not company.has(table, name)]
        if table not in company.tables or absent:
            what = f"column {absent[0]} of table {table}" if absent else f"table {table}"
            raise SettingsError(
                f"The outcome {outcome.kind} is read from {what}, which is not mapped; map it under"
                f" [tables.{table}] or choose another outcome"
            )
    if outcome.target is not None and outcome.target.feature is not None:
        _refuse_unused_feature(company, outcome.target.feature)


def _needed(company: Company, outcome: OutcomeSettings) -> dict[str, tuple[str, ...]]:
    """List the tables and optional columns an outcome is read from."""
    target = outcome.target
    if _is_labelled(company, outcome):
        return {"labels": ()}
    if target is not None:
        column = {"users": ("user_id",), "features": ("feature",), "events": ()}[target.measure]
        return {"usage_events": (*column, *(("feature",) if target.feature is not None else ()))}
    if outcome.kind == "renewal":
        return {"subscriptions": ("renewal_at",)}
    return {} if outcome.kind == "churn" else {"subscriptions": ("mrr",)}


def _refuse_unused_feature(company: Company, feature: str) -> None:
    uses = company.tables["usage_events"].cleaned
    if bool(uses.filter(uses.feature == feature).limit(1).count().execute()):
        return
    alike = uses.filter(uses.feature.notnull()).select("feature").distinct()
    alike = alike.order_by(alike.feature.levenshtein(feature), "feature").limit(20)
    known = alike.feature.execute().tolist()
    hint = nearest(feature, known) or "; correct the target's feature"
    raise SettingsError(f"The target's feature {feature[:60]!r} was never used{hint}")


def _is_labelled(company: Company, outcome: OutcomeSettings) -> bool:
    """Whether labels are read: they stand for churn too where nothing else tells of it."""
    tells_of_churn = company.tables.keys() & {"subscriptions", "churn_events"}
    return outcome.kind == "label" or (outcome.kind == "churn" and not tells_of_churn)


def matured_dates(company: Company, outcome: OutcomeSettings) -> list[date]:
    """List the observation dates whose outcome is known, ascending.

    Their outcome windows lie wholly inside the data. Labels that the user brings are known when
    they are written: their dates count up to the data's end. A snapshot without dates is observed
    once, at its end.

    Raises
    ------
    SettingsError
        When the tables do not tell of the outcome.
    """
    refuse_unreadable(company, outcome)
    if not company.is_dated:
        return [company.data_end]
    if _is_labelled(company, outcome):
        return _label_dates(company, outcome)
    last = company.data_end - timedelta(days=days_to_label(company, outcome))
    if outcome.dates:
        return sorted(day for day in set(outcome.dates) if day <= last)
    # Whether a target was reached before is known only when the days before are on record.
    before = outcome.horizon_days if outcome.kind == "adoption" else 0
    warm_up = timedelta(days=max(WARM_UP_DAYS, before))
    first = outcome.first_observation or company.data_start + warm_up
    days = (first + timedelta(days=step) for step in range((last - first).days + 1))
    if outcome.spacing == "month":
        return [day for day in days if day.day == 1]
    if outcome.spacing == "week":
        return [day for day in days if day.weekday() == 0]
    return [
        last - timedelta(days=step) for step in range(0, (last - first).days + 1, outcome.spacing)
    ][::-1]


def _label_dates(company: Company, outcome: OutcomeSettings) -> list[date]:
    """List the days for which there are labels, or those of them that are configured."""
    days = _labels(company).select("observation_date").distinct().observation_date.execute()
    known = sorted(day.date() for day in days if day.date() <= company.data_end)
    if outcome.dates:
        return [day for day in known if day in outcome.dates]
    first = outcome.first_observation
    return [day for day in known if first is None or day >= first]


def why_no_date(company: Company, outcome: OutcomeSettings, section: str = "outcome") -> str:
    """Say in one sentence why no observation date has matured, and what to do.

    ``section`` is the one of the configuration that describes the outcome.
    """
    span = f"the data run from {company.data_start} to {company.data_end}"
    if _is_labelled(company, outcome):
        rows = company.quality["labels"].rows
        return (
            f"No label can be learnt from: {span}, and none of {rows:,} labels has a value of"
            f" happened and an observed_at that [{section}] asks for within them; correct"
            " [tables.labels] or the dates"
        )
    return (
        f"No observation date has matured: {span}, and a date needs"
        f" {days_to_label(company, outcome)} days after it; load a longer history or shorten"
        f" [{section}] horizon_days"
    )


def why_no_row(company: Company, outcome: OutcomeSettings, dates: Sequence[date]) -> str:
    """Say in one sentence why no account is left to learn from, and what to do."""
    span = f"the {len(dates)} observation dates from {dates[0]} to {dates[-1]}"
    if _is_labelled(company, outcome):
        return (
            f"No account with a label was active on its date among {span}; check account_id and"
            " observed_at under [tables.labels]"
        )
    if outcome.kind == "adoption":
        return (
            f"No account on {span} was active and had not reached the target before; check"
            " target and started_at under [tables.subscriptions]"
        )
    if outcome.kind in ("contraction", "expansion"):
        return (
            f"No account on {span} was active with a known MRR at both ends of the outcome window;"
            " check started_at, ended_at and mrr under [tables.subscriptions]"
        )
    if outcome.kind == "renewal":
        return (
            f"No contract renewed within {max(outcome.days_before)} days of {span}; check"
            " renewal_at under [tables.subscriptions] or [outcome] days_before"
        )
    return (
        f"No account was active on any of {span}; check started_at and ended_at under"
        " [tables.subscriptions]"
    )


def days_to_label(company: Company, outcome: OutcomeSettings) -> int:
    """Return the days after an observation date until its label is certain.

    A churn read from subscriptions is certain only once the days of grace are over too.
    """
    in_spells = "churn_events" not in company.tables and "subscriptions" in company.tables
    grace = outcome.grace_days if in_spells else 0
    if outcome.kind == "churn":
        return outcome.maturity_days + grace
    if outcome.kind == "adoption":
        return max(outcome.maturity_days, outcome.lead_days + grace)
    if outcome.kind == "renewal":
        return outcome.maturity_days + outcome.grace_days + 1
    return outcome.maturity_days


def candidates(
    observations: ir.Table, company: Company, outcome: OutcomeSettings, dates: Sequence[date]
) -> ir.Table:
    """Keep the observations that can have the outcome, as far as was known on their date."""
    if outcome.kind not in OF_SOME_ACCOUNTS:
        return observations
    refuse_unreadable(company, outcome)
    if outcome.kind == "renewal":
        return with_a_renewal(observations, outcome)
    return not_there_yet(observations, company, outcome, dates)


def with_label(
    observations: ir.Table, company: Company, outcome: OutcomeSettings, dates: Sequence[date]
) -> ir.Table:
    """Add ``happened`` (0 or 1) over ``[observation + lead, observation + lead + horizon)``.

    Accounts that are gone before the window opens are dropped, even if that became known only
    later. Labels that the user brings are taken as they are, on the day they name; accounts without
    one are dropped.

    Parameters
    ----------
    observations : ibis table
        What :func:`features.observations.active_accounts` returned.
    company : Company
        The tables.
    outcome : OutcomeSettings
        What is foretold.
    dates : sequence of date
        The observation dates that occur; they must be matured: see :func:`matured_dates`.

    Raises
    ------
    SettingsError
        When the tables do not tell of the outcome.
    """
    refuse_unreadable(company, outcome)
    if _is_labelled(company, outcome):
        keys = ["account_id", *(["observation_date"] if company.is_dated else [])]
        return without_doubled_keys(observations.inner_join(_labels(company), keys))
    if outcome.kind == "churn":
        return with_churn(observations, company, outcome)
    if outcome.kind == "renewal":
        return with_renewal(observations, company, outcome, dates)
    if outcome.kind == "adoption":
        return with_target_reached(observations, company, outcome, dates)
    return with_revenue_change(observations, company, outcome, dates)


def _labels(company: Company) -> ir.Table:
    """Return the labels that say something: account, day where there are days, and 0 or 1."""
    labels = company.tables["labels"].cleaned
    given = labels.filter(labels.happened.notnull())
    day = {"observation_date": given.observed_at.truncate("D")} if company.is_dated else {}
    happened = given.happened.ifelse(1, 0).cast("int8")
    # The same label may be written twice; two that disagree were refused when they were read.
    return given.select("account_id", **day, happened=happened).distinct()


def declared_for(signals: Sequence[Signal], outcome: OutcomeSettings) -> tuple[Signal, ...]:
    """Return signals with the healthy directions that hold for an outcome.

    The catalogue declares what is healthy for an account that may leave. Contraction is a milder
    form of the same. A good outcome is no mirror of churn: who grows opens more tickets, fails more
    often at more, and asks for more training, so nothing is declared and the data decide.

    Examples
    --------
    >>> tickets = Signal("tickets", "support", "count", "lower", "Tickets", 28, "{value}")
    >>> target = OutcomeSettings(kind="expansion")
    >>> [signal.healthy for signal in declared_for([tickets], target)]
    ['none']
    """
    if not outcome.is_good:
        return tuple(signals)
    return tuple(replace(signal, healthy="none") for signal in signals)
