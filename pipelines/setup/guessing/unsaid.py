"""What tables leave unsaid: when invoices are due, which payments failed, which survey it was."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipelines.setup.guessing.evidence import first_times
from pipelines.setup.guessing.names import COLUMN_NAMES
from pipelines.setup.guessing.sql import base_of, literal, named, read_by
from pipelines.setup.guessing.words import by_name, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

FAILED_WORDS = ("failed", "failure", "declined", "rejected", "unsuccessful", "returned", "error")
"""Of an attempt to pay."""
ATTEMPTS = frozenset({"payment", "payments", "charge", "charges", "attempt", "attempts"})
_PERIOD = frozenset({"month", "period", "monat", "mois", "mes"})
_STATUS = re.compile("(^|_)(status|state|result|outcome)$", re.I)
MADE, FAILED = "payments_tried", "payment_failed"
SURVEYS = {
    "nps": ("nps", "promoter", "recommend"),
    "csat": ("csat", "satisf", "zufrieden"),
    "ces": ("ces", "effort"),
}
"""How a survey, or its score, may be called."""
NPS_TOP, CSAT_TOP = 10, 5
TICKETS_MADE, SCORE, MOST_WORDS = "tickets_rated", "satisfaction_score", 20
_SATISFIED = {
    5: "very good|great|amazing|excellent|very satisfied|good|satisfied|positive|happy"
    "|😀|😃|😍|🙂|👍",
    3: "ok|okay|neutral|fair|average|😐",
    2: "poor|unhappy|dissatisfied|unsatisfied|🙁|☹️",
    1: "bad|terrible|negative|awful|very dissatisfied|😡|😠|👎",
}
SATISFACTION = {word: score for score, words in _SATISFIED.items() for word in words.split("|")}
"""Words for how satisfied somebody was, from 1 to 5."""
NOT_ANSWERED = {"offered", "unoffered", "not offered", "none", "n/a", "no response", "unknown"}
SURVEYS_MADE, KIND = "surveys_of_a_kind", "kind_of_survey"


def tell_failed_payments(guess: TableGuess, source: Source) -> None:
    """Let a payment's day stand for an invoice's, and read from its status whether it failed.

    An attempt fails when it is made. What an invoice has become since is so today, and counts for
    no day of the past.
    """
    table = source.tables[guess.source]
    paid = guess.columns.get("paid_at", "")
    rows = int(table.count().execute())
    if "issued_at" in guess.missing and paid and int(table[paid].count().execute()) == rows:
        guess.missing.remove("issued_at")
        guess.columns = {"issued_at": paid} | {
            name: origin for name, origin in guess.columns.items() if name != "paid_at"
        }
        guess.notes.append(f"each row is a payment of the day {paid}, which stands for issued_at")
    if guess.missing:
        return
    if "due_at" not in guess.columns:
        guess.notes.append(
            "no column says when an invoice is due (due_at), so nothing is said of overdue ones"
        )
        _tell_months(guess, table)
    states = [name for name in table.columns if _STATUS.search("_".join(words_of(name)))]
    states = [name for name in states if table[name].type().is_string() and name in guess.unused]
    failing = {name: _failures(source, guess.source, name) for name in states}
    state = next((name for name in states if failing[name]), None)
    if state is None or guess.columns.get("failed"):
        return
    issued = set(words_of(guess.columns["issued_at"]))
    of_attempts = bool(ATTEMPTS & (issued | set(words_of(guess.source))))
    if not of_attempts or {"due_at", "paid_at"} & set(guess.columns):
        guess.notes.append(
            f"{state} says how an invoice stands today, and no column says since when: it is left"
            " out"
        )
        return
    words = ", ".join(map(literal, failing[state]))
    sql = (
        f"SELECT s.*, COALESCE(LOWER(TRIM(s.{named(state)})) IN ({words}), FALSE) AS {FAILED}"
        f" FROM {base_of(guess)} AS s"
    )
    read_by(guess, source, MADE, sql)
    guess.columns["failed"] = FAILED
    guess.notes.append(
        f"a payment whose {state} is {', '.join(failing[state])} failed on the day it was tried"
    )


def _tell_months(guess: TableGuess, table: ir.Table) -> None:
    """Let a sum of a month be known when the month is over, where its date is called a period."""
    issued = guess.columns["issued_at"]
    if not _PERIOD & set(words_of(issued)) or "paid_at" in guess.columns:
        return
    days = first_times(table, [issued])[issued].dropna()
    if len(days) and days.dt.is_month_start.all():
        guess.covers = "month"
        guess.notes.append(f"{issued} stands for a whole month, so a row counts once that is over")


def _failures(source: Source, table: str, name: str) -> list[str]:
    rows = source.tables[table]
    word = rows[name].strip().lower()
    words = rows.select(w=word).filter(lambda t: t.w.isin(FAILED_WORDS)).distinct()
    return sorted(str(each) for each in words.execute()["w"])


def tell_kind_of_survey(guess: TableGuess, source: Source) -> None:
    """Say which survey a table of one kind holds: by what it is called, else by its scale."""
    score = guess.columns.get("score")
    if guess.missing != ["kind"] or not score or guess.view is not None:
        return
    words = [*words_of(guess.source), *words_of(score)]
    called = [kind for kind, names in SURVEYS.items() if any(w.startswith(names) for w in words)]
    kind, why = (called[0], "by its name") if len(called) == 1 else _by_scale(source, guess, score)
    if not kind:
        return
    sql = f"SELECT s.*, {literal(kind)} AS {KIND} FROM {base_of(guess)} AS s"
    read_by(guess, source, SURVEYS_MADE, sql)
    guess.columns["kind"] = KIND
    guess.missing.remove("kind")
    guess.notes.append(f"no column says which survey it was: {why} it is {kind}")


def _by_scale(source: Source, guess: TableGuess, score: str) -> tuple[str, str]:
    """Tell an NPS, from 0 to 10, from a satisfaction up to 5."""
    value = source.tables[guess.source][score].try_cast("float64")
    facts = value.as_table().aggregate(low=value.min(), top=value.max()).execute().iloc[0]
    if facts.isna().any() or facts["low"] < 0:
        return "", ""
    why = f"as {score} runs from {facts['low']:g} to {facts['top']:g}"
    if CSAT_TOP < facts["top"] <= NPS_TOP:
        return "nps", why
    return ("csat", why) if 1 < facts["top"] <= CSAT_TOP else ("", "")


def read_satisfaction(guess: TableGuess, source: Source) -> None:
    """Read words and faces of satisfaction with a ticket as numbers up to 5."""
    table = source.tables[guess.made_from or guess.source]
    named_so = by_name(guess.unused, ("csat", *COLUMN_NAMES["csat"], "rating"))
    if "csat" in guess.columns or named_so is None or not table[named_so].type().is_string():
        return
    word = table[named_so].strip().lower()
    listed = table.select(w=word).filter(lambda t: t.w.notnull() & (t.w != "")).distinct()
    words = {str(each) for each in listed.limit(MOST_WORDS).execute()["w"]}
    if not words & SATISFACTION.keys() or not words <= SATISFACTION.keys() | NOT_ANSWERED:
        return
    cases = " ".join(
        f"WHEN {literal(each)} THEN {SATISFACTION[each]}"
        for each in sorted(words & SATISFACTION.keys())
    )
    sql = f"SELECT s.*, CASE LOWER(TRIM(s.{named(named_so)})) {cases} END AS {SCORE}"
    read_by(guess, source, TICKETS_MADE, f"{sql} FROM {base_of(guess)} AS s")
    guess.columns["csat"] = SCORE
    guess.unused.remove(named_so)
    guess.notes = [note for note in guess.notes if "is there for csat" not in note]
    known = sorted(words & SATISFACTION.keys())
    told = ", ".join(f"{each} is {SATISFACTION[each]}" for each in known)
    guess.notes.append(f"{named_so} is satisfaction in words, of which {told}")
