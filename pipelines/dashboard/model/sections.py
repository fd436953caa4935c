"""Sections of the model page: is a champion right, does it still fit, and what came before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from features.catalog import EVERYBODY
from pipelines.dashboard.model.health import ModelHealth, calibration
from pipelines.dashboard.web.svg_attributes import without_styles
from pipelines.monitor.champions_screen import ACTIONS
from pipelines.monitor.words import STATUS
from pipelines.reports.labels import labels_of
from pipelines.reports.pieces import Figure, Section, Table, Text
from pipelines.reports.segments import ALL, segment_words
from pipelines.reports.wording import (
    UNKNOWN,
    count,
    day,
    name,
    percent,
    plural,
    prior_words,
    score,
    told,
)
from pipelines.weights.report.words import segment_name

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords
    from models.registry.chain_record import Record
    from models.registry.recommendations import RecommendationRecord

MOST_ROWS, MOST_CHANGES, MOST_REASONS = 30, 6, 4
WHOLE = {"score": "The health score itself", "segment": "How many accounts are in which segment"}
STATES = {"open": ", under way", "abandoned": ", came to nothing"}


def figures(health: ModelHealth) -> list[tuple[str, str, str]]:
    """List the key figures: what each is, the figure, and what it means."""
    metrics = health.metrics
    until = UNKNOWN if health.taught_until is None else day(health.taught_until)
    check = health.last_check
    decision = "never checked"
    if check is not None:
        decision = STATUS.get(check.status, check.status)
    return [
        ("Champion", f"version {health.champion.version}", f"{plural(health.age_days, 'day')} old"),
        ("Learnt until", until, "the newest date whose outcomes taught it"),
        (
            "Pairs ranked right",
            percent(metrics.get("auc")),
            _range(metrics, "auc", "on dates it had not seen; 50 % is chance"),
        ),
        (
            "Last check",
            decision,
            "run 'healthscore monitor'" if check is None else f"of {day(check.as_of)}",
        ),
    ]


def _range(metrics: dict[str, float], measure: str, otherwise: str) -> str:
    low, high = metrics.get(f"{measure}_low"), metrics.get(f"{measure}_high")
    if low is None or high is None:
        return otherwise
    return f"{percent(low)} to {percent(high)} {otherwise}"


def health_sections(health: ModelHealth, words: OutcomeWords) -> list[Section]:
    """Arrange what is on record of a champion."""
    return [
        _proof(health, words),
        _checks(health),
        _champions(health),
        _recommendations(health),
    ]


def _proof(health: ModelHealth, words: OutcomeWords) -> Section:
    from pipelines.reports.figures.weights import bands_plot, calibration_plot, calibration_top

    metrics, noun = health.metrics, words.noun
    parts: list[Table | Figure | Text] = []
    bands = health.champion.model.bands
    if any(band["rows"] for band in bands):
        drawn = without_styles(bands_plot(bands, noun, "bands"))
        parts.append(Figure([("", drawn)], f"What was expected of each band, and the {noun} seen."))
    table = calibration(health)
    if table is not None:
        top = calibration_top({EVERYBODY: table})
        drawn = without_styles(calibration_plot(table, "all accounts", top, "calibration"))
        parts.append(
            Figure(
                [("", drawn)],
                f"Each dot is a group of accounts of like risk: the {noun} that was expected, and"
                " what happened, with its 90 % interval. On the dashed line both are the same.",
            )
        )
    parts.append(_measures(metrics))
    enough = metrics.get("enough_evidence") == 1.0
    prior = prior_words(health.champion.model, words)
    answer = prior or (
        _trust(metrics, noun)
        if enough
        else f"Not enough evidence that behaviour predicts {noun}: do not act on these scores."
    )
    return Section("proof", "Can it be trusted?", answer, parts)


def _trust(metrics: dict[str, float], noun: str) -> str:
    """Say whether order and probabilities of a model that predicts can be believed."""
    low, high = (metrics.get(f"calibration_in_the_large_{end}", 0.0) for end in ("low", "high"))
    said = "Yes"
    if low > 0 or high < 0:
        said = f"Its order, yes; its probabilities are too {'low' if low > 0 else 'high'}"
    return (
        f"{said}: on dates it had not seen it expected {percent(metrics.get('expected_rate'))}"
        f" {noun}, and {percent(metrics.get('observed_rate'))} happened."
    )


def _measures(metrics: dict[str, float]) -> Table:
    shown: list[tuple[str, str, Callable[[float | None], str]]] = [
        ("Pairs ranked right (AUC)", "auc", percent),
        ("The same among accounts of like age and plan", "auc_behaviour", percent),
        ("First tenth by risk: times the average rate", "top_decile_lift", _decimal),
        ("Log loss", "log_loss", _fine),
        ("Log loss of the base rate alone", "log_loss_base", _fine),
        ("Calibration error", "ece", percent),
        ("Too high or low throughout, in log-odds", "calibration_in_the_large", _decimal),
        ("Slope of the probabilities; 1 is right", "calibration_slope", _decimal),
    ]
    rows = [
        [what, write(metrics.get(key)), _interval(metrics, key, write)]
        for what, key, write in shown
        if key in metrics
    ]
    caption = (
        f"On {count(metrics.get('rows'))} rows held out, {count(metrics.get('positives'))} of them"
        " with the outcome."
    )
    return Table(caption, ["Measure", ">Found", ">90 % interval"], rows, folded="All measures")


def _interval(metrics: dict[str, float], key: str, write: Any) -> str:
    low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
    return "" if low is None or high is None else f"{write(low)} to {write(high)}"


def _decimal(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:.2f}".replace("-", "−")


def _fine(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:.4f}"


def _checks(health: ModelHealth) -> Section:
    check, since = health.last_check, health.same_since
    rows = [
        [
            day(one.as_of),
            STATUS.get(one.status, name(one.status)),
            name(one.model_version),
            count(len({signal for signal, _ in one.drifted})),
            _listed(one.reasons),
            f"{one.made_at:%Y-%m-%d %H:%M}",
        ]
        for one in health.checks
    ]
    parts: list[Table | Figure | Text] = []
    if health.moved:
        parts.append(_moved(health))
    if rows:
        parts.append(
            Table(
                "Checks, the newest first.",
                ["Looked at", "Decision", "Version", ">Moved", "Why", "Made (UTC)"],
                rows,
            )
        )
    if check is None or since is None:
        answer = "This champion was not checked yet; 'healthscore monitor' does."
    else:
        decided = STATUS.get(check.status, check.status)
        answer = f"{decided.capitalize()}, since the check of {day(since.as_of)}."
    return Section("checks", "Does it still fit?", answer, parts)


def _moved(health: ModelHealth) -> Table:
    labels = labels_of(health.champion.model.signals)
    rows = [
        [
            WHOLE.get(one.signal) or name(labels.get(one.signal, one.signal)),
            name(segment_words(one.segment, ALL)),
            "all of it" if one.signal in WHOLE else percent(one.weight),
            _decimal(one.psi),
            _decimal(one.psi_expected),
        ]
        for one in health.moved[:MOST_ROWS]
    ]
    return Table(
        "What had moved at the last check, what weighs most first. Weight is its share of the"
        " score; how far is the stability index, 0 where nothing moved, and by chance what it would"
        " be anyway.",
        ["What", "Where", ">Weight", ">How far", ">By chance"],
        rows,
    )


def _champions(health: ModelHealth) -> Section:
    found = health.history
    if found is None:
        return Section("champions", "Which versions were there?", "The history cannot be read now.")
    versions = [
        [
            name(version.version),
            f"{version.made_at:%Y-%m-%d %H:%M}",
            day_of(version.counts.get("last_date")),
            count(version.counts.get("rows")),
            _fine(version.log_loss),
            percent(version.auc),
            version.became,
        ]
        for version in reversed(found.versions)
    ]
    records = [_record(record) for record in reversed(found.records)]
    serving = "None serves" if found.serving is None else f"Version {found.serving} serves"
    decided = Table("What was decided, the newest first.", RECORD, records[:MOST_ROWS])
    parts: list[Table | Figure | Text] = [
        Table(
            "Versions, the newest first. Each was judged on dates of its own.",
            [
                "Version",
                "Registered (UTC)",
                "Learnt until",
                ">Rows",
                ">Log loss",
                ">Pairs right",
                "Is",
            ],
            versions[:MOST_ROWS],
        ),
        *([decided] if records else []),
        *(Text(note) for note in found.notes),
    ]
    before = "" if found.previous is None else f"; a rollback goes to version {found.previous}"
    return Section("champions", "Which versions were there?", f"{serving}{before}.", parts)


RECORD = ["When (UTC)", "What", "Why", "By"]


def _record(record: Record) -> list[str]:
    what = f"Version {record.version} {ACTIONS[record.action]}{STATES.get(record.state, '')}"
    if record.before is not None and record.action != "reject":
        what += f", in place of version {record.before}"
    return [
        f"{record.made_at:%Y-%m-%d %H:%M}",
        told(what),
        _listed(record.reasons),
        name(record.by),
    ]


def _listed(reasons: tuple[str, ...]) -> Markup:
    shown = [Markup("<li>{}</li>").format(told(reason)) for reason in reasons[:MOST_REASONS]]
    if len(reasons) > MOST_REASONS:
        shown.append(Markup("<li>{} more</li>").format(len(reasons) - MOST_REASONS))
    return Markup('<ul class="facts">{}</ul>').format(Markup().join(shown)) if shown else Markup()


def _recommendations(health: ModelHealth) -> Section:
    rows = [
        [
            f"{record.made_at:%Y-%m-%d %H:%M}",
            name(record.model_version),
            day(record.learnt_until),
            _changes(record),
        ]
        for record in health.recommendations
    ]
    title = "What weights were recommended?"
    if not rows:
        return Section(
            "recommendations",
            title,
            "None yet; 'healthscore recommend' recommends some and records them.",
        )
    return Section(
        "recommendations",
        title,
        f"{plural(len(rows), 'recommendation')} on record; 'healthscore recommend --history' tells"
        " what came of each.",
        [
            Table(
                "Recommendations, the newest first.",
                ["Made (UTC)", "Version", "Learnt until", "Changes"],
                rows,
            )
        ],
    )


def _changes(record: RecommendationRecord) -> Markup:
    found = []
    # All accounts first, then as the alphabet has it.
    for segment in sorted(record.recommended, key=lambda one: (one != EVERYBODY, one)):
        advised, today = record.recommended[segment], record.today[segment]
        moved = [
            Markup("{} {} → {}").format(name(measure), score(today[measure]), score(weight))
            for measure, weight in advised.items()
            if weight != today[measure]
        ]
        if moved:
            found.append(
                Markup("<li>{}: {}</li>").format(segment_name(segment), Markup(", ").join(moved))
            )
    if not found:
        return Markup("keep every weight")
    if len(found) > MOST_CHANGES:
        more = len(found) - MOST_CHANGES
        found = [*found[:MOST_CHANGES], Markup("<li>and {} more segments</li>").format(more)]
    return Markup('<ul class="facts">{}</ul>').format(Markup().join(found))


def day_of(text: str | None) -> str:
    """Write an ISO date for people."""
    from datetime import date

    return UNKNOWN if text is None else day(date.fromisoformat(str(text)[:10]))
