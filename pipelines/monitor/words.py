"""What the drift report says in a sentence: the decision, what moved, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from pipelines.reports.segments import ALL, segment_words
from pipelines.reports.wording import count, day, name, percent, plural

if TYPE_CHECKING:
    from models.drift.feed_faults import Fault
    from models.drift.statistics import Drift
    from pipelines.monitor.monitor import Monitored, Since

STATUS = {
    "ok": "nothing to do",
    "watch": "watch",
    "retrain": "retrain",
    "broken-feed": "broken feed",
}
# Chances beyond one half that a value of today exceeds one of before: who looks sees which way it
# went, and that it went far.
PLAIN, MUCH = 0.05, 0.2
FAULTS = {
    "no-rows": "nobody is there",
    "absent-column": "a column is gone",
    "stopped-table": "a table has stopped",
    "stopped-data": "all tables have stopped",
    "stopped-signal": "a signal stands still",
    "changed-unit": "a unit has changed",
    "renamed-levels": "names are spelled otherwise",
}


def headline(checked: Monitored) -> str:
    """Say in one sentence what was decided, and what came of it."""
    retrained, status = checked.retrained, checked.decision.status
    if retrained is not None and retrained.promoted:
        return f"Retrained: version {retrained.champion} took the place of {retrained.before}"
    if retrained is not None and retrained.challenger is not None:
        return f"Retrained, and version {retrained.champion} stays: the new model was not promoted"
    if retrained is not None:
        return f"Version {retrained.champion} stays: nothing new to judge another model on"
    if status == "broken-feed":
        faults = checked.decision.faults
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        table = f" ({faults[0].table})" if faults[0].table else ""
        return f"Repair the data first: {FAULTS[faults[0].kind]}{table}{more}"
    if status == "retrain":
        return "Retrain: what the model learnt from no longer looks like today"
    if status == "watch":
        moved = len({drift.name for drift in checked.noticed})
        if moved:
            return f"Keep an eye on it: {plural(moved, 'thing', 'things')} moved"
        return "Keep an eye on it: nothing moved in the data, but something else needs a look"
    return "Nothing to do: what the model reads looks as it did"


def figures(checked: Monitored) -> list[tuple[str, str, str]]:
    """Choose the key figures: what each is, the figure, and how sure it is."""
    findings = checked.findings
    signals = {drift.name for drift in checked.noticed} - {"score", "segment"}
    weight: dict[str, float] = {}
    for drift in checked.noticed:
        if drift.name in signals:
            weight[drift.segment] = weight.get(drift.segment, 0.0) + drift.weight
    most = max(weight, key=lambda segment: weight[segment], default="all")
    rows = [
        (
            "Signals that moved",
            f"{len(signals)} of {len(checked.kept.reference.signals)}",
            "further than chance and season move them",
        ),
        (
            "Weight that rests on them",
            percent(weight.get(most, 0.0), 0),
            Markup("of the health score of {}").format(segment_name(most)),
        ),
    ]
    expected = findings.expected
    if expected is not None and expected.now.auc is not None:
        usual = "no usual range is known yet"
        if expected.auc_low is not None and expected.auc_high is not None:
            usual = f"usually {percent(expected.auc_low)} to {percent(expected.auc_high)}"
        rows.append(("Pairs it should rank right", percent(expected.now.auc), usual))
    if findings.matured:
        whole = findings.matured[0]
        rows.append(
            (
                "Happened since training",
                percent(whole.observed_rate),
                f"expected were {percent(whole.expected_rate)}",
            )
        )
    return rows


def change(drift: Drift) -> str:
    """Say what changed, by the test that saw it best.

    Examples
    --------
    >>> from models.drift.null import Movement
    >>> from models.drift.statistics import Drift
    >>> moved = Movement(0.3, 0.02, 0.05, None, 0.02, 0.4, None, None, 1e-6, "missing")
    >>> change(Drift("nps", "all", 900, moved, 0.1))
    'not known for 40\u202f% of accounts, formerly 2\u202f%'
    """
    moved = drift.movement
    if drift.name == "segment":
        return "segments hold other shares of the accounts"
    if moved.found_by == "missing":
        return (
            f"not known for {percent(moved.missing, 0)} of accounts, formerly"
            f" {percent(moved.missing_before, 0)}"
        )
    if moved.found_by == "new names":
        return f"{percent(moved.other or 0.0, 0)} of accounts have a name not seen before"
    if moved.shift is not None and (moved.found_by == "shift" or abs(moved.shift) > PLAIN):
        how = "much " if abs(moved.shift) > MUCH else ""
        return f"{how}higher" if moved.shift > 0 else f"{how}lower"
    return "spread otherwise"


def since_words(since: Since | None) -> str:
    """Say between which dates something moved.

    Examples
    --------
    >>> from datetime import date
    >>> from pipelines.monitor.monitor import Since
    >>> since_words(Since(date(2026, 1, 1), date(2026, 2, 1)))
    '1 January to 1 February 2026'
    """
    if since is None:
        return "not known"
    usual, seen = since.usual_on, since.seen_on
    first = f"{usual.day} {usual:%B}" if usual.year == seen.year else day(usual)
    return f"{first} to {day(seen)}"


def moved_name(drift: Drift, labels: dict[str, str]) -> Markup:
    """Name what moved."""
    own = {"score": "Health score", "segment": "Mix of segments"}
    return name(own.get(drift.name) or labels.get(drift.name, drift.name))


def segment_name(segment: str) -> Markup:
    """Name a segment."""
    return name(segment_words(segment, ALL))


def fault_since(fault: Fault) -> str:
    """Say since when, where it can be known."""
    return "not known" if fault.since is None else day(fault.since)


def rows_words(rows: int, of: int) -> str:
    """Say how many accounts were counted."""
    return count(rows) if rows == of else f"{count(rows)} of {count(of)}"
