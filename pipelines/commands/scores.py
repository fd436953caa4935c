"""Commands about scores: issuing, verifying and exporting them, and telling why they are so."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    AsOf,
    Config,
    Full,
    Outcome,
    day_of,
    project_of,
)

if TYPE_CHECKING:
    from pipelines.project.project import Project

NOT_AS_ISSUED = 7
Features = Annotated[
    Path | None,
    typer.Option(
        "--features", help="A .parquet feature table of one date to read in place of the tables."
    ),
]
ModelVersion = Annotated[
    str | None, typer.Option("--model-version", help="Of that date's runs, the one of this model.")
]
Revision = Annotated[int | None, typer.Option(min=1, help="Of a forced run, which revision.")]
RunDate = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="The run's date; by default the newest."),
]


def score(
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    outcome: Outcome = None,
    features: Features = None,
    force: Annotated[
        bool, typer.Option("--force", help="Issue a further revision; what was issued stays.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Scoring threads; by default one for each core.")
    ] = None,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """Score every active account with the champion and issue the scores, once."""
    from pipelines.scoring.score import score_accounts

    with answering(as_json) as answer:
        project = project_of(config, outcome)
        issued = score_accounts(
            *(project, day_of(as_of)),
            features=features,
            force=force,
            workers=threads,
            full=full,
        )
        alerted = None
        if project.settings.alert.bands:
            from pipelines.portfolio.outbox.fallen import alert_of_bands

            alerted = alert_of_bands(project, issued.as_of)
        warnings = [*issued.warnings, *(alerted.warnings if alerted else [])]
        let_go, more = _reasons_let_go(project)
        warnings += more
        answer.give(
            {
                "outcome": issued.outcome,
                "rows": issued.rows,
                "as_of": issued.as_of.isoformat(),
                "model_version": issued.model_version,
                "revision": issued.revision,
                "store": project.store_shown,
                "issued_before": not issued.fresh,
                "seal": issued.seal,
                "read": issued.read,
                "reasons_let_go": let_go,
                "alerts": [asdict(one) for one in alerted.sent] if alerted else [],
                "warnings": warnings,
            }
        )
        if answer.console is not None:
            from pipelines.portfolio.portfolio import portfolio
            from pipelines.portfolio.screen import show_portfolio

            show_portfolio(answer.console, portfolio(project, issued))
            answer.say(f"{issued.rows:,} scores in {project.store_shown}")
            for sentence in (*issued.read, *(alerted.said if alerted else [])):
                answer.say(sentence)
            answer.warn(warnings)


def _reasons_let_go(project: Project) -> tuple[int, list[str]]:
    """Let old reasons go after a run; what hinders that does not undo the run."""
    if project.settings.store.keep_reasons_days is None:
        return 0, []
    from features.errors import StoreError
    from pipelines.project.erase.reasons import let_reasons_go, stay_words

    try:
        count, changed = let_reasons_go(project)
    except StoreError as error:
        return 0, [f"The scores were issued, and old reasons were not let go: {error}"]
    return count, stay_words(changed)


def compact(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Let reasons of old runs go, as the configuration has it, and make the store smaller."""
    from pipelines.project.erase.reasons import compact as made_smaller

    with answering(as_json) as answer:
        project = project_of(config)
        compacted = made_smaller(project)
        answer.give({"store": project.store_shown, **compacted.to_dict()})
        for sentence in compacted.said:
            answer.say(sentence)
        answer.warn(compacted.warnings)
    if compacted.changed:
        raise typer.Exit(NOT_AS_ISSUED)


def verify_run(
    config: Config = DEFAULT_CONFIG,
    as_of: RunDate = None,
    outcome: Outcome = None,
    model_version: ModelVersion = None,
    revision: Revision = None,
    features: Features = None,
    as_json: AsJson = False,
) -> None:
    """Make an issued run again from its model and the tables, and compare every score."""
    from pipelines.scoring.verify.run import verify_run as verify

    with answering(as_json) as answer:
        verified = verify(
            project_of(config, outcome),
            day_of(as_of),
            model_version=model_version,
            revision=revision,
            features=features,
        )
        answer.give(verified.to_dict())
        answer.say(
            f"Run of {verified.as_of} by model version {verified.model_version}, revision"
            f" {verified.revision}, {verified.rows:,} accounts"
        )
        for sentence in verified.said:
            answer.say(sentence)
    if not verified.same:
        raise typer.Exit(NOT_AS_ISSUED)


def verify_store(
    config: Config = DEFAULT_CONFIG,
    noted: Annotated[
        str | None,
        typer.Option(metavar="SEAL", help="A seal kept elsewhere, which the store must hold."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare every issued run with its seal, and every seal with the one before."""
    from pipelines.scoring.verify.seals import verify_store as verify

    with answering(as_json) as answer:
        project = project_of(config)
        check = verify(project, noted)
        answer.give({"store": project.store_shown, **check.to_dict()})
        for sentence in check.said:
            answer.say(sentence)
        if check.newest is not None:
            answer.say(f"Newest seal: {check.newest}")
    if not check.same:
        raise typer.Exit(NOT_AS_ISSUED)


def export(
    file: Annotated[Path, typer.Argument(help="A .csv, .xlsx or .parquet file to write.")],
    config: Config = DEFAULT_CONFIG,
    as_of: RunDate = None,
    outcome: Outcome = None,
    model_version: ModelVersion = None,
    revision: Revision = None,
    columns: Annotated[
        str | None, typer.Option(help="Names of columns, with commas between; by default all.")
    ] = None,
    worklist: Annotated[
        bool, typer.Option("--worklist", help="Write who to call first, why, and what to do.")
    ] = False,
    owner: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --worklist: whose accounts.")
    ] = None,
    first: Annotated[
        int, typer.Option(min=1, max=5000, help="With --worklist: most accounts.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Write issued scores, or a worklist, for a spreadsheet or a customer-success platform."""
    from pipelines.scoring.export import export_scores

    with answering(as_json) as answer:
        if worklist:
            _refuse_beside_worklist(columns, model_version, revision)
            from pipelines.portfolio.outbox.worklist_file import write_worklist

            written = write_worklist(
                project_of(config, outcome), file, as_of=day_of(as_of), owner=owner, first=first
            )
            answer.give(written.to_dict())
            answer.say(f"Wrote {written.rows:,} accounts to call to {written.file}")
            answer.warn([written.outdated] if written.outdated else [])
            return
        exported = export_scores(
            project_of(config, outcome),
            file,
            as_of=day_of(as_of),
            model_version=model_version,
            revision=revision,
            columns=None if columns is None else [name.strip() for name in columns.split(",")],
        )
        answer.give(exported.to_dict())
        answer.say(
            f"Wrote {exported.rows:,} scores of {exported.as_of} by model version"
            f" {exported.model_version} to {exported.file}"
        )
        answer.warn([exported.let_go] if exported.let_go else [])


def _refuse_beside_worklist(
    columns: str | None, model_version: str | None, revision: int | None
) -> None:
    from features.errors import SettingsError

    given = {"--columns": columns, "--model-version": model_version, "--revision": revision}
    named = [option for option, value in given.items() if value is not None]
    if named:
        raise SettingsError(
            f"A worklist has columns of its own and is of the run issued last, and {named[0]} asks"
            " for another; leave it or --worklist out"
        )


def explain(
    account: Annotated[str, typer.Argument(help="The account's id.")],
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Split what moved the score since this earlier date."
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="List every signal, however few points it has.")
    ] = False,
    outcome: Outcome = None,
    as_json: AsJson = False,
) -> None:
    """Show what one account's score is made of, or why it moved, signal by signal."""
    with answering(as_json) as answer:
        project = project_of(config, outcome)
        if since is not None:
            from pipelines.scoring.moves.move import explain_move

            moved = explain_move(project, account, since.date(), day_of(as_of))
            answer.give(moved.to_dict())
            if answer.console is not None:
                from pipelines.scoring.moves.move_screen import show_move

                show_move(answer.console, moved)
            return
        from pipelines.scoring.explain import explain_account

        explained = explain_account(project, account, day_of(as_of))
        answer.give(explained.to_dict())
        if answer.console is not None:
            from pipelines.scoring.explain_screen import show_explained

            show_explained(answer.console, explained, whole=whole)


def curve(
    account: Annotated[str, typer.Argument(help="The account's id.")],
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Tell how likely one account is lost within 30, 60, 90, 180 and 365 days, and why."""
    from pipelines.scoring.curves.curve import account_curve

    with answering(as_json) as answer:
        project = project_of(config, None)
        told = account_curve(project, account, day_of(as_of))
        answer.give(told.to_dict())
        if answer.console is not None:
            from pipelines.scoring.curves.curve_screen import show_curve

            show_curve(answer.console, told, project.settings.outcome.words)


def trend(
    account: Annotated[
        str | None, typer.Argument(help="The account's id; by default the whole portfolio.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="An .svg file to draw the picture into.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show issued scores over time: of one account, or of the whole portfolio."""
    from pipelines.scoring.moves.trend import (
        account_trend,
        portfolio_trend,
        refuse_other_picture,
        write_picture,
    )

    with answering(as_json) as answer:
        refuse_other_picture(svg)
        project = project_of(config, outcome)
        trend = portfolio_trend(project) if account is None else account_trend(project, account)
        answer.give(trend.to_dict())
        if svg is not None:
            write_picture(trend, svg)
        if answer.console is not None:
            from pipelines.scoring.moves.trend_screen import show_trend

            show_trend(answer.console, trend)
            if svg is not None:
                answer.say(f"Wrote {svg}")
