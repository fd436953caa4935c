"""Write a first, commented configuration for a folder of tables nobody has described yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import SettingsError, sample
from pipelines.reports.terminal.whole_file import replaced_whole
from pipelines.setup.drafting.place import Place, as_written, places, relative
from pipelines.setup.drafting.questions import Ask, answered, answered_of_own
from pipelines.setup.drafting.template import (
    HEAD,
    OUTCOME,
    segments_section,
    signals_section,
    tail,
)
from pipelines.setup.drafting.toml_text import comment, quoted
from pipelines.setup.drafting.vendors import (
    NO_ANSWERS,
    Answers,
    Found,
    arrange,
    currencies_of,
    find_vendors,
    hints_of,
    without_others,
)

if TYPE_CHECKING:
    from features.packs.views import View
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess


def write_draft(
    place: str | Path,
    target: Path,
    *,
    registry: Path | None = None,
    force: bool = False,
    answers: Answers = NO_ANSWERS,
    encoding: str = "utf-8",
    ask: Ask | None = None,
) -> tuple[str, list[str]]:
    """Look at tables and write a draft configuration.

    Parameters
    ----------
    place : str or Path
        A folder or DuckDB file; where a folder holds no tables, the folders in it, one for each
        vendor. Or the address of a server, without a password.
    target : Path
        The file to write.
    registry : Path, optional
        Folder for models; ``mlruns`` beside the configuration when left out.
    force : bool
        Whether an existing file may be replaced.
    answers : Answers
        What a person says of vendors.
    encoding : str
        Of text files.
    ask : callable, optional
        Asks a person what vendors' exports leave open.

    Returns
    -------
    str
        The draft.
    list of str
        What could not be guessed, one sentence each.

    Raises
    ------
    SettingsError
        When the file exists already, no table looks like accounts, an address holds a password, or
        there are more than a thousand tables.
    DataError
        When the source cannot be read.
    """
    from features.sources.opening import open_source
    from pipelines.setup.deriving.file_states import joined_files

    if target.exists() and not force:
        raise SettingsError(
            f"The configuration '{target}' exists already; pass --force to replace it or name"
            " another with -c"
        )
    unfinished, asking = None, False
    url, parts = places(str(place))
    written = None if url is None else as_written(str(place), target)
    shown = Place(written, encoding)
    with open_source(url, Path(), encoding, parts=parts) as opened:
        source = joined_files(opened)
        _refuse_many(source)
        models = "mlruns" if registry is None else relative(registry, target)
        try:
            vendors = [
                replace(each, url=each.url and relative(Path(each.url), target))
                for each in find_vendors(source, parts, only=answers.only)
            ]
            if answers.only:
                source = without_others(source, parts, vendors)
            if ask is not None and vendors:
                asking = True
                answers = answered(answers, vendors, currencies_of(source, vendors), ask)
                asking = False
            text, doubts = draft(source, shown, models, vendors, answers)
            if ask is not None and not vendors:
                asking = True
                said = answered_of_own(answers, doubts, ask)
                asking = False
                if said != answers:
                    text, doubts = draft(source, shown, models, vendors, said)
        except SettingsError as error:
            # What was said wrongly is said again: a file left behind would be in the way.
            if asking or answers != NO_ANSWERS:
                raise
            unfinished, text, doubts = error, _skeleton(source, shown, models), []
    with replaced_whole(target) as fresh:
        fresh.write_bytes(text.encode())
    if unfinished is not None:
        raise SettingsError(f"{unfinished}; '{target}' lists the columns to fill in")
    return text, doubts


def _refuse_many(source: Source) -> None:
    """Refuse a source of so many tables that their files must be parts of a few."""
    if len(source.tables) > MOST_TABLES:
        raise SettingsError(
            f"The source '{source.url}' holds {len(source.tables):,} tables, such as"
            f" {sample(sorted(source.tables), 3)}, and init looks at no more than {MOST_TABLES:,};"
            " put files that are parts of one table into one, or in Parquet into a folder of the"
            " table's name"
        )


def _skeleton(source: Source, place: Place, registry: str) -> str:
    """Write what a person fills in where nothing could be guessed: every table with its columns."""
    lines = [
        "\n# Say which table holds the accounts, which their contracts, and in which columns:\n"
        '# [tables.accounts]\n# from = "TABLE"\n# account_id = "COLUMN"\n# created_at = "COLUMN"\n'
        '# [tables.subscriptions]\n# from = "TABLE"\n# account_id = "COLUMN"\n'
        '# started_at = "COLUMN"\n# ended_at = "COLUMN"\n\n# What is there:\n'
    ]
    for name in list(source.tables)[:MOST_LISTED]:
        columns = ", ".join(comment(column) for column in source.tables[name].columns)
        lines.append(f"# {comment(name)}: {columns[:400]}\n")
    head = HEAD.format(folder=comment(place.url or source.url), url=place.lines())
    return "".join([head, *lines, OUTCOME, tail(registry)])


def draft(
    source: Source,
    url: str | Place | None,
    registry: str,
    vendors: Sequence[Found] = (),
    answers: Answers = NO_ANSWERS,
) -> tuple[str, list[str]]:
    """Compose the configuration's text and the list of doubts."""
    from features.packs.pack import known_packs
    from features.packs.recognition import changed_layouts
    from features.packs.views import View, with_views
    from pipelines.setup.deriving.file_states import file_states, guessed_without
    from pipelines.setup.deriving.merged_accounts import follow_mergers
    from pipelines.setup.deriving.month_columns import month_of
    from pipelines.setup.deriving.prepared import prepared
    from pipelines.setup.deriving.silence import silent_accounts
    from pipelines.setup.deriving.versions import versions
    from pipelines.setup.drafting.attributes import (
        attributes_of,
        common_features,
        name_apart,
        owner_among,
    )
    from pipelines.setup.drafting.leavers import told_by_leaving
    from pipelines.setup.drafting.measures import draft_measures
    from pipelines.setup.guessing.guess import guess_tables
    from pipelines.setup.guessing.leaving import churn_doubts

    sections: list[str] = []
    notes: list[str] = []
    measured = ""
    made: dict[str, View] = {}
    if vendors:
        arranged = arrange(source, vendors, answers)
        guesses, left, source = arranged.guesses, arranged.left, arranged.source
        sections, notes = arranged.sections, arranged.notes
    else:
        repeated = file_states(source)
        kept = versions(repeated.source)
        hints = hints_of(answers)
        hidden = (*repeated.states, *kept.replaced)
        read = prepared(kept.source, hidden, lambda each: guess_tables(each, hints))
        source, made = read.source, {**repeated.views, **kept.views, **read.views}
        guesses, left = read.guesses, read.left
        notes = [*repeated.notes, *kept.notes, *read.notes]
        alone = guessed_without(source, read.hidden)
        if not any(each.name in TELLING and not each.missing for each in guesses):
            contracts, table, note = _made_contracts(alone, guesses)
            if contracts:
                source, made = with_views(source, contracts), made | contracts
                guesses, left = guess_tables(guessed_without(source, read.hidden), hints)
                left = [each for each in left if each not in (table, *made)]
                notes.append(note)
        merged = follow_mergers(guesses, source)
        source, made = with_views(source, merged), made | merged
        left = [*left, *repeated.states]
        guesses, left, measured = draft_measures(guesses, left, source)
        for guess in guesses:
            if guess.name == "accounts":
                name_apart(guess, source)
    views = made | {
        guess.source: View(sql=guess.view) for guess in guesses if guess.view is not None
    }
    sections += [f"\n[views.{name}]\nsql = {quoted(view.sql)}\n" for name, view in views.items()]
    source = with_views(source, {name: view for name, view in views.items() if name not in made})
    by_name = {guess.name: guess for guess in guesses}
    if "accounts" not in by_name:
        unread = f"; not read: {sample(source.unread, 8)}" if source.unread else ""
        raise SettingsError(
            f"No table of '{source.url}' looks like accounts (it holds"
            f" {sample(sorted(source.tables), 8)}{unread});"
            f" name one file accounts{_hint_of_json(source)}"
        )
    accounts = by_name["accounts"]
    attributes, sensitive, skipped = attributes_of(accounts, source.tables[accounts.source])
    over = told_by_leaving(attributes, by_name, source)
    attributes, skipped = [each for each in attributes if each not in over], [*skipped, *over]
    owner = owner_among(skipped)
    skipped = [name for name in skipped if name != owner]
    attributes = [name for name in attributes if month_of(name) is None]
    today = [name for name in attributes if name in source.about(accounts.source).today_only]
    attributes = [name for name in attributes if name not in today]
    if today:
        accounts.notes.append(
            f"{', '.join(today)} say what is so today: add to attributes those that never change"
        )
    place = url if isinstance(url, Place) else Place(url)
    parts = [HEAD.format(folder=comment(place.url or source.url), url=place.lines()), *sections]
    tells_of_churn = bool({"subscriptions", "churn_events"} & set(by_name))
    labels = by_name.get("labels")
    doubts = notes + ([] if tells_of_churn or labels is not None else [_NO_OUTCOME])
    if not vendors:
        doubts += changed_layouts(
            known_packs().values(), list(source.tables), lambda name: source.tables[name].columns
        )
        doubts += churn_doubts(by_name, source)
    if tells_of_churn and labels is not None and "observed_at" not in labels.columns:
        # Beside tables with dates a label must name its own.
        labels.missing.append("observed_at")
    numbers = {guess.numbers_as_times for guess in guesses if guess.numbers_as_times}
    if numbers:
        parts.append(f"\n[reading]\nnumbers_as_times = {quoted(sorted(numbers)[0])}  # check\n")
    parts += [_rates_section(by_name, vendors, answers)]
    packed = [name for name in left if "_airbyte_data" in source.tables[name].columns]
    if packed:
        doubts.append(
            f"Tables keep their values as JSON in '_airbyte_data': {sample(packed, 8)}; take them"
            " out with a view, [views.NAME] sql"
        )
    folders = [name for name in source.unread if name.endswith("/")]
    files = [name for name in source.unread if name not in folders]
    if files:
        doubts.append(f"Not read, as neither Parquet nor delimited text: {sample(files, 8)}")
    if folders:
        doubts.append(
            f"Folders that are not read: {sample(folders, 8)}; name one as [source.NAME] url, or"
            " put what are parts of one table into one file beside the others"
        )
    for guess in guesses:
        parts.append(_table_section(guess, attributes, skipped, answers.leave_out))
        table = guess.made_from or guess.source
        doubts += [f"{table} has no column that looks like {name}" for name in guess.missing]
        said = [*source.about(table).notes, *guess.notes]
        doubts += [f"{table}: {note}" for note in said]
    silent = None if vendors else silent_accounts(by_name, source)
    if silent is not None:
        parts.append(silent[0])
        doubts.append(silent[1])
    if left:
        parts.append(f"\n# Not mapped: {', '.join(comment(name) for name in left)}\n")
        doubts.append(f"Tables that fit nothing: {sample(left, 8)}")
    parts.append(OUTCOME if tells_of_churn else OUTCOME.replace(_CHURN, _LABEL))
    usage = by_name.get("usage_events")
    features = common_features(usage, source.tables[usage.source]) if usage else []
    parts.append(signals_section(features, sensitive) + measured)
    parts.append(segments_section(by_name, attributes))
    parts.append(tail(registry, owner))
    return "".join(parts), doubts


def _made_contracts(source: Source, guesses: list[TableGuess]) -> tuple[dict[str, View], str, str]:
    """Make contracts of columns for months, deals or bills: the view, its table, what to check."""
    from features.packs.views import View
    from pipelines.setup.deriving import deals, month_columns, monthly_amounts, monthly_bills

    known = {each.name: each for each in guesses}
    paid = month_columns.month_columns(source)
    if paid is not None:
        note = (
            f"{paid.table} has a column for every month: an amount over the months that follow"
            " one another is a contract; check that it is what was paid"
        )
        return {month_columns.VIEW: View(sql=paid.contracts(source))}, "", note
    won = deals.won_deals(source)
    if won is not None:
        table, sql, note = won
        return {deals.VIEW: View(sql=sql)}, table, note
    told = monthly_amounts.monthly_amounts(known.get("accounts"), source)
    if told is not None:
        return {monthly_amounts.VIEW: View(sql=told[1])}, told[0], told[2]
    billed = monthly_bills.monthly_bills(known.get("invoices"), source)
    if billed is None:
        return {}, "", ""
    return {monthly_bills.VIEW: View(sql=billed[0])}, "", billed[1]


def _rates_section(
    guesses: dict[str, TableGuess], vendors: Sequence[Found], answers: Answers
) -> str:
    """Write the rates of amounts in one's own tables; those of vendors stand under their own."""
    own = [each for each in guesses.values()
           if each.columns.get("currency") and each.source.partition(".")[0] not in
           {vendor.section for vendor in vendors}]  # fmt: skip
    if not own or not answers.rates or answers.currency is None:
        return ""
    rates = ", ".join(f"{code} = {rate!r}" for code, rate in answers.rates.items())
    return f"\n[rates]\ncurrency = {quoted(answers.currency)}\nfixed = {{ {rates} }}\n"


def _hint_of_json(source: Source) -> str:
    packed = [name for name, table in source.tables.items() if "_airbyte_data" in table.columns]
    if not packed:
        return ""
    return (
        f", or, as {sample(packed, 3)} keep their values as JSON in '_airbyte_data', take them out"
        " with a view, [views.NAME] sql"
    )


MOST_LISTED = 100
TELLING = ("subscriptions", "churn_events", "labels")
"""Tables that tell who left."""
MOST_TABLES = 1000
_NO_OUTCOME = "No table tells of churn: map subscriptions (with ended_at), churn_events or labels"
_CHURN = 'kind = "churn"\n'
_LABEL = """\
# What the labels say. Whether that is good news, so that a high score means it is likely:
kind = "label"
good = false  # check
"""


def _table_section(
    guess: TableGuess, attributes: list[str], skipped: list[str], leave_out: tuple[str, ...]
) -> str:
    # A table that lacks what it must have would stop every command: it is left as a comment.
    mark = "# " if guess.missing else ""
    lines = [f"\n{mark}[tables.{guess.name}]", f"{mark}from = {quoted(guess.source)}"]
    lines += [f"# check: {comment(note, 400)}" for note in guess.notes]
    lines += [f"{mark}{name} = {quoted(origin)}" for name, origin in guess.columns.items()]
    lines += [f"# check: no column looks like {name}, which is required" for name in guess.missing]
    rules = [f"{{ column = {quoted(column)}, {test} = {quoted(value)} }}"
             for column, test, value in guess.keep]  # fmt: skip
    lines += [f"{mark}keep = [{', '.join(rules)}]"] if rules else []
    lines += [f"{mark}covers = {quoted(guess.covers)}"] if guess.covers is not None else []
    if guess.account_via is not None:
        table, key, account, own = guess.account_via
        on = "" if own == key else f" on = {quoted(own)},"
        lines.append(
            f"{mark}account_via = {{ table = {quoted(table)}, key = {quoted(key)},{on}"
            f" account_id = {quoted(account)} }}"
        )
    if guess.name == "accounts":
        if leave_out:
            lines.append(f"{mark}leave_out = {quoted(list(leave_out))}")
        lines.append("# Columns that describe an account; they may name segments.")
        lines.append(f"{mark}attributes = {quoted(attributes)}")
        if skipped:
            listed = ", ".join(comment(name) for name in skipped)
            lines.append(f"# check: left out, as outcome, free text or date: {listed}")
    return "\n".join(lines) + "\n"
