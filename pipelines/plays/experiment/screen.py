"""Experiments on the terminal: what one would find, who was drawn, and what it says so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from features.errors import sample
from pipelines.reports.terminal.console import percent, plain, table_of
from pipelines.reports.wording import plural

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.plays.experiment.assign import Assigned
    from pipelines.plays.experiment.plan import Plan
    from pipelines.plays.experiment.read import ExperimentReading

STYLES = {"helps": "bold green", "harms": "bold red"}


def show_plan(console: Console, plan: Plan) -> None:
    """Print what the experiment would find, and by when."""
    console.print(Text(plan_words(plan), style="bold"), soft_wrap=True)
    table = table_of(">Months", ">accounts", ">left alone", "finds a change of")
    for power in plan.power:
        table.add_row(
            str(power.months),
            f"{power.accounts:,}",
            f"{round(power.accounts * plan.share):,}",
            f"{100 * power.change:.1f} of 100" if power.change <= plan.risk else "nothing",
        )
    console.print(table)
    console.print(
        Text("With a probability of 80 %, and at most 5 % of being wrong however often one looks.")
    )


def plan_words(plan: Plan) -> str:
    """Say in one sentence when a change worth finding would be found."""
    change = f"{100 * plan.smallest_change:.3g} of 100"
    name = plain(plan.play, 60)
    if plan.needed is None:
        return (
            f"No change of {change} can be found: only {100 * plan.risk:.1f} of 100 are expected"
            " to churn; make smallest_change smaller, or take accounts at more risk"
        )
    begin = (
        f"{plural(plan.now, 'account')} now and {plan.each_month:.0f} more a month, of which"
        f" {100 * plan.risk:.1f} of 100 are expected to churn"
    )
    if plan.months is None:
        return (
            f"{begin}: never the {plan.needed:,} accounts that find whether '{name}' changes"
            f" {change}; widen its bands or segments"
        )
    return (
        f"{begin}: {plural(plan.months, 'month')} and {plan.needed:,} accounts find whether"
        f" '{name}' changes {change}"
    )


def show_assigned(console: Console, assigned: Assigned) -> None:
    """Print how many were drawn, and who is to be left alone."""
    alone = [one for one in assigned.fresh if one.left_alone]
    console.print(
        Text(
            f"{plural(len(assigned.fresh), 'account')} of {assigned.as_of} drawn:"
            f" {len(alone):,} to be left alone, {len(assigned.fresh) - len(alone):,} to be given"
            f" '{plain(assigned.play, 60)}'; {assigned.before:,} were drawn before and stay as they"
            " were",
            style="bold",
        ),
        soft_wrap=True,
    )
    for one in alone[:50]:
        owner = f" ({plain(one.owner, 40)})" if one.owner else ""
        console.print(Text(f"  leave alone: {plain(one.account_id, 60)}{owner}"), soft_wrap=True)
    if len(alone) > 50:
        console.print(Text(f"  and {len(alone) - 50:,} more; --out writes all of them"))


def show_reading(console: Console, said: ExperimentReading) -> None:
    """Print what the experiment says, and what speaks against it."""
    console.print(Text(reading_words(said), style=STYLES.get(said.verdict, "bold")), soft_wrap=True)
    table = table_of("As assigned", ">accounts", ">churned")
    both = said.reading
    for arm, accounts, churned in (
        ("acted on", both.acted, both.churned_acted),
        ("left alone", both.left_alone, both.churned_left_alone),
    ):
        share = f"{churned:,} ({percent(churned / accounts)})" if accounts else "–"
        table.add_row(arm, f"{accounts:,}", share)
    console.print(table)
    for doubt in doubts(said):
        console.print(Text(f"  {doubt}."), soft_wrap=True)


def reading_words(said: ExperimentReading) -> str:
    """Say in one sentence what acting changes."""
    name, change = plain(said.play, 60), said.reading.change
    if change.low is None or change.high is None:
        return f"'{name}': too early to say anything"
    low, high = 100 * change.low, 100 * change.high
    if said.verdict == "helps":
        return f"'{name}' helps: {-high:.1f} to {-low:.1f} of 100 fewer churn"
    if said.verdict == "harms":
        return f"'{name}' harms: {low:.1f} to {high:.1f} of 100 more churn"
    return f"'{name}': not settled, {-low:.1f} of 100 fewer to {high:.1f} of 100 more churn"


def doubts(said: ExperimentReading) -> list[str]:
    """List what a reader should know beside the sentence."""
    both = said.reading
    lines = [
        f"Churn in {said.days} days after the draw, of draws from {said.first} to {said.last};"
        f" {plural(said.waiting, 'account')} still to come. The interval of 95 % holds however"
        " often one looks"
    ]
    if said.planned is not None:
        total = both.acted + both.left_alone
        lines.append(f"{total:,} of the {said.planned:,} accounts that were planned are known")
    if said.left_alone_acted is None:
        lines.append("No table of interventions says who was acted on")
    elif not said.is_on_record:
        lines.append(
            f"No intervention is called {sample([said.play])}, so that nobody knows who was acted"
            f" on; on record are {sample(said.plays_on_record, 8)}: correct the name under"
            " [experiments], or say under [plays.renamed] what it was called"
        )
    else:
        lines.append(
            f"{said.left_alone_acted:,} of {both.left_alone:,} to be left alone were acted on, and"
            f" {said.acted_missed:,} of {both.acted:,} to be acted on were not; all count as they"
            " were drawn, which makes the change look smaller than it is"
        )
    if said.owners_of_both:
        lines.append(
            f"{plural(said.owners_of_both, 'owner')} looked after accounts of both kinds, and what"
            " was learnt with some may have reached the others"
        )
    return lines
