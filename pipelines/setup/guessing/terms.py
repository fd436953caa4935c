"""Terms of contracts that have a row each: a term renews a fixed time after it began.

An end may be moved on while a contract runs, or overwritten when an account leaves, and then says
of past dates what nobody knew. Terms of one kind that follow one another are as long as most of
them are, so that their start alone tells when each was to renew.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from features.sources.files.plain_forms import without_none
from pipelines.setup.guessing.evidence import first_times, time_columns
from pipelines.setup.guessing.sql import base_of, day_of, literal, named, read_by

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

BEGINS, ENDS, RENEWS = "term_begins", "term_ends", "term_renews"
MADE = "contracts_with_terms"
NEXT_DAYS = (-1, 7)
"""Days from the end of a contract to the start of the one that follows it."""
YEAR, QUARTER, DAYS_OF_MONTH, NEAR_DAYS = 12, 3, 30.4375, 3
"""Terms are whole quarters, up to three days."""
FEWEST_FOLLOWED, MANY, MOSTLY, NEARLY_ALL = 5, 0.25, 0.8, 0.95
SEVERAL, RARELY, LATE_DAYS = 0.1, 0.02, 31
"""Shares of contracts over several terms, and of those that were agreed for as long."""
THIRD = 1 / 3
NO_DATE = "CAST(NULL AS DATE)"
_WHO, _BETWEEN = "account_and_word", "\x1f"


def take_term_end(guess: TableGuess, source: Source, owners: Collection[str]) -> None:
    """Take a time that every row has for the end of a term, where terms last whole quarters.

    An end that is moved on with each renewal would say how long an account stays: the terms of each
    must follow one another, or all last alike.

    Parameters
    ----------
    guess : TableGuess
        Of contracts.
    source : Source
        Where they are.
    owners : collection of str
        Columns that point at what may be the account.
    """
    start = guess.columns.get("started_at")
    if start is None or {"ended_at", "renewal_at"} & set(guess.columns):
        return
    table = source.tables[guess.source]
    for name in time_columns(table, guess.unused):
        ends = first_times(table, [start, name]).set_axis(["start", "end"], axis=1)
        if not len(ends) or ends.isna().any(axis=None) or not _are_whole_quarters(ends):
            continue
        follow = (are_followed(terms_of(table, each, start, name)).sum() for each in owners)
        if _lengths(ends).nunique() == 1 or any(count >= FEWEST_FOLLOWED for count in follow):
            guess.columns |= {"ended_at": "", "renewal_at": name}
            guess.unused.remove(name)
            guess.notes.append(
                f"{name} lies whole quarters after {start}, so it is taken as the end"
                " of a term (renewal_at)"
            )
            return


def terms_of(
    table: ir.Table, account: str, start: str, end: str, word: str | None = None
) -> pd.DataFrame:
    """Return the first contracts as ``account``, ``start``, ``end`` and ``word``, in lower case."""
    said = table[account].cast("string").concat(_BETWEEN)
    if word is not None:
        # Blanks alone, as what is written below does.
        words = table[word].cast("string").re_replace("^ +| +$", "").lower()
        said = said.concat(words.fill_null(""))
    rows = first_times(table.mutate(**{_WHO: said}), [start, end], _WHO)
    rows = rows.rename(columns={start: "start", end: "end"}).dropna(subset=["account", "start"])
    parts = rows["account"].astype("string").str.extract(f"(?s)^(.*){_BETWEEN}(.*)$")
    return rows.assign(account=parts[0], word=parts[1]).reset_index(drop=True)


def are_followed(terms: pd.DataFrame) -> pd.Series[bool]:
    """Whether the account's next contract begins where each ends."""
    rows = terms.reset_index()
    pairs = rows.merge(rows[["index", "account", "start"]], on="account")
    days = (pairs["start_y"] - pairs["end"]).dt.days
    at_once = days.between(*NEXT_DAYS) & (pairs["index_x"] != pairs["index_y"])
    return rows["index"].isin(pairs.loc[at_once, "index_x"])


def tell_renewals(guess: TableGuess, source: Source, end: str) -> None:
    """Work out when terms were to renew, where none says so and they follow one another.

    Parameters
    ----------
    guess : TableGuess
        Of contracts.
    source : Source
        Where they are.
    end : str
        The source column in which terms end.
    """
    table = source.tables[guess.made_from or guess.source]
    account, start = guess.columns.get("account_id"), guess.columns.get("started_at")
    kind = guess.columns.get("billing_period") or None
    if account is None or start is None or guess.columns.get("renewal_at"):
        return
    if not {account, start, end, *([kind] if kind else [])} <= set(table.columns):
        return
    terms = terms_of(table, account, start, end, kind)
    day = day_of(table, start, source)
    months = _months(terms, all_must_end=kind is None) if day is not None else {}
    # An end that a status calls over is planned where it does not, and tells no term of others.
    if day is not None and not months and guess.columns.get("ended_at") == end:
        lengths = _anniversaries(terms)
        if lengths:
            _part_into_terms(guess, source, (day, end, kind), lengths)
            return
    if kind is not None and months:
        written = _written(kind)
        cases = " ".join(
            f"WHEN {written} = {literal(word)} THEN {day} + INTERVAL {length} MONTH"
            for word, length in months.items()
        )
        value = f"CASE {cases} END"
        lasting = ", ".join(
            f"{n} months where {kind} is {word or 'empty'}" for word, n in months.items()
        )
    elif months:
        value, lasting = f"{day} + INTERVAL {months['']} MONTH", f"{months['']} months"
    elif guess.a_row_a_term and _are_whole_quarters(terms):
        value, lasting = f"s.{named(end)}", f"whole quarters, so that {end} was agreed beforehand"
    else:
        return
    read_by(guess, source, MADE, f"SELECT s.*, {value} AS {RENEWS} FROM {base_of(guess)} AS s")
    guess.columns["renewal_at"] = RENEWS
    guess.notes.append(
        f"terms of one account follow one another, so each renews as long after {start} as such"
        f" terms last: {lasting}"
    )


def renew_on_anniversaries(guess: TableGuess, source: Source) -> None:
    """Replace a renewal that is moved on whenever it has come: it tells who has stayed.

    Where a contract has one row for all its years, its next renewal is that of today. Contracts are
    read as terms instead, or the renewal is left out where its term is not told.

    Parameters
    ----------
    guess : TableGuess
        Of contracts.
    source : Source
        Where they are.
    """
    table = source.tables[guess.made_from or guess.source]
    account, start = guess.columns.get("account_id"), guess.columns.get("started_at")
    renewal, end = guess.columns.get("renewal_at"), guess.columns.get("ended_at") or None
    kind = guess.columns.get("billing_period") or None
    named_so = {each for each in (account, start, renewal, end, kind) if each is not None}
    if not account or not start or not renewal or not named_so <= set(table.columns):
        return
    running = table if end is None else table.filter(_is_without(table[end]))
    lengths = _moved_on(
        *(terms_of(rows, account, start, renewal, kind) for rows in (table, running))
    )
    if lengths is None:
        return
    day = day_of(table, start, source)
    del guess.columns["renewal_at"]
    guess.notes = [note for note in guess.notes if "renewal_at" not in note]
    guess.notes.append(
        f"{renewal} is moved on with each renewal, so it says what is so today and is no renewal of"
        " the past: it is left out"
    )
    if day is not None and lengths:
        due = day_of(table, renewal, source) or NO_DATE
        _part_into_terms(guess, source, (day, end, kind), lengths, due)


def _moved_on(terms: pd.DataFrame, running: pd.DataFrame) -> dict[str, int] | None:
    """Return the months of a term by kind; None where renewals stay as they were agreed.

    What was agreed for several terms at once reaches further than one beyond the newest contract,
    where it was agreed lately. That contract may be old: renewals of those that run lie within one
    term then. Where many of these have come, nobody moved them on.
    """
    terms, running = (each.dropna(subset=["start", "end"]) for each in (terms, running))
    newest, found, several, beyond = terms["start"].max(), {}, 0, 0
    many_came = (running["end"] <= newest).mean() > THIRD
    if many_came or are_followed(terms).sum() >= FEWEST_FOLLOWED:
        return None
    for word, part in terms.groupby("word"):
        months = next((each for each in (YEAR, YEAR // 2, QUARTER, 1) if _are_whole(part, each)), 0)
        if not months:
            return None
        later = part[_lengths(part) > months]
        several += len(later)
        days = months * DAYS_OF_MONTH + LATE_DAYS
        if not _lie_within(running.loc[running["word"] == word, "end"], days):
            beyond += int(((later["end"] - newest).dt.days > days).sum())
        if months >= QUARTER:
            found[str(word)] = months
    if several < max(2 * FEWEST_FOLLOWED, SEVERAL * len(terms)) or beyond > RARELY * several:
        return None
    return found if len(found) == terms["word"].nunique() else {}


def _lie_within(times: pd.Series[Any], days: float) -> bool:
    """Whether nearly all of several times lie within so many days."""
    rare = int(np.ceil(RARELY * len(times)))
    inner = times.sort_values()[rare:-rare]
    return len(inner) >= FEWEST_FOLLOWED and bool((inner.iloc[-1] - inner.iloc[0]).days <= days)


def _is_without(end: ir.Value) -> ir.BooleanValue:
    return (without_none(end, may_be_open=True) if end.type().is_string() else end).isnull()


def _are_whole(terms: pd.DataFrame, months: int) -> bool:
    """Whether contracts last whole multiples of so many months."""
    whole = (_lengths(terms) / months).round() * months
    return bool(((_days_off(terms, whole) <= NEAR_DAYS) & (whole > 0)).mean() >= MOSTLY)


def _anniversaries(terms: pd.DataFrame) -> dict[str, int]:
    """Return after how many months contracts of each kind may end: those that run on over years."""
    found = {}
    if terms["end"].notna().mean() >= NEARLY_ALL or are_followed(terms).sum() >= FEWEST_FOLLOWED:
        # An end of a contract that runs is planned; what gives way to the next is a term already.
        return {}
    for word, part in terms.groupby("word"):
        ended = part[part["end"].notna()]
        for length in (YEAR, YEAR // 2, QUARTER):
            whole = (_lengths(ended) / length).round() * length
            if len(ended) < FEWEST_FOLLOWED or not (whole > length).any():
                continue
            if length < YEAR and (whole % (2 * length) == 0).all():
                # All of them are of the longer term, if of any.
                continue
            if ((_days_off(ended, whole) <= NEAR_DAYS) & (whole > 0)).mean() >= MOSTLY:
                found[str(word)] = length
                break
    return found


def _part_into_terms(
    guess: TableGuess,
    source: Source,
    columns: tuple[str, str | None, str | None],
    months: dict[str, int],
    due: str = NO_DATE,
) -> None:
    """Read a contract that runs on as terms, each of which renews when the next one begins.

    A renewal that is moved on tells which term runs, however old the newest contract is; a term
    that has not begun runs for nobody.
    """
    day, end, kind = columns
    table = source.tables[guess.made_from or guess.source]
    ends = NO_DATE if end is None else day_of(table, end, source)
    if ends is None:
        return
    if kind is None:
        term = f"INTERVAL {months['']} MONTH"
    else:
        written = _written(kind)
        cases = " ".join(
            f"WHEN {written} = {literal(word)} THEN INTERVAL {length} MONTH"
            for word, length in months.items()
        )
        term = f"CASE {cases} END"
    read_by(
        guess,
        source,
        MADE,
        f"WITH t AS (SELECT s.*, {day} AS first_day, {ends} AS last_day, {term} AS lasts,"
        f" {due} - {term} + INTERVAL {NEAR_DAYS + 1} DAY AS runs_on FROM {base_of(guess)} AS s),"
        " known AS (SELECT MAX(CASE WHEN last_day > first_day THEN last_day ELSE first_day END) AS"
        " newest FROM t), s AS (SELECT t.*, COALESCE(last_day, CASE WHEN runs_on > newest AND"
        f" runs_on <= CURRENT_DATE + INTERVAL {NEAR_DAYS + 1} DAY THEN runs_on ELSE newest END) AS"
        " goes_to FROM t CROSS JOIN known),"
        " d AS (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL"
        " SELECT 3), n AS (SELECT a.k + 4 * b.k + 16 * c.k AS k FROM d AS a CROSS JOIN d AS b"
        " CROSS JOIN d AS c) SELECT s.*, CAST(CASE WHEN n.k = 0 THEN first_day ELSE"
        f" first_day + lasts * n.k END AS DATE) AS {BEGINS}, CAST(CASE WHEN first_day + lasts *"
        " (n.k + 1) < goes_to THEN first_day + lasts * (n.k + 1) ELSE last_day"
        f" END AS DATE) AS {ENDS}, CAST(first_day + lasts * (n.k + 1) AS DATE) AS {RENEWS} FROM s"
        " JOIN n ON n.k = 0 OR first_day + lasts * n.k < goes_to",
    )
    guess.columns |= {"started_at": BEGINS, "ended_at": ENDS, "renewal_at": RENEWS}
    kinds = {word: f" where {kind} is {word or 'empty'}" if kind else "" for word in months}
    lasting = ", ".join(f"{n} months{kinds[word]}" for word, n in months.items())
    guess.notes.append(
        f"contracts run on and end on whole terms alone, so that each renews after every {lasting}"
    )


def _written(kind: str) -> str:
    """Return the word of :func:`terms_of`, SQL."""
    return f"COALESCE(LOWER(TRIM(CAST(s.{named(kind)} AS TEXT))), '')"


def end_where_none_follows(guess: TableGuess, source: Source) -> None:
    """Let every term end, where all have an end and many gave way to the account's next one.

    Whoever signs no further term has left.
    """
    table = source.tables[guess.made_from or guess.source]
    account, start = guess.columns.get("account_id"), guess.columns.get("started_at")
    end = guess.columns.get("renewal_at")
    if guess.columns.get("ended_at") or account is None or start is None or end is None:
        return
    if not {account, start, end} <= set(table.columns):
        return
    terms = terms_of(table, account, start, end)
    followed = int(are_followed(terms).sum())
    if terms["end"].isna().any() or followed < max(FEWEST_FOLLOWED, MANY * len(terms)):
        return
    guess.a_row_a_term = True
    guess.columns["ended_at"] = end
    del guess.columns["renewal_at"]
    guess.notes = [note for note in guess.notes if "(renewal_at)" not in note]
    guess.notes.append(
        f"{end} ends each term, and {followed / len(terms):.0%} of them give way to the account's"
        " next one: who signs none has left"
    )
    tell_renewals(guess, source, end)


def _months(terms: pd.DataFrame, *, all_must_end: bool) -> dict[str, int]:
    """Return how many months the terms of each kind last; only of kinds that follow on."""
    if all_must_end and (not len(terms) or terms["end"].notna().mean() < NEARLY_ALL):
        return {}
    found = {}
    for word, part in terms.assign(followed=are_followed(terms)).groupby("word"):
        ended = part[part["end"].notna()]
        if ended["followed"].sum() < FEWEST_FOLLOWED:
            continue
        usual = int(_lengths(ended).mode().iloc[0])
        near = _days_off(ended, usual) <= NEAR_DAYS
        if usual and usual % QUARTER == 0 and near.mean() >= MOSTLY:
            found[str(word)] = usual
    return found


def _are_whole_quarters(terms: pd.DataFrame) -> bool:
    quarters = (_lengths(terms) / QUARTER).round() * QUARTER
    near = _days_off(terms, quarters) <= NEAR_DAYS
    return bool((near & (quarters > 0)).mean() >= NEARLY_ALL)


def _lengths(terms: pd.DataFrame) -> pd.Series[float]:
    """Return how many months terms last, rounded."""
    return ((terms["end"] - terms["start"]).dt.days / DAYS_OF_MONTH).round()


def _days_off(terms: pd.DataFrame, months: pd.Series[float] | int) -> pd.Series[float]:
    """Return by how many days terms last longer or shorter than so many months."""
    import pandas as pd

    start, end = (terms[name].dt.tz_localize(None) for name in ("start", "end"))
    whole = start.dt.to_period("M") + np.asarray(months).astype(int)
    due = whole.dt.to_timestamp() + pd.to_timedelta(start.dt.day - 1, unit="D")
    days: pd.Series[float] = (end - due).dt.days.abs()
    return days
