"""Who has left, where contracts do not say it alone: dates of churn, statuses beside ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from features.packs.values import flag
from features.sources.files.plain_forms import without_none
from features.tables.doubts import is_own_status
from features.tables.mapping.ends import NO_END
from pipelines.setup.guessing.columns import PERIOD_ENDS, TableGuess
from pipelines.setup.guessing.evidence import FEWEST_ROWS, MOST_ROWS, first_times, time_columns
from pipelines.setup.guessing.keys import Keys
from pipelines.setup.guessing.sql import base_of, literal, named, read_by
from pipelines.setup.guessing.terms import (
    are_followed,
    end_where_none_follows,
    renew_on_anniversaries,
    tell_renewals,
    terms_of,
)
from pipelines.setup.guessing.words import plain, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

_LEFT = re.compile(r"(^|_)(churn\w*|cancel\w*|left|terminat\w*|offboard\w*|attrit\w*)(_|$)", re.I)
_NOT_YET = re.compile("request|notice|risk|pre|prob|score|will|schedul|reason|predict", re.I)
ENDED_WORDS = frozenset({
    "cancelled", "canceled", "churned", "ended", "expired", "terminated", "closed", "inactive",
    "lost", "left", "not renewed", "non-renewed", "nonrenewed", "lapsed",
    "gekündigt", "beendet", "nicht verlängert", "résilié", "non renouvelé",
    "cancelado", "cancelada", "baja", "no renovado", "no renovada",
    "opgezegd", "beëindigd", "niet verlengd", "zakończona", "zakończony", "wypowiedziana",
    "nieodnowiona", "disdetto", "disdetta", "non rinnovato", "cessato", "não renovado", "encerrado",
})  # fmt: skip
"""Of a contract: it is over."""
RUNNING_WORDS = frozenset({"active", "live", "running", "current", "aktiv", "activo", "actif"})
"""Of a contract: it runs, so that an end beside it is planned."""
_KIND = re.compile("(^|_)(event|type|action|movement|change|kind)(_|$)", re.I)
MOST_KINDS = 30
FEW = 0.05
OFTEN = 0.5
ENDED = "ended_when_over"
MADE = "contracts_over"


def find_leaving(guesses: dict[str, TableGuess], source: Source, keys: Keys) -> None:
    """Read churn from a date of it, else from a status beside the ends of contracts."""
    _find_leaving(guesses, source, keys)
    if "subscriptions" in guesses and not guesses["subscriptions"].missing:
        renew_on_anniversaries(guesses["subscriptions"], source)


def _find_leaving(guesses: dict[str, TableGuess], source: Source, keys: Keys) -> None:
    contracts = guesses.get("subscriptions")
    if contracts is not None and not contracts.missing and contracts.columns.get("ended_at"):
        end = contracts.columns["ended_at"]
        _prefer_ends(guesses, contracts, source)
        _end_what_is_over(contracts, source)
        tell_renewals(contracts, source, end)
        return
    if not {"churn_events", "labels"} & set(guesses) and "accounts" in guesses:
        for table, account in _reaching(guesses, source, keys):
            churns = _churns(table, account, source.tables[table])
            if churns is None:
                churns = _churns_among_events(table, account, source.tables[table])
                if churns is not None and contracts is not None and contracts.source == table:
                    # A change of a contract is no contract of its own.
                    contracts = None
                    del guesses["subscriptions"]
            if churns is not None:
                guesses["churn_events"] = churns
                _leave_out_written_ends(contracts, churns, source)
                return
    if contracts is not None and not contracts.missing and "churn_events" not in guesses:
        planned = contracts.columns.get("renewal_at")
        _end_what_is_over(contracts, source)
        if planned and contracts.columns.get("ended_at"):
            tell_renewals(contracts, source, planned)
        end_where_none_follows(contracts, source)


def _prefer_ends(guesses: dict[str, TableGuess], contracts: TableGuess, source: Source) -> None:
    """Leave out churns that are of single contracts, where their ends are known.

    An account with another contract that runs has not left, nor one that came back to it.
    """
    churns, own = guesses.get("churn_events"), contracts.made_from or contracts.source
    if churns is None or churns.account_via is None or churns.account_via[0] != own:
        return
    end, table = contracts.columns["ended_at"], source.tables[own]
    ends = int(table[end].count().execute()) if end in table.columns else 0
    if ends < OFTEN * int(source.tables[churns.source].count().execute()):
        return
    del guesses["churn_events"]
    contracts.notes.append(
        f"{churns.source} says when single contracts ended, and so does {end}: an account leaves"
        " with the last of them"
    )


def _reaching(
    guesses: Mapping[str, TableGuess], source: Source, keys: Keys
) -> Iterator[tuple[str, str]]:
    """List tables that name accounts, and the column that does: the accounts' own first."""
    accounts = guesses["accounts"]
    key = accounts.columns.get("account_id")
    if key is None or accounts.view is not None:
        return
    yield accounts.source, key
    for table in source.tables:
        for each in keys.between(table, accounts.source):
            if each.key == key:
                yield table, each.column
                break


def _churns(name: str, account: str, table: ir.Table) -> TableGuess | None:
    """Read the churns of a table that has a date of churn, of those rows that a flag marks."""
    dates = [each for each in time_columns(table) if _is_churn(each)]
    if len(dates) != 1 or account in dates:
        return None
    churns = TableGuess("churn_events", name)
    churns.columns = {"account_id": account, "churned_at": dates[0]}
    flags = [each for each in table.columns if each not in dates and _is_churn(each)]
    flags = [each for each in flags if _tells_apart(table, each)]
    if flags:
        churns.keep = [(flags[0], "is", True)]
    elif 0 < int(table[dates[0]].isnull().sum().execute() or 0) < int(table.count().execute()):
        churns.keep = [(dates[0], "missing", False)]
    else:
        return None
    by = f", of the rows that {flags[0]} marks" if flags else ""
    churns.notes.append(f"{dates[0]} says when an account left{by}, so it is churned_at")
    return churns


def _churns_among_events(name: str, account: str, table: ir.Table) -> TableGuess | None:
    """Read the churns of a ledger: rows that a kind of event calls so, mostly an account's last."""
    times = time_columns(table)
    kinds = [each for each in table.columns if _KIND.search("_".join(words_of(each)))
             and table[each].type().is_string() and each != account]  # fmt: skip
    if len(times) != 1 or len(kinds) != 1:
        return None
    word = table[kinds[0]].strip().lower()
    words = table.select(w=word).filter(lambda t: t.w.notnull()).distinct().limit(MOST_KINDS)
    listed = {str(each) for each in words.execute()["w"]}
    leaving = sorted(each for each in listed if _is_churn(each))
    if not leaving or len(leaving) == len(listed) or len(listed) == MOST_KINDS:
        return None
    last = first_times(table, times, account).groupby("account")[times[0]].max()
    gone = first_times(table.filter(word.isin(leaving)), times, account)
    if not len(gone) or (gone[times[0]] == gone["account"].map(last)).mean() < OFTEN:
        return None
    churns = TableGuess("churn_events", name)
    churns.columns = {"account_id": account, "churned_at": times[0]}
    churns.keep = [(kinds[0], "in", leaving)]
    churns.notes.append(
        f"rows whose {kinds[0]} is {', '.join(leaving)} say when an account left; what it paid"
        " between the others is not worked out"
    )
    return churns


def _is_churn(name: str) -> bool:
    words = "_".join(words_of(name))
    return bool(_LEFT.search(words)) and not _NOT_YET.search(words)


def _tells_apart(table: ir.Table, name: str) -> bool:
    """Whether a column is a flag that some rows have and others lack."""
    kind = table[name].type()
    if not (kind.is_boolean() or kind.is_integer() or kind.is_string()):
        return False
    rows = table.select(v=flag(table[name]), w=table[name].notnull())
    facts = rows.aggregate(
        read=rows.v.notnull().sum(), all=rows.w.sum(), yes=rows.v.cast("int64").sum()
    ).execute()
    read, every, yes = (int(facts[each].iloc[0] or 0) for each in ("read", "all", "yes"))
    return read == every and 0 < yes < read


def _leave_out_written_ends(
    contracts: TableGuess | None, churns: TableGuess, source: Source
) -> None:
    """Leave out a renewal that was overwritten with the day on which an account left."""
    renewal = None if contracts is None else contracts.columns.get("renewal_at")
    account = None if contracts is None else contracts.columns.get("account_id")
    if contracts is None or not renewal or not account or contracts.view is not None:
        return
    left = source.tables[churns.source]
    ends = first_times(source.tables[contracts.source], [renewal], account)
    days = first_times(left, [churns.columns["churned_at"]], churns.columns["account_id"])
    pairs = ends.merge(days, on="account", suffixes=("_end", "_left")).dropna()
    if not len(pairs) or (pairs.iloc[:, 0] == pairs.iloc[:, 2]).mean() < OFTEN:
        return
    del contracts.columns["renewal_at"]
    contracts.notes = [note for note in contracts.notes if "renewal_at" not in note]
    contracts.notes.append(
        f"{renewal} is the day on which an account left, where one did, and is no renewal agreed"
        " beforehand: it is left out"
    )


def _end_what_is_over(guess: TableGuess, source: Source) -> None:
    """Let only those contracts end that a status or a flag calls over."""
    table = source.tables[guess.made_from or guess.source]
    end = guess.columns.get("ended_at")
    origin = end or guess.columns.get("renewal_at") or next(
        (each for each in guess.unused if plain(each) in PERIOD_ENDS), None)  # fmt: skip
    if origin is None or origin not in table.columns or origin not in time_columns(table, [origin]):
        return
    is_planned = guess.columns.get("ended_at") == "" and origin == guess.columns.get("renewal_at")
    if not end and not is_planned and plain(origin) not in PERIOD_ENDS:
        return
    over = _over(table, origin if end else None, _followed(table, guess, origin))
    if over is None:
        return
    column, test = over
    ended = f"CASE WHEN {test} THEN s.{named(origin)} END AS {ENDED}"
    read_by(guess, source, MADE, f"SELECT s.*, {ended} FROM {base_of(guess)} AS s")
    guess.columns["ended_at"] = ENDED
    if not end:
        guess.columns.pop("renewal_at", None)
    guess.notes = [
        note for note in guess.notes if "(renewal_at)" not in note and "renewal of the past" not in
        note
    ]  # fmt: skip
    guess.notes.append(
        f"{origin} ends those contracts that {column} calls over; of the others it is planned, or"
        " moves on, and is left out"
    )


def _followed(table: ir.Table, guess: TableGuess, end: str) -> Callable[[str], set[str]]:
    """Return what lists the words of a status whose contracts gave way to the account's next.

    A contract that was renewed, upgraded or replaced is over on its end as well, whatever it is
    called: the account's next one begins there.
    """
    account, start = guess.columns.get("account_id"), guess.columns.get("started_at")

    def words(status: str) -> set[str]:
        if account is None or start is None or not {account, start} <= set(table.columns):
            return set()
        terms = terms_of(table, account, start, end, status)
        terms["followed"] = are_followed(terms)
        ended = terms[terms["end"].notna() & ~terms["word"].isin(ENDED_WORDS | RUNNING_WORDS)]
        share = ended.groupby("word")["followed"].mean()
        return {str(each) for each in share[share >= OFTEN].index}

    return words


def _over(
    table: ir.Table, end: str | None, followed: Callable[[str], set[str]]
) -> tuple[str, str] | None:
    """Return the column that says which contracts are over, and the test in SQL.

    Where some rows have no end by themselves a status counts only if it contradicts the ends.
    """
    for name in table.columns:
        if not table[name].type().is_string() or not is_own_status(name):
            continue
        word = table[name].strip().lower()
        rows = table.select(w=word, e=table[end].notnull() if end else True)
        counts = rows.group_by("w").aggregate(n=rows.count(), ends=rows.e.sum()).execute()
        words = {str(each) for each in counts["w"].dropna()}
        ended = sorted(words & ENDED_WORDS)
        if not ended or not words - ENDED_WORDS:
            continue
        if end is not None:
            running = counts[counts["w"].isin(RUNNING_WORDS)]["ends"].sum()
            if running < FEW * max(counts["ends"].sum(), 1):
                continue
        listed = ", ".join(map(literal, sorted({*ended, *followed(name)})))
        return name, f"LOWER(TRIM(s.{named(name)})) IN ({listed})"
    if end is not None:
        return None
    for name in table.columns:
        if (
            _is_churn(name)
            and name not in time_columns(table, [name])
            and _tells_apart(table, name)
        ):
            return name, f"LOWER(CAST(s.{named(name)} AS TEXT)) IN ('true', '1', 'yes', 'y', 't')"
    return None


def churn_doubts(guesses: Mapping[str, TableGuess], source: Source) -> list[str]:
    """Say where a draft holds no churn, or nothing but churns: neither can be learnt from."""
    accounts, churns = guesses.get("accounts"), guesses.get("churn_events")
    told = churns or guesses.get("subscriptions")
    if accounts is None or told is None or told.missing or "labels" in guesses:
        return []
    moment = told.columns.get("churned_at" if churns else "ended_at")
    table, named_so = source.tables[told.source], told.made_from or told.source
    rows = int(table.count().execute())
    ends = _count_of_times(table, moment, rows) if moment else 0
    if not ends and rows >= FEWEST_ROWS:
        return [
            f"No account ever leaves in {named_so}: map when contracts ended (ended_at),"
            " churn_events or labels, or set another kind under [outcome]"
        ]
    if churns is None and ends and ends == rows and not told.a_row_a_term:
        return [
            f"Every contract in {named_so} has ended by {moment}: if it is planned, map it as"
            " renewal_at, and say in churn_events who left"
        ]
    return []


def _count_of_times(table: ir.Table, name: str, rows: int) -> int:
    """Count the rows that have a time; what stands for none is seen in tables that are small."""
    if rows <= MOST_ROWS:
        times = first_times(table, [name])[name].dropna()
        return int(((times.dt.year > NO_END[0].year) & (times.dt.year < NO_END[1].year)).sum())
    value = table[name]
    if value.type().is_string():
        value = without_none(value, may_be_open=True)
    return int(value.count().execute())
