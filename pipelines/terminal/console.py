"""What people see on the terminal: tables and sentences on standard output.

Account names and categories are somebody else's words: the console reads no markup in them, and
control characters are taken out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from features.catalog import Signal
    from models.weights.intervals import WeightCertainty
    from pipelines.portfolio.portfolio import Portfolio
    from pipelines.scoring.explain import Explained
    from pipelines.setup.check import DataReport
    from pipelines.training.train import Trained

BAND_STYLES = {"at-risk": "red", "watch": "yellow", "healthy": "green"}
BAND_STYLES |= {"unlikely": "dim", "possible": "yellow", "likely": "green"}
BAND_MARKS = {"at-risk": "▼", "watch": "◆", "healthy": "▲"}
BAND_MARKS |= {"unlikely": "▽", "possible": "◆", "likely": "▲"}
BAR_WIDTH = 12
SEGMENTS_ABREAST = 3


def plain_console() -> Console:
    """Open standard output as a console that prints brackets and colons as they are."""
    return Console(highlight=False, markup=False, emoji=False)


def plain(text: object, limit: int = 80) -> str:
    r"""Make one printable line of any text.

    Examples
    --------
    >>> plain("Acme\x1b[31m\nLtd")
    'Acme [31m Ltd'
    """
    clean = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in str(text))
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def print_warnings(console: Console, warnings: Iterable[str]) -> None:
    """Print one line per warning."""
    for warning in warnings:
        console.print(Text.assemble(("! ", "yellow"), plain(warning, 400)), soft_wrap=True)


def show_report(console: Console, report: DataReport) -> None:
    """Print the data quality report."""
    table = table_of("Table", ">rows", ">accounts", "first", "last")
    for quality in report.tables:
        same = quality.source_name == quality.name
        origin = "" if same else f" ({plain(quality.source_name, 24)})"
        table.add_row(
            f"{quality.name}{origin}",
            f"{quality.rows:,}",
            f"{quality.accounts:,}",
            f"{quality.first:%Y-%m-%d}" if quality.first else "–",
            f"{quality.last:%Y-%m-%d}" if quality.last else "–",
        )
    console.print(table)
    for quality in report.tables:
        sparse = [f"{name} {share:.0%}" for name, share in quality.missing.items() if share >= 0.2]
        if sparse:
            console.print(Text(f"{quality.name}, without a value: {plain(', '.join(sparse), 400)}"))
    on = [f"{group} ({count})" for group, count in report.groups.items() if count]
    off = [group for group, count in report.groups.items() if not count]
    console.print(Text(f"Signal groups on: {', '.join(on)}"))
    if off:
        console.print(Text(f"Signal groups off: {', '.join(off)}"))
    dates = report.observation_dates
    span = f"{len(dates)} from {dates[0]} to {dates[-1]}" if dates else "none"
    console.print(Text(f"Behaviour is known from {report.data_start} until {report.data_end}"))
    console.print(Text(f"Matured observation dates: {span}"))
    for name, outcome in report.outcomes.items():
        if outcome.problem is not None:
            print_warnings(console, [f"outcome {name}: {outcome.problem}"])
        elif name != "main":
            count = len(outcome.observation_dates)
            console.print(Text(f"Outcome {name} ({outcome.kind}): {count} matured dates"))
    for quality in report.tables:
        print_warnings(console, (f"{quality.name}: {problem}" for problem in quality.problems))
    if not report.problems:
        console.print(Text("No impossible or unreadable values were found", style="green"))


def show_signals(console: Console, signals: Iterable[Signal]) -> None:
    """Print the catalogue, a section per group, whichever builder a signal came from."""
    from features.catalog import GROUPS

    table = table_of("Signal", "What it says", ">Lookback", "Healthy")
    table.columns[0].no_wrap = True
    healthy = {"higher": Text("▲ more", "green"), "lower": Text("▼ less", "green")}
    group = ""
    for signal in sorted(signals, key=lambda each: GROUPS.index(each.group)):
        if signal.group != group:
            group = signal.group
            table.add_section()
            table.add_row(Text(group.capitalize(), "bold"))
        table.add_row(
            signal.name,
            plain(signal.sentence.replace("{value}", "…").replace("{s}", "s")),
            f"{signal.window_days} d" if signal.window_days else "state",
            healthy.get(signal.healthy, Text("either", "dim")),
        )
    console.print(table)


def show_trained(console: Console, trained: Trained) -> None:
    """Print how the champion did on dates it had not seen."""
    result, words = trained.result, trained.words
    metrics = result.metrics.to_dict()
    counts = result.counts
    console.print(Text(f"Champion: version {trained.version}", style="bold"))
    console.print(
        Text(
            f"Taught with {counts['rows']:,} rows of {counts['accounts']:,} accounts,"
            f" {counts['positives']:,} of which {words.past}; judged on"
            f" {counts['holdout_rows']:,} unseen rows, {counts['holdout_positives']:,} of which"
            f" {words.past}"
        )
    )
    show_metrics(console, metrics)
    if not result.metrics.enough_evidence:
        console.print(
            Text(
                f"There is not enough evidence that behaviour foretells {words.noun} here: the"
                " interval of its AUC reaches 0.5. Do not act on these scores or weights.",
                style="bold red",
            )
        )
    show_bands(console, result.bands)
    if result.metrics.enough_evidence:
        show_weights(console, result.model.weights, result.model.certainty)
    print_warnings(console, trained.warnings)


def show_metrics(console: Console, metrics: dict[str, Any]) -> None:
    """Print the hold-out figures."""
    console.print(
        Text(
            f"AUC {figure(metrics['auc'])} ({figure(metrics['auc_low'])} to"
            f" {figure(metrics['auc_high'])}) · log loss {figure(metrics['log_loss'], 4)}, base"
            f" rate alone {figure(metrics['log_loss_base'], 4)} · calibration error"
            f" {figure(metrics['ece'], 4)} · top-decile lift"
            f" {figure(metrics['top_decile_lift'], 1)}"
        )
    )
    console.print(
        Text(
            f"AUC of behaviour among accounts of like age and plan"
            f" {figure(metrics['auc_behaviour'])} ({figure(metrics['auc_behaviour_low'])} to"
            f" {figure(metrics['auc_behaviour_high'])})"
        )
    )


def show_bands(console: Console, bands: list[dict[str, Any]]) -> None:
    """Print what each band has meant on the hold-out."""
    table = table_of("Band", ">rows", ">positives", ">expected", ">observed", "90 % interval")
    for band in bands:
        observed = band["observed_rate"]
        table.add_row(
            band_text(band["band"]),
            f"{band['rows']:,}",
            f"{band['positives']:,}",
            percent(band["expected_rate"]),
            percent(observed),
            f"{percent(band['low'])} to {percent(band['high'])}" if band["rows"] else "–",
        )
    console.print(table)


def show_weights(
    console: Console, weights: Mapping[str, Mapping[str, float]], certainty: WeightCertainty
) -> None:
    """Print the weight of each signal group per segment, a few segments side by side."""
    groups = list(dict.fromkeys(group for shares in weights.values() for group in shares))
    segments = list(weights)
    for first in range(0, len(segments), SEGMENTS_ABREAST):
        abreast = segments[first : first + SEGMENTS_ABREAST]
        table = table_of("Weights", *(f">{plain(segment, 40)}" for segment in abreast))
        for group in groups:
            table.add_row(group, *(_weight(weights, certainty, one, group) for one in abreast))
        console.print(table)
    console.print(
        Text("Weights with 90 % intervals; dim with a question mark: not enough evidence.", "dim")
    )


def _weight(
    weights: Mapping[str, Mapping[str, float]],
    certainty: WeightCertainty,
    segment: str,
    group: str,
) -> Text:
    share = weights[segment].get(group)
    if share is None:
        return Text("–")
    sure = certainty.groups[segment][group]
    text = f"{share:.0f} % ({sure.low:.0f}–{sure.high:.0f})"
    return Text(f"{text}  ") if sure.enough_evidence else Text(f"{text} ?", "dim")


def show_portfolio(console: Console, summed: Portfolio) -> None:
    """Print bands, money at risk and the accounts to call first."""
    words = summed.outcome.words
    title = f"Portfolio on {summed.as_of}, {words.noun} (model version"
    title = f"{title} {plain(summed.model_version, 20)})"
    console.print(Text(title, style="bold"))
    expected = f">expected {words.noun}"
    table = table_of("Band", ">accounts", ">ARR", expected, ">observed before", "")
    most = max((band.accounts for band in summed.bands), default=0) or 1
    for band in summed.bands:
        observed = band.observed["observed_rate"] if band.observed else None
        width = round(BAR_WIDTH * band.accounts / most)
        table.add_row(
            band_text(band.band),
            f"{band.accounts:,}",
            _money(band.arr),
            percent(band.expected_rate if band.accounts else None),
            percent(observed),
            Text("█" * width, style=BAND_STYLES[band.band]),
        )
    console.print(table)
    if summed.arr is not None and summed.expected_arr is not None:
        first = summed.bands[0]
        expected = f"{words.noun} in the outcome window is expected of accounts with ARR"
        if summed.outcome.kind == "churn":
            expected = "expected loss in the outcome window"
        console.print(
            Text(
                f"ARR {_money(summed.arr)}, of which {_money(first.arr)} {first.band};"
                f" {expected} {_money(summed.expected_arr)}"
            )
        )
    console.print(Text("Call first", style="bold"))
    for number, call in enumerate(summed.calls, start=1):
        name = f" {plain(call.name, 40)}" if call.name else ""
        line = Text.assemble(
            f"{number}. {plain(call.account_id, 40)}{name}: score {call.score:.0f} ",
            band_text(call.band),
            f", {percent(call.probability)} {words.noun}"
            + (f", ARR {_money(call.arr)}" if call.arr is not None else "")
            + f" ({plain(call.segment, 40)})",
        )
        console.print(line, soft_wrap=True)
        for sentence in call.sentences:
            console.print(Text(f"     {sentence}"), soft_wrap=True)


def show_explained(console: Console, explained: Explained) -> None:
    """Print one account's score with the points of every signal."""
    account = explained.account
    console.print(
        Text.assemble(
            (f"{plain(account['account_id'])} on {account['as_of']}: ", "bold"),
            (f"{account['score']:.1f} ", "bold"),
            band_text(account["band"]),
            f", grade {account['grade']}, {percent(account['probability'])} {explained.words.noun}",
        )
    )
    if explained.band_rate and explained.band_rate["rows"]:
        rate = explained.band_rate
        console.print(
            Text(
                f"Of accounts in this band {percent(rate['observed_rate'])}"
                f" {explained.words.past} in the window"
                f" ({percent(rate['low'])} to {percent(rate['high'])})"
            )
        )
    console.print(
        Text(
            f"Segment {plain(account['segment'])} starts from {account['baseline_score']:.1f};"
            f" {account['coverage']:.0%} of the weight was observed;"
            f" model version {plain(account['model_version'], 20)}"
        )
    )
    groups = table_of("Group", ">points", "")
    most = max((abs(points) for points in explained.groups.values()), default=0.0) or 1.0
    for group, points in sorted(explained.groups.items(), key=lambda item: item[1]):
        groups.add_row(group, f"{points:+.1f}", _bar(points, most))
    console.print(groups)
    signals = table_of("Signal", "group", ">points", "what was seen")
    for reason in explained.reasons:
        seen = reason.sentence.rsplit(":", 1)[0]
        signals.add_row(plain(reason.label, 40), reason.group, f"{reason.points:+.2f}", plain(seen))
    console.print(signals)


def table_of(*headings: str) -> Table:
    """Make a table; a heading that starts with ``>`` is aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        right = heading.startswith(">")
        table.add_column(heading.removeprefix(">"), justify="right" if right else "left")
    return table


def band_text(band: str) -> Text:
    """Write a band's name in its colour."""
    return Text(f"{BAND_MARKS[band]} {band}", style=BAND_STYLES[band])


def _bar(points: float, most: float) -> Text:
    width = round(BAR_WIDTH * abs(points) / most)
    return Text("█" * width, style="red" if points < 0 else "green")


def percent(share: float | None) -> str:
    """Write a share with one digit; what is unknown as a dash."""
    return "–" if share is None or share != share else f"{100 * share:.1f} %"


def _money(amount: float | None) -> str:
    return "–" if amount is None else f"{amount:,.0f}"


def figure(value: float | None, digits: int = 3) -> str:
    """Write a number; what is unknown as a dash."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"
