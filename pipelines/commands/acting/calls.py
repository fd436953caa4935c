"""Commands about what was done: the state of calls, overrides of scores, and how those did."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    Config,
    Outcome,
    day_of,
    project_of,
)

calls = typer.Typer(
    name="calls",
    help="Say what was done about accounts, and dispute scores.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Account = Annotated[str, typer.Argument(help="Its account_id.")]
By = Annotated[str, typer.Option(help="Who says so.")]
Until = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day from which it ends.")
]


@calls.command("set")
def set_state(
    account: Account,
    state: Annotated[str, typer.Argument(help="open, called or snoozed.")],
    config: Config = DEFAULT_CONFIG,
    play: Annotated[str | None, typer.Option(help="What was done, as plays are called.")] = None,
    result: Annotated[
        str | None, typer.Option(help="reached, not reached, will stay or will leave.")
    ] = None,
    until: Until = None,
    note: Annotated[str, typer.Option(help="In words.")] = "",
    by: By = "the command",
    done_at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="When it was done; by default now."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what was done about an account."""
    from pipelines.portfolio.overrides import scored_account
    from pipelines.project.records.calls import call_book, call_entry, standing_of
    from pipelines.store.runs import now

    with answering(as_json) as answer:
        project, moment = project_of(config), now()
        scored_account(project, account)
        entry = call_entry(
            account,
            state,
            by=by,
            moment=moment,
            done_at=done_at,
            play=play,
            result=result,
            until=day_of(until),
            note=note,
        )
        book = call_book(project.folder)
        book.record([entry])
        answer.give({**entry.to_dict(), "file": str(book.path)})
        standing = standing_of(book.of(account), moment.date())
        kept = "" if standing.state == state else f"; the call of {entry.done_at:%Y-%m-%d} is kept"
        answer.say(f"{account}: {standing.words}{kept}")


@calls.command("list")
def list_calls(
    account: Annotated[
        str | None, typer.Argument(help="One account's history; by default the state of each.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """List what was done."""
    from pipelines.project.records.calls import call_book
    from pipelines.reports.terminal.console import plain
    from pipelines.store.runs import now

    with answering(as_json) as answer:
        book = call_book(project_of(config).folder)
        standings = book.standings(now().date())
        entries = [one.entry for one in standings.values()] if account is None else book.of(account)
        answer.give(
            {
                "file": str(book.path),
                "states": {name: one.state for name, one in standings.items()},
                "entries": [one.to_dict() for one in entries],
            }
        )
        for one in entries:
            said = standings[one.account_id].words if account is None else one.state
            note = f": {plain(one.note, 200)}" if one.note else ""
            answer.say(
                f"{one.written_at:%Y-%m-%d %H:%M}  {plain(one.account_id, 40)}  {plain(said, 200)}"
                f"{note}"
            )
        if not entries:
            answer.say("Nothing was done yet; say so with 'healthscore calls set ACCOUNT called'")


@calls.command("import")
def import_calls(
    file: Annotated[Path, typer.Argument(help="A CSV file with account_id and done_at.")],
    config: Config = DEFAULT_CONFIG,
    by: By = "the import",
    as_json: AsJson = False,
) -> None:
    """Read calls that were logged elsewhere; what was read before is not read again."""
    from pipelines.project.records.calls import call_book
    from pipelines.project.records.erased import erased_book
    from pipelines.project.records.importing import calls_in
    from pipelines.store.runs import now

    with answering(as_json) as answer:
        project = project_of(config)
        book = call_book(project.folder)
        read = list(calls_in(file, now(), by))
        # What was erased does not come back by another door.
        erased = set(erased_book(project.folder).blocked({one.account_id for one in read}))
        entries = [one for one in read if one.account_id not in erased]
        fresh = book.record(entries)
        answer.give({"read": len(entries), "kept": len(fresh), "file": str(book.path)})
        before = len(entries) - len(fresh)
        answer.say(
            f"Kept {len(fresh):,} of {len(entries):,} calls"
            + (f"; {before:,} were kept before" if before else "")
        )


@calls.command("override")
def override(
    account: Account,
    band: Annotated[
        str, typer.Argument(help="The band that it belongs in; '' takes an override back.")
    ],
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    reason: Annotated[str, typer.Option(help="What the score does not know.")] = "",
    until: Until = None,
    by: By = "the command",
    as_json: AsJson = False,
) -> None:
    """Dispute a score, with a reason and an end; no score changes."""
    from pipelines.portfolio.overrides import scored_account
    from pipelines.project.records.overrides import made_override, override_book
    from pipelines.store.runs import now

    with answering(as_json) as answer:
        project = project_of(config, outcome)
        made = made_override(
            account,
            scored_account(project, account),
            band,
            reason=reason,
            until=day_of(until),
            by=by,
            moment=now(),
        )
        book = override_book(project.folder)
        book.record(made)
        answer.give({**made.to_dict(), "file": str(book.path)})
        said = _said(made.band, made.band_issued, made.until)
        answer.say(f"{account}: {said}")


@calls.command("measure")
def measure(
    config: Config = DEFAULT_CONFIG, outcome: Outcome = None, as_json: AsJson = False
) -> None:
    """Hold overrides against what happened, and say whether they beat the model."""
    from pipelines.portfolio.overrides import overrides_report

    with answering(as_json) as answer:
        report = overrides_report(project_of(config, outcome))
        answer.give({**report.to_dict(), "sentence": report.sentence})
        answer.say(f"{report.sentence}.")


def _said(band: str | None, issued: str, until: date) -> str:
    if band is None:
        return f"the override is taken back; it is {issued} as issued"
    return f"{band} instead of {issued} until {until}"
