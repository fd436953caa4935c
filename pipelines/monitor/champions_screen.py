"""What people see of retraining, rollback and the history of champions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pipelines.reports.terminal.console import figure, plain, print_warnings, table_of

if TYPE_CHECKING:
    from models.registry.chain_record import Record
    from models.registry.champions import History, Version
    from pipelines.monitor.champions import RolledBack
    from pipelines.monitor.retrain import Retrained

STYLES = {
    "champion": "bold green",
    "rejected": "red",
    "rolled back": "yellow",
    "replaced": "dim",
    "registered": "dim",
}
ACTIONS = {
    "train": "trained as champion",
    "promote": "promoted",
    "reject": "not promoted",
    "rollback": "put back",
}
LONGEST = 600


def show_retrained(console: Console, retrained: Retrained) -> None:
    """Print whether the challenger serves now, why, and whose band it changed."""
    if retrained.promoted:
        title = f"Version {retrained.challenger} is the champion now, in place of version"
        title = f"{title} {retrained.before}; 'healthscore rollback' undoes it"
    elif retrained.challenger is None:
        title = f"Version {retrained.champion} stays the champion; no challenger was trained"
    else:
        title = f"Version {retrained.champion} stays the champion; version"
        title = f"{title} {retrained.challenger} is kept as a challenger"
    console.print(Text(plain(title, LONGEST), style="bold"), soft_wrap=True)
    if retrained.judged_from is not None:
        console.print(
            Text(f"Judged on observation dates {retrained.judged_from} to {retrained.judged_until}")
        )
    for reason in retrained.reasons:
        console.print(Text(f"  {plain(reason, LONGEST)}"), soft_wrap=True)
    if retrained.bands is not None:
        for move in retrained.bands.moves:
            console.print(Text(f"  {move.before} → {move.after}: {move.accounts:,} accounts"))
    print_warnings(console, retrained.warnings)


def show_rolled_back(console: Console, done: RolledBack) -> None:
    """Print who serves now."""
    console.print(
        Text(
            f"Version {plain(done.version, 20)} is the champion again, in place of version "
            f"{plain(done.before, 20)}",
            style="bold",
        ),
        soft_wrap=True,
    )
    console.print(
        Text("Scores that were issued stay; the next scoring run uses it."), soft_wrap=True
    )


def show_champions(console: Console, found: History) -> None:
    """Print every version, who serves, and what was decided, oldest first."""
    serving = "none" if found.serving is None else f"version {found.serving}"
    console.print(Text(f"Champion of {plain(found.name)}: {serving}", style="bold"))
    table = table_of(
        "Version", "registered (UTC)", "taught until", ">rows", ">log loss", ">AUC", "is"
    )
    for version in found.versions:
        table.add_row(*_cells(version, found.previous))
    console.print(table)
    for record in found.records:
        console.print(_line(record), soft_wrap=True)
        for reason in record.reasons:
            console.print(Text(f"     {plain(reason, LONGEST)}"), soft_wrap=True)
    print_warnings(console, found.notes)


def _cells(version: Version, previous: str | None) -> list[str | Text]:
    became = version.became
    if version.version == previous and became != "champion":
        became = f"{became}; rollback goes here"
    return [
        version.version,
        f"{version.made_at:%Y-%m-%d %H:%M}",
        plain(version.counts.get("last_date", "–"), 10),
        f"{version.counts['rows']:,}" if "rows" in version.counts else "–",
        figure(version.log_loss, 4),
        figure(version.auc),
        Text(became, STYLES[version.became]),
    ]


def _line(record: Record) -> Text:
    state = {"done": "", "open": ", under way", "abandoned": ", came to nothing"}[record.state]
    line = f"{record.number}. {record.made_at:%Y-%m-%d %H:%M} UTC, version {record.version}"
    line = f"{line} {ACTIONS[record.action]}{state}"
    if record.before is not None and record.action != "reject":
        line = f"{line}, in place of version {record.before}"
    return Text(f"{line}, by {plain(record.by, 40)}", style="" if record.state == "done" else "dim")
