"""What ``healthscore backtest`` prints: a verdict in words, then the figures behind it.

Eighty columns are enough. Names of segments and levels are somebody else's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import figure, percent, plain, print_warnings, table_of
from pipelines.training.screen import show_bands

if TYPE_CHECKING:
    import pandas as pd

    from models.backtest.backtest import Backtest
    from models.backtest.comparison import Comparison
    from pipelines.training.backtest import Backtested

OURS = "healthscore"
FEW = 20
"""With fewer positives a line is dimmed: its figures are mostly chance."""
MOST_LEVELS = 20
NAME = 28


def show_backtest(console: Console, tested: Backtested) -> None:
    """Print what a backtest found.

    Parameters
    ----------
    console : Console
        Where to.
    tested : Backtested
        What was found.
    """
    result = tested.result
    ours = result.measures[result.measures["contender"] == OURS]
    show_verdict(console, result, ours)
    show_contenders(console, result)
    show_parts(console, ours)
    show_calibration(console, ours)
    _title(console, "What each band meant")
    show_bands(console, result.bands)
    show_lead(console, result.lead, tested.words.past)
    show_leaks(console, result)
    show_audit(console, result.audit)
    print_warnings(console, tested.warnings)


def show_verdict(console: Console, result: Backtest, ours: pd.DataFrame) -> None:
    """Print in words how well it ranked, and against whom."""
    counts, whole = result.counts, _whole(ours)
    dates = counts["tested_dates"]
    where = (
        f"On {dates} later dates from {counts['tested_from']} to {counts['tested_until']}"
        if dates > 1
        else f"On one later date, {counts['tested_from']},"
    )
    if not _is_dated(result):
        where = "On accounts it had not seen (nothing here has a date)"
    known = whole["auc_low"] is not None and whole["auc_low"] == whole["auc_low"]
    beats_chance = known and whole["auc_low"] > 0.5
    console.print(
        Text(
            f"{where} Healthscore ranked with AUC {_with_interval(whole, 'auc', 2)}:"
            f" {counts['tested_positives']:,} positives among {counts['tested_rows']:,} rows of"
            f" {counts['tested_accounts']:,} accounts.",
            style="bold",
        )
    )
    if not beats_chance:
        console.print(
            Text(
                "There is not enough evidence that it ranks better than chance: the interval"
                " reaches 0.5. Do not act on these scores.",
                style="bold red",
            )
        )
    console.print(Text(" ".join(_comparisons(result.versus))))
    if 0 < counts["tested_positives"] < FEW:
        console.print(
            Text(f"Fewer than {FEW} positives were tested: every figure is rough.", style="yellow")
        )


def _comparisons(versus: Sequence[Comparison]) -> list[str]:
    by_verdict = {
        verdict: [plain(each.contender, 40) for each in versus if each.verdict == verdict]
        for verdict in ("better", "level", "worse")
    }
    joint = {"better": "better than", "level": "level with", "worse": "worse than"}
    words = [f"{joint[verdict]} {_listed(names)}" for verdict, names in by_verdict.items() if names]
    return [f"By log loss it is {'; '.join(words)}."] if words else []


def show_contenders(console: Console, result: Backtest) -> None:
    """Print every contender on the same rows, and ours against each."""
    table = table_of("Model", ">AUC (90 %)", ">log loss", ">Brier", ">ECE", ">lift")
    _keep_numbers_whole(table)
    rows = result.measures
    rows = rows[
        (rows["origin"] == "all") & (rows["segment"] == "all") & (rows["population"] == "all")
    ]
    for row in _records(rows):
        table.add_row(
            plain(row["contender"], 40),
            _with_interval(row, "auc", 3, 2),
            figure(row["log_loss"], 4),
            figure(row["brier"], 4),
            figure(row["ece"], 4),
            figure(row["top_decile_lift"], 1),
            style="bold" if row["contender"] == OURS else None,
        )
    console.print(table)
    styles = {"better": "green", "worse": "red"}
    table = table_of("Log loss of ours minus theirs", ">difference", "90 % interval", "ours is")
    _keep_numbers_whole(table)
    for each in result.versus:
        table.add_row(
            plain(each.contender, 40),
            _signed(each.difference, 4),
            f"{_signed(each.low, 4)} to {_signed(each.high, 4)}",
            Text(each.verdict, styles.get(each.verdict, "")),
        )
    if result.versus:
        console.print(table)


def show_parts(console: Console, ours: pd.DataFrame) -> None:
    """Print ours over all rows, without treated accounts, per segment and per origin."""
    table = table_of(
        *("Ours", ">positives\n/ rows", ">AUC (90 %)", ">log\nloss", ">ECE", ">offset", ">slope")
    )
    _keep_numbers_whole(table)
    everywhere = (ours["origin"] == "all") & (ours["segment"] == "all")
    everybody = ours["population"] == "all"
    sections = {
        "": ours[everywhere],
        "Segment": ours[(ours["origin"] == "all") & (ours["segment"] != "all") & everybody],
        "Origin": ours[(ours["origin"] != "all") & (ours["segment"] == "all") & everybody],
    }
    names = {"": "population", "Segment": "segment", "Origin": "origin"}
    has_few = False
    for title, rows in sections.items():
        if title and len(rows):
            table.add_section()
            table.add_row(Text(title, "bold"))
        for row in _records(rows):
            name = row[names[title]]
            name = {"all": "all rows", "untreated": "without treated"}.get(name, name)
            name = segment_words(name) if title == "Segment" else name
            few = row["positives"] < FEW
            has_few |= few
            table.add_row(
                f"{plain(name, NAME)}{' *' if few else ''}",
                f"{row['positives']:,} / {row['rows']:,}",
                _with_interval(row, "auc", 2),
                figure(row["log_loss"], 4),
                figure(row["ece"], 3),
                _signed(row["calibration_in_the_large"], 2),
                figure(row["calibration_slope"], 2),
                style="dim" if few else None,
            )
    console.print(table)
    if has_few:
        console.print(Text(f"* fewer than {FEW} positives: mostly chance", style="dim"))


def show_calibration(console: Console, ours: pd.DataFrame) -> None:
    """Print whether the probabilities are true, with what chance alone would show."""
    whole, offset = _whole(ours), "calibration_in_the_large"
    console.print(
        Text(
            f"Calibration: expected {percent(whole['expected_rate'])}, observed"
            f" {percent(whole['observed_rate'])}; offset of the log-odds"
            f" {_signed(whole[offset], 2)} ({_signed(whole[f'{offset}_low'], 2)} to"
            f" {_signed(whole[f'{offset}_high'], 2)}), slope"
            f" {_with_interval(whole, 'calibration_slope', 2)}; ECE {figure(whole['ece'], 4)},"
            f" where true probabilities would show {figure(whole['ece_by_chance'], 4)} by chance;"
            f" without chance {figure(whole['ece_low'], 4)} to {figure(whole['ece_high'], 4)}."
        )
    )


def show_lead(console: Console, lead: pd.DataFrame, past: str) -> None:
    """Print how early accounts to which it happened had been warned of."""
    rows = lead[lead["events"] > 0] if len(lead) else lead
    if not len(rows):
        return
    _title(console, f"How early it warned: scores of accounts that {past}")
    table = table_of(
        *(">days\nbefore", ">events", ">median", ">middle half", ">at-risk (90 %)", ">watch"),
        ">healthy",
    )
    _keep_numbers_whole(table)
    for row in _records(rows):
        table.add_row(
            str(row["days_before"]),
            f"{row['events']:,}",
            figure(row["median_score"], 0),
            f"{figure(row['low_quartile'], 0)} to {figure(row['high_quartile'], 0)}",
            f"{percent(row['at_risk'])} ({100 * row['at_risk_low']:.0f}–"
            f"{100 * row['at_risk_high']:.0f})",
            percent(row["watch"]),
            percent(row["healthy"]),
            style="dim" if row["events"] < FEW else None,
        )
    console.print(table)


def show_leaks(console: Console, result: Backtest) -> None:
    """Print what a random split would have claimed, and signals that know too much."""
    leaks = result.leaks
    _title(console, "Leakage")
    splits = {
        "later dates": leaks.time_split,
        "other accounts": leaks.account_split,
        "random rows": leaks.random_split,
    }
    measured = [
        f"{name} {figure(auc['auc'])} ({figure(auc['low'], 2)} to {figure(auc['high'], 2)})"
        for name, auc in splits.items()
        if auc["auc"] is not None
    ]
    if measured:
        console.print(Text(f"AUC of a plain LightGBM on {'; '.join(measured)}."))
    console.print(Text(plain(leaks.verdict, 400)))
    for suspect in leaks.suspects:
        console.print(Text(f"! {plain(suspect.why, 400)}", style="yellow"))


def show_audit(console: Console, audit: pd.DataFrame) -> None:
    """Print errors across sensitive attributes, those that differ first."""
    if not len(audit):
        return
    _title(console, "Audit of sensitive attributes, which the model never reads")
    table = table_of(
        *("Attribute", "level", ">positives\n/ rows", ">missed", ">false\nalarms"),
        *(">expected", ">observed"),
    )
    _keep_numbers_whole(table, 2)
    ordered = audit
    if len(audit) > MOST_LEVELS:
        ordered = audit.sort_values("flagged", ascending=False, kind="stable")
    for row in _records(ordered.head(MOST_LEVELS)):
        table.add_row(
            plain(row["attribute"], 16),
            f"{plain(row['level'], 20)}{' *' if row['too_small'] else ''}",
            f"{row['positives']:,} / {row['rows']:,}",
            percent(row["false_negative_rate"]),
            percent(row["false_positive_rate"]),
            percent(row["expected_rate"]),
            percent(row["observed_rate"]),
            style="yellow" if row["flagged"] else "dim" if row["too_small"] else None,
        )
    console.print(table)
    for row in _records(audit[audit["flagged"]].head(MOST_LEVELS)):
        named = f"! {plain(row['attribute'], 16)} {plain(row['level'], 40)}: "
        console.print(Text.assemble((named, "yellow"), plain(row["why"], 400)))
    more = len(audit) - MOST_LEVELS
    if more > 0:
        console.print(Text(f"{more} more levels are in backtest.json", style="dim"))
    if audit["too_small"].any():
        console.print(Text("* too small to be compared", style="dim"))
    flagged = int(audit["flagged"].sum())
    console.print(
        Text(
            f"{flagged or 'No'} {'levels differ' if flagged > 1 else 'level differs'} from"
            " everybody else beyond chance",
            style="yellow" if flagged else "green",
        )
    )


def _whole(ours: pd.DataFrame) -> dict[str, Any]:
    everything = (ours[["origin", "segment", "population"]] == "all").all(axis=1)
    return _records(ours[everything])[0]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    names = [str(name) for name in frame]
    return [dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False)]


def _is_dated(result: Backtest) -> bool:
    return result.leaks.time_split["auc"] is not None


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _keep_numbers_whole(table: Any, first: int = 1) -> None:
    """Let names wrap where the terminal is narrow, never figures."""
    table.collapse_padding = True
    for column in table.columns[first:]:
        column.no_wrap = True


def _with_interval(row: dict[str, Any], name: str, digits: int, bounds: int | None = None) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is None or low != low:
        return figure(row[name], digits)
    ends = digits if bounds is None else bounds
    return f"{figure(row[name], digits)} ({figure(low, ends)}–{figure(high, ends)})"


def _signed(value: float | None, digits: int) -> str:
    return "–" if value is None or value != value else f"{value:+.{digits}f}".replace("-", "−")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
