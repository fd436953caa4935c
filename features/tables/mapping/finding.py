"""Findings: what a person should know of a table before believing it, under codes that stay."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import field_validator

from features.errors import nearest, sample
from features.tables.mapping.contract import CONTRACT
from features.tables.mapping.frozen import Frozen

Code = Literal[
    "attributes-of-today",
    "before-account",
    "contracts-side-by-side",
    "copies-counted",
    "copies-left-out",
    "credit-notes",
    "currencies-mixed",
    "ends-before-start",
    "events-repeated",
    "future-times",
    "infinite-values",
    "labels-empty",
    "labels-undated",
    "last-day-unclear",
    "levels-many",
    "months-or-days",
    "negative-values",
    "no-account",
    "no-amount",
    "no-due-date",
    "no-end-written",
    "no-time",
    "renewals-moved-on",
    "rows-left-out",
    "stray-rows",
    "table-ends-early",
    "terms-unlikely",
    "ticket-versions",
    "undated-repeats",
    "undated-values",
    "unknown-accounts",
    "unreadable-values",
    "void-invoices",
    "without-contract",
    "zones-mixed",
]
CODES: tuple[str, ...] = get_args(Code)
Severity = Literal["serious", "warning", "note"]
SERIOUS = {
    *("contracts-side-by-side", "currencies-mixed", "events-repeated", "last-day-unclear"),
    *("table-ends-early", "undated-values", "void-invoices"),
}
"""What makes numbers wrong as long as nobody decides."""
NOTES = {
    *("copies-left-out", "credit-notes", "future-times", "no-end-written", "rows-left-out"),
    *("stray-rows", "ticket-versions"),
}
"""What was settled by a rule."""


@dataclass(frozen=True)
class Finding:
    """One kind of doubt about one table.

    Parameters
    ----------
    code : str
        One of :data:`CODES`; the manual has a section for each.
    text : str
        What was seen and what becomes of it, with its count.

    Examples
    --------
    >>> Finding("void-invoices", "invoices whose status is 'void' count as open").severity
    'serious'
    """

    code: Code
    text: str

    @property
    def severity(self) -> Severity:
        """Whether numbers are wrong, may be, or are not."""
        if self.code in SERIOUS:
            return "serious"
        return "note" if self.code in NOTES else "warning"

    def is_muted(self, table: str, muted: Collection[str]) -> bool:
        """Tell whether it is to be left out, everywhere or of this contract table."""
        return self.code in muted or f"{table}.{self.code}" in muted


class CheckSettings(Frozen):
    """The ``[check]`` section: findings that a person has seen and wants to hear of no more.

    Parameters
    ----------
    mute : tuple of str
        Codes, such as "void-invoices", or codes of one table: "tickets.before-account".
    """

    mute: tuple[str, ...] = ()

    @field_validator("mute")
    @classmethod
    def _are_said(cls, mute: tuple[str, ...]) -> tuple[str, ...]:
        for entry in mute:
            table, _, code = entry.rpartition(".")
            if code not in CODES:
                hint = nearest(code, CODES) or "; healthscore check shows the code of each finding"
                raise ValueError(f"names {sample([entry])}, and there is no such code{hint}")
            if table and table not in CONTRACT:
                hint = nearest(table, CONTRACT) or "; before the point stands a contract table"
                raise ValueError(f"names {sample([entry])}, and there is no such table{hint}")
        return mute
