"""Commands about what is known of an account: to show it, and to erase it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, project_of

NOT_WHOLE = 15


def erase(
    name: Annotated[str, typer.Argument(help="The account's id, or with --person a name.")],
    config: Config = DEFAULT_CONFIG,
    person: Annotated[
        bool, typer.Option("--person", help="Erase somebody who looks after accounts or logs in.")
    ] = False,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another word for it, such as its name; may be given several times."),
    ] = None,
    block: Annotated[
        bool,
        typer.Option("--block", help="Leave the account out of tables that still hold it."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be erased, and do nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase an account or a person; issued runs keep their numbers under another name."""
    from features.errors import SettingsError
    from pipelines.project.erase.erase import erase as erased

    with answering(as_json) as answer:
        project, kind = project_of(config), "person" if person else "account"
        if block and person:
            raise SettingsError("--block is about accounts of the tables, and --person names none")
        options = {"kind": kind, "others": tuple(also or ()), "block": block}
        if not dry_run and not yes:
            if as_json or not sys.stdin.isatty():
                raise SettingsError(
                    "Nothing brings back what is erased, and nobody can be asked here: look at it"
                    " with --dry-run, and say --yes"
                )
            for line in erased(project, name, **options).said:  # type: ignore[arg-type]
                answer.say(line)
            typer.confirm("Nothing brings it back. Erase it?", abort=True, err=True)
        report = erased(project, name, **options, do=not dry_run)  # type: ignore[arg-type]
        answer.give(report.to_dict())
        for line in report.said:
            answer.say(line)
    if report.left or (report.is_done and not report.is_whole):
        raise typer.Exit(NOT_WHOLE)


def export_account(
    account: Annotated[str, typer.Argument(help="Its account_id.")],
    config: Config = DEFAULT_CONFIG,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="A .json file; by default account.json beside the configuration."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write everything that is known of an account, for whoever has a right to see it."""
    from pipelines.project.erase.known import known_of, write_known

    with answering(as_json) as answer:
        project = project_of(config)
        known = known_of(project, account)
        file = out or project.folder / "account.json"
        write_known(known, file)
        answer.give({"file": str(file), "counts": known.counts, "notes": known.notes})
        for what, count in known.counts.items():
            answer.say(f"{count:>8,}  {what}")
        answer.say(f"Wrote what is known of {account} to {file}")
        answer.warn(known.notes)
