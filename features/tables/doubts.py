"""What may make rows wrong business: currencies, void invoices, odd or overlapping contracts."""

from __future__ import annotations

import re
from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.errors import sample
from features.sources.files.plain_forms import without_missing_words
from features.tables.cleaning import CleanTable
from features.tables.mapping.finding import Finding

_CURRENCY = re.compile(
    r"(^|_)(currency|ccy|iso_currency|devise|divisa|moneda|valuta|währung)(_|$)", re.I
)
_STATUS = re.compile(r"(^|_)(status|state|statut|estado|stato)$", re.I)
VOID_WORDS = (
    *("void", "voided", "draft", "deleted", "cancelled", "canceled", "credited", "reversed"),
)
"""Of an invoice: nobody owes it. One that was given up was owed, and is no such."""
NEVER_PAID_WORDS = (
    *("incomplete", "incomplete_expired", "trial", "trialing", "trialling", "in_trial"),
    *("on_trial", "trial_ended", "trial_expired", "draft", "pending", "future"),
)
"""Of a contract: it never began."""
_ROWS_OWN = frozenset({
    "status", "state", "statut", "estado", "stato", "subscription", "contract", "license",
    "membership", "sub", "invoice", "bill", "row", "record",
})  # fmt: skip
"""Words of a column that says what a row itself is, and not how paying, health or risk stand."""
MONEY = ("mrr", "amount")
# Nobody signs for so long; such dates stand for a contract without an end.
LONGEST_TERM_DAYS = 3650
SECONDS_OF_MONTH = 30.4375 * 86_400
USUAL, SEVERAL, FEWEST_MOVED = 0.02, 0.1, 10
"""Shares of contracts whose term is one of several, and of those over more than one."""
FEWEST_MONTHS = 3
OFTEN = 0.5


def row_doubts(table: CleanTable) -> list[Finding]:
    """List what a person should look at."""
    doubts = _currencies(table)
    if table.contract.name == "invoices":
        doubts += _void_invoices(table) + _months_or_days(table)
    if table.contract.name == "subscriptions":
        doubts += _side_by_side(table) + _odd_terms(table)
    return doubts


def _currencies(table: CleanTable) -> list[Finding]:
    # A currency that is mapped is one, or amounts were converted.
    is_settled = table.has("currency") or not any(table.has(name) for name in MONEY)
    if table.source is None or is_settled:
        return []
    doubts = []
    for name in table.source.columns:
        if not _CURRENCY.search(name) or not table.source[name].type().is_string():
            continue
        code = without_missing_words(table.source[name]).strip().upper()
        codes = table.source.group_by(code=code).aggregate(n=table.source.count())
        codes = codes.filter(codes.code.notnull())
        several = codes.order_by("code").limit(9).execute()["code"].tolist()
        if len(several) > 1:
            money = next(money for money in MONEY if table.has(money))
            text = (
                f"column {sample([name])} holds several currencies, {sample(several)}, and sums of"
                f" {money} mix them; map it as currency and give [rates], or keep one currency"
            )
            doubts.append(Finding("currencies-mixed", text))
    return doubts


def status_columns(source: ir.Table, refused: tuple[str, ...] = VOID_WORDS) -> dict[str, list[str]]:
    """Find columns that say that a row is void, and the words they say it with.

    Only what a row itself is leaves it out: whose last payment failed is about to leave.
    """
    found: dict[str, list[str]] = {}
    for name in source.columns:
        if not is_own_status(name) or not source[name].type().is_string():
            continue
        word = without_missing_words(source[name]).strip().lower()
        words = source.select(word=word).filter(lambda t: t.word.isin(refused)).distinct()
        listed = words.order_by("word").execute()["word"].tolist()
        if listed:
            found[name] = listed
    return found


def is_own_status(name: str) -> bool:
    """Whether a column is called as the status of its row.

    Examples
    --------
    >>> is_own_status("subscriptionStatus"), is_own_status("last_payment_status")
    (True, False)
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return bool(_STATUS.search(parted)) and {*re.findall("[a-z]+", parted)} <= _ROWS_OWN


def _void_invoices(table: CleanTable) -> list[Finding]:
    if table.source is None:
        return []
    doubts = []
    for name, words in status_columns(table.source).items():
        quoted = ", ".join(f'"{word}"' for word in words)
        text = (
            f"invoices whose {name} is {sample(words)} count as open; leave them out with"
            f' keep = [{{ column = "{name}", not_in = [{quoted}] }}] under [tables.invoices]'
        )
        doubts.append(Finding("void-invoices", text))
    return doubts


def _months_or_days(table: CleanTable) -> list[Finding]:
    """Say that the first of a month may stand for the month, whose sum is known at its end."""
    has_days = table.has("due_at") or table.has("paid_at")
    if has_days or not table.has("amount", "issued_at"):
        return []
    rows = table.cleaned
    first = rows.issued_at == rows.issued_at.truncate("M")
    each = rows.group_by("account_id").aggregate(
        n=rows.count(),
        months=rows.issued_at.nunique(),
        sums=rows.amount.nunique(),
        odd=(~first).sum(),
    )
    regular = (each.n >= FEWEST_MONTHS) & (each.months == each.n)
    facts = each.aggregate(
        rows=each.n.sum(),
        odd=each.odd.sum(),
        changing=each.n.sum(where=regular & (each.sums >= OFTEN * each.n)),
    )
    row = facts.execute().iloc[0].fillna(0)
    # What is the same month after month was known before any of them.
    if not row["rows"] or row["odd"] or row["changing"] < OFTEN * row["rows"]:
        return []
    text = (
        f"all {int(row['rows']):,} invoices are dated by the first of a month and their amounts"
        " change from month to month: if an amount is of the month that begins on that day, it is"
        ' known too early; set covers = "month" under [tables.invoices]'
    )
    return [Finding("months-or-days", text)]


def _side_by_side(table: CleanTable) -> list[Finding]:
    """Count contracts of one account that overlap another of the same price and plan."""
    if not table.has("mrr", "ended_at"):
        return []
    rows = table.cleaned
    same = ["account_id", "mrr", *(["plan"] if table.has("plan") else [])]
    order = ibis.window(group_by=same, order_by="started_at")
    ends = rows.mutate(before=rows.ended_at.lag().over(order), place=ibis.row_number().over(order))
    over = (ends.place > 0) & (ends.before.isnull() | (ends.before > ends.started_at))
    count = int(ends.filter(over & (ends.mrr > 0)).count().execute())
    if not count:
        return []
    text = (
        f"{count:,} contracts run beside another of the same account, MRR and plan, and their MRR"
        " is added; if they are versions of one, keep the last"
    )
    return [Finding("contracts-side-by-side", text)]


def _odd_terms(table: CleanTable) -> list[Finding]:
    """Count contracts that renew as they begin, or so late that the date stands for none."""
    if not table.has("renewal_at", "started_at"):
        return []
    rows = table.cleaned
    seconds = rows.renewal_at.epoch_seconds() - rows.started_at.epoch_seconds()
    counted = rows.aggregate(
        empty=(seconds <= 0).sum(), endless=(seconds >= LONGEST_TERM_DAYS * 86_400).sum()
    ).execute()
    # A sum over nothing is missing.
    empty, endless = (int(n) for n in counted.iloc[0].fillna(0))
    said = [
        (
            empty,
            "renew on the day they begin or before: accounts count as free to leave at any time",
        ),
        (endless, "run for ten years or more: accounts count as bound until then"),
    ]
    return [
        Finding("terms-unlikely", f"{n:,} contracts {what}; correct renewal_at or leave it empty")
        for n, what in said
        if n
    ]


def moved_renewals(table: CleanTable, end: date) -> list[Finding]:
    """Doubt renewals that lie several terms after the start, and hardly ever several terms ahead.

    What was agreed for years at once was agreed lately by some; few dates are typed wrongly.

    Parameters
    ----------
    table : CleanTable
        Of contracts.
    end : date
        The day after the last row of the company.
    """
    if not table.has("renewal_at", "started_at"):
        return []
    rows = table.cleaned
    seconds = rows.renewal_at.epoch_seconds() - rows.started_at.epoch_seconds()
    rows = rows.mutate(months=(seconds / SECONDS_OF_MONTH).round(0).cast("int64"))
    due = (rows.renewal_at.epoch_seconds() / SECONDS_OF_MONTH).round(0).cast("int64")
    rows = rows.mutate(due=due).filter(rows.months.notnull())
    terms = (
        rows.group_by("months", "due")
        .aggregate(n=rows.count(), last=rows.renewal_at.max())
        .execute()
    )
    alike = terms.groupby("months")["n"].transform("sum")
    usual = terms[(terms["months"] > 0) & (alike >= USUAL * terms["n"].sum())]
    if usual.empty:
        return []
    term = usual["months"].min()
    several = terms[terms["months"] >= 2 * term]
    count = int(several["n"].sum())
    ahead = pd.Timestamp(end) + pd.Timedelta(seconds=(term + 1) * SECONDS_OF_MONTH)
    beyond = int(several.loc[several["last"] > ahead, "n"].sum())
    if count < max(FEWEST_MOVED, SEVERAL * terms["n"].sum()) or beyond > USUAL * count:
        return []
    text = (
        f"{count:,} contracts renew several terms after they began, and {beyond or 'none'} more"
        " than one term ahead: a renewal that is moved on whenever it has come tells the past who"
        " has stayed; leave renewal_at out, or list each term as a row"
    )
    return [Finding("renewals-moved-on", text)]
