"""Commands that set a project up: a simulated company, a drafted configuration, checks, signals."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

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


def simulate(
    folder: Annotated[Path, typer.Argument(help="Folder for the tables; made if need be.")],
    accounts: Annotated[int, typer.Option(help="Number of accounts.")] = 2000,
    months: Annotated[int, typer.Option(help="Months of history.")] = 24,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal companies.")] = 7,
    drift: Annotated[str, typer.Option(help="none, payment-crisis or usage-collapse.")] = "none",
    drift_from: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When the drift starts.")
    ] = None,
    contracts: Annotated[
        str, typer.Option(help="loose or firm: hardly to be left before they renew.")
    ] = "loose",
    team: Annotated[
        bool, typer.Option("--team", help="A team acts on risk, with plays of known effect.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a simulated company with known true weights."""
    from pipelines.reports.terminal.progress import show_progress
    from pipelines.setup.simulation.simulate import Simulation
    from pipelines.setup.simulation.simulate import simulate as write_company

    with answering(as_json) as answer:
        simulation = Simulation(
            accounts=accounts,
            months=months,
            seed=seed,
            drift=drift,  # type: ignore[arg-type]
            drift_from=day_of(drift_from),
            contracts=contracts,  # type: ignore[arg-type]
            team=team,
        )
        with show_progress("Simulate") as step:
            rows = write_company(
                folder, simulation, progress=lambda done, total: step("accounts", done, total)
            )
        answer.give({"folder": str(folder), "rows": rows})
        for table, count in rows.items():
            answer.say(f"{table:<16}{count:>14,} rows")
        answer.say(f"Next: healthscore init {folder}")


def init(
    folder: Annotated[
        str, typer.Argument(help="Folder of Parquet/CSV files, DuckDB file, or a server's address.")
    ],
    config: Config = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    only: Annotated[
        str | None, typer.Option("--from", help="Vendors to read, such as stripe,zendesk.")
    ] = None,
    accounts: Annotated[
        str | None, typer.Option(help="The vendor that says who is an account, or own.")
    ] = None,
    contracts: Annotated[
        str | None, typer.Option(help="The vendor that says when an account left, or own.")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="What amounts are converted to.")] = None,
    rate: Annotated[
        list[str] | None, typer.Option(help="Worth of another currency, such as eur=1.08.")
    ] = None,
    external_id: Annotated[
        str | None, typer.Option(help="The field where vendors keep your key of an account.")
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="Of text files: utf-8, utf-16 or latin-1.")
    ] = "utf-8",
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="An account that is no customer, by id, name or domain."),
    ] = None,
    trials: Annotated[
        bool | None, typer.Option("--trials/--no-trials", help="Whether trials count as contracts.")
    ] = None,
    hundredths: Annotated[
        bool | None,
        typer.Option(
            "--hundredths/--no-hundredths", help="Whether whole numbers of prices are hundredths."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; take every default.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at tables and draft a commented configuration."""
    from features.sources.files.delimited import known_encoding
    from pipelines.setup.draft import write_draft
    from pipelines.setup.drafting.vendors import Answers, currency_of, rates_of

    with answering(as_json) as answer:
        answers = Answers(
            only=tuple(name.strip() for name in (only or "").split(",") if name.strip()),
            accounts=accounts,
            contracts=contracts,
            currency=None if currency is None else currency_of(currency),
            rates=rates_of(rate or []),
            external_id=external_id,
            leave_out=tuple(leave_out or ()),
            trials=trials,
            hundredths=hundredths,
        )
        asks = sys.stdin.isatty() and not yes and not as_json
        text, doubts = write_draft(
            folder,
            config,
            force=force,
            answers=answers,
            encoding=known_encoding(encoding),
            ask=(lambda text, default: str(typer.prompt(text, default=default))) if asks else None,
        )
        answer.give({"config": str(config), "doubts": doubts, "text": text})
        answer.say(f"Wrote {config}; read it, then run: healthscore check -c {config}")
        answer.warn(doubts)


def check(config: Config = DEFAULT_CONFIG, full: Full = False, as_json: AsJson = False) -> None:
    """Report what the tables hold, what is missing or impossible, and which groups are on."""
    from pipelines.setup.check import check_data

    with answering(as_json) as answer:
        report = check_data(project_of(config), full=full)
        answer.give(report.to_dict())
        if answer.console is not None:
            from pipelines.setup.screen import show_report

            show_report(answer.console, report)


def signals(
    config: Config = DEFAULT_CONFIG,
    every: Annotated[
        bool, typer.Option("--all", help="All there are, not those your tables give.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a page of tables.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the signals, what each says, and which way is healthy."""
    from pipelines.setup.signals import company_signals, markdown

    with answering(as_json) as answer:
        if every:
            from features.build import every_signal

            listed = every_signal()
        else:
            listed = company_signals(project_of(config))
        answer.give({"signals": [signal.to_dict() for signal in listed]})
        if answer.console is not None and as_markdown:
            print(markdown(listed), end="")
        elif answer.console is not None:
            from pipelines.setup.screen import show_signals

            show_signals(answer.console, listed)


def features(
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    labelled: Annotated[
        bool, typer.Option(help="Every matured date with its label, as train reads them.")
    ] = False,
    outcome: Outcome = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .parquet or .csv file to write.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the feature table: every signal of every active account, as known on a date."""
    from pipelines.project.feature_table import write_features

    with answering(as_json) as answer:
        project = project_of(config, outcome)
        written = write_features(project, day_of(as_of), out, labelled=labelled)
        answer.give(written.to_dict())
        span = written.dates[0]
        if len(written.dates) > 1:
            span = f"{len(written.dates)} dates from {written.dates[0]} to {written.dates[-1]}"
        answer.say(f"{written.rows:,} rows of {written.signals} signals on {span}")
        answer.say(f"Wrote {written.file}")
        answer.warn(written.warnings)


def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    registry: Annotated[
        Path | None, typer.Option(help="Where models go; by default mlruns in the folder.")
    ] = None,
    accounts: Annotated[int, typer.Option(help="Number of accounts.")] = 2000,
    months: Annotated[int, typer.Option(help="Months of history.")] = 24,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal companies.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Simulate a company, draft its configuration, train, score, and say whom to call."""
    from pipelines.setup.demo import run_demo, where_it_lies

    with answering(as_json) as answer:
        made = run_demo(folder, registry=registry, accounts=accounts, months=months, seed=seed)
        answer.give(
            {
                "folder": str(folder),
                "simulated": made.rows,
                "train": made.trained.to_dict(),
                "scores": made.issued.rows,
                "as_of": made.issued.as_of.isoformat(),
            }
        )
        if answer.console is not None:
            from pipelines.portfolio.screen import show_portfolio
            from pipelines.training.screen import show_trained

            show_trained(answer.console, made.trained)
            show_portfolio(answer.console, made.summed)
            answer.say("")
            for line in where_it_lies(made):
                answer.say(line)


def connect(
    url: Annotated[str, typer.Argument(help="A folder, a DuckDB file or a server.")],
    pack: Annotated[
        list[Path] | None, typer.Option(help="A pack of your own, a TOML file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List whose exports are recognised at an address, and which tables are not."""
    from features.packs.pack import read_pack
    from pipelines.setup.connect import connect as look

    with answering(as_json) as answer:
        connection = look(url, [read_pack(file) for file in pack or []])
        answer.give(connection.to_dict())
        for vendor in connection.vendors:
            count = f"{len(vendor.tables)} of {len(vendor.tables) + len(vendor.absent)} tables"
            answer.say(f"{vendor.title}: {count}, which give {', '.join(vendor.gives)}")
        if connection.others:
            answer.say(f"Not recognised: {', '.join(connection.others[:20])}")
        if connection.unread:
            answer.say(f"Not read: {', '.join(connection.unread[:20])}")
        if connection.vendors:
            answer.say(f"Next: healthscore init {url}")


def links(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Report which keys of each vendor found an account, by which rule, and what is lost."""
    from pipelines.setup.links import report_links

    with answering(as_json) as answer:
        report = report_links(project_of(config))
        answer.give(report.to_dict())
        for each in report.systems:
            rules = ", ".join(f"{rule} {n:,}" for rule, n in each.rules.items()) or "no rule"
            hub = "; it says who is an account" if each.is_hub else ""
            answer.say(f"{each.system}: {each.accounts:,} accounts, keys by {rules}{hub}")
            for table, count in each.rows.items():
                answer.say(f"  {table:<16}{each.linked_rows[table]:>12,} of {count:,} rows linked")
            if each.running_mrr:
                share = (each.linked_mrr or 0.0) / each.running_mrr
                answer.say(
                    f"  running MRR {each.running_mrr:,.0f}, {share:.1%} of it linked;"
                    f" {each.linked_ends:,} of {each.ends:,} ended contracts linked"
                )
            if each.examples:
                answer.say(f"  without an account, such as: {', '.join(each.examples)}")


layout = typer.Typer(
    name="layout",
    help="Declare how a vendor's tables are laid out that no pack of the program knows.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@layout.command("new")
def draft_new(
    name: Annotated[str, typer.Argument(help="The vendor; the pack becomes NAME.toml.")],
    url: Annotated[str, typer.Argument(help="A folder, a DuckDB file or a server.")],
    tables: Annotated[list[str], typer.Argument(help="The vendor's tables there.")],
    folder: Annotated[Path, typer.Option(help="Where to write it.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Draft a pack from tables of a vendor, with every doubt marked."""
    from pipelines.setup.drafting.pack import draft_pack

    with answering(as_json) as answer:
        target = folder / f"{name}.toml"
        doubts = draft_pack(name, url, tables, target)
        answer.give({"pack": str(target), "doubts": doubts})
        answer.say(f"Wrote {target}; read it, then run: healthscore layout test {target} {url}")
        answer.warn(doubts)


@layout.command("test")
def try_out(
    file: Annotated[Path, typer.Argument(help="The pack, a TOML file.")],
    url: Annotated[str, typer.Argument(help="A folder, a DuckDB file or a server.")],
    currency: Annotated[str, typer.Option(help="What amounts are converted to.")] = "usd",
    as_json: AsJson = False,
) -> None:
    """Read tables with a pack: rows each rule leaves out, the first rows, and median amounts."""
    from pipelines.setup.drafting.pack import PERHAPS_CENTS, try_pack

    with answering(as_json) as answer:
        tried = try_pack(file, url, currency)
        answer.give({"tables": {name: each.to_dict() for name, each in tried.items()}})
        for name, each in tried.items():
            answer.say(f"{name}: {each.rows:,} rows")
            for rule, count in each.left_out.items():
                answer.say(f"  {count:>10,} left out by {rule}")
            for column, median in each.medians.items():
                doubt = ": cents?" if median >= PERHAPS_CENTS else ""
                answer.say(f"  median {column} {median:,.2f}{doubt}")
            for row in each.examples:
                answer.say("  " + ", ".join(f"{key} {value[:30]}" for key, value in row.items()))
