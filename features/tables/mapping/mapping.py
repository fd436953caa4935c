"""How a user's tables and columns map to the contract."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from features.errors import nearest
from features.tables.mapping.contract import CONTRACT
from features.tables.mapping.ends import Period
from features.tables.mapping.frozen import Frozen as Frozen
from features.tables.mapping.keep import Condition

SUMMED_UP = ("usage_events", "snapshots", "invoices")
"""Tables whose rows may sum up a time."""


class AccountVia(Frozen):
    """Where to find the account of a table that only knows, say, a subscription.

    Parameters
    ----------
    table : str
        Source table that holds both the key and the account, by its name in the source.
    key : str
        Column of ``table`` that names its rows.
    on : str or None
        Column here that holds such keys; it is called as ``key`` when left out.
    account_id : str
        The account's column in ``table``.
    """

    table: str
    key: str
    on: str | None = None
    account_id: str = "account_id"

    @property
    def own(self) -> str:
        """The column here that holds keys of the other table."""
        return self.on or self.key


class TableMapping(Frozen):
    """Which source table and columns fill one contract table.

    Parameters
    ----------
    source : str or None
        Name of the source table (in TOML: ``from``); the contract's own name when left out.
    columns : dict of str to str
        Contract column to source column. A contract column that is not named here is taken from
        a source column of the same name, if there is one; an empty text switches it off.
    account_via : AccountVia or None
        How to find the account where the table does not carry it.
    attributes : tuple of str
        For ``accounts``: source columns that describe an account (plan, industry …). They become
        profile signals and may name segments. Each is named on purpose: a column such as
        ``churn_flag`` must never slip in.
    keep : tuple of Condition
        Only rows that pass every one of these count.
    leave_out : tuple of str
        For ``accounts``: ids, names or domains of those that are no customers, such as one's own.
    copies : {"drop", "keep"} or None
        Whether rows that are alike in every column count once; by default they do, but for events.
    covers : {"week", "month", "quarter"} or None
        For ``usage_events`` and ``snapshots``: that a row sums up the time that begins with its
        own. It is dated by the last day of it, as nobody knew the sum before that was over.
    watermark : str or None
        A time, date or whole number of the source table that later rows have a later one of: rows
        that MySQL brings are kept by it, and a night brings those that are new or changed.
    """

    source: Annotated[str | None, Field(alias="from")] = None
    columns: dict[str, str] = Field(default_factory=dict)
    account_via: AccountVia | None = None
    attributes: tuple[str, ...] = ()
    keep: tuple[Condition, ...] = ()
    leave_out: tuple[str, ...] = ()
    copies: Literal["drop", "keep"] | None = None
    covers: Period | None = None
    watermark: str | None = Field(None, min_length=1)


class TablesSettings(Frozen):
    """The ``[tables]`` section: one mapping per contract table that the source has."""

    accounts: TableMapping = TableMapping()
    subscriptions: TableMapping | None = None
    usage_events: TableMapping | None = None
    tickets: TableMapping | None = None
    invoices: TableMapping | None = None
    referrals: TableMapping | None = None
    surveys: TableMapping | None = None
    trainings: TableMapping | None = None
    ratings: TableMapping | None = None
    snapshots: TableMapping | None = None
    interventions: TableMapping | None = None
    churn_events: TableMapping | None = None
    labels: TableMapping | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_columns(cls, raw: Any) -> Any:
        """Let column names stand directly under ``[tables.NAME]``, as people write them."""
        if not isinstance(raw, dict):
            return raw
        return {name: _gathered(name, node) for name, node in raw.items()}

    @model_validator(mode="after")
    def _one_source_of_outcomes(self) -> Self:
        if not self.tells_of_churn and self.labels is None:
            raise ValueError(
                "[tables] needs one source of outcomes, subscriptions, churn_events or labels, and"
                " names none; map one of them"
            )
        return self

    @model_validator(mode="after")
    def _one_watermark_a_table(self) -> Self:
        found: dict[str, str] = {}
        for name, mapping in self.mapped().items():
            table, watermark = mapping.source or name, mapping.watermark
            if watermark is not None and found.setdefault(table, watermark) != watermark:
                raise ValueError(
                    f"[tables.{name}] watermark is {watermark[:60]!r}, and that of the same table"
                    f" {table[:60]!r} is {found[table][:60]!r} elsewhere; name one of them"
                )
        return self

    @property
    def watermarks(self) -> dict[str, str]:
        """The column by which rows of a source table are kept, by the table's own name."""
        return {
            mapping.source or name: mapping.watermark
            for name, mapping in self.mapped().items()
            if mapping.watermark is not None
        }

    @property
    def tells_of_churn(self) -> bool:
        """Whether a table says when accounts came and went."""
        return self.subscriptions is not None or self.churn_events is not None

    def mapped(self) -> dict[str, TableMapping]:
        """Return the mappings that are present, in the order of the contract."""
        found = {name: getattr(self, name) for name in CONTRACT}
        return {name: mapping for name, mapping in found.items() if mapping is not None}


def _gathered(table: str, node: Any) -> Any:
    if not isinstance(node, dict) or table not in CONTRACT:
        return node
    known = [column.name for column in CONTRACT[table].all_columns()]
    options = {"from", "source", "columns", "account_via", "keep", "copies", "watermark"}
    # Of other tables they are empty, as settings that were written out have them.
    of_accounts = ("attributes", "leave_out")
    options |= {name for name in of_accounts if table == "accounts" or node.get(name) in ((), [])}
    options |= {"covers"} if table in SUMMED_UP or node.get("covers", "") is None else set()
    named = node.get("columns", {})
    if not isinstance(named, dict):
        return node
    beside = {key: value for key, value in node.items() if key not in options}
    for key in (*named, *beside):
        if key not in known:
            raise ValueError(
                f"[tables.{table}] has no column or option {str(key)[:60]!r}"
                f"{nearest(str(key), [*known, *options]) or '; known are ' + ', '.join(known)}"
            )
    rest = {key: value for key, value in node.items() if key in options}
    return {**rest, "columns": {**named, **beside}}
