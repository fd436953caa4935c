"""Who is linked to whom: by which rule, and the money and churns of what is not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from features.errors import SettingsError
from features.json_values import Json
from pipelines.project.company import open_project_vendors

if TYPE_CHECKING:
    import pandas as pd

    from features.packs.opening import Vendors
    from pipelines.project.project import Project

MOST_EXAMPLES = 5


@dataclass(frozen=True)
class SystemLinks:
    """How one system's keys found accounts.

    Parameters
    ----------
    system : str
        Its section under ``[source]``.
    is_hub : bool
        Whether it says who is an account.
    rules : dict of str to int
        Keys that each rule linked.
    accounts : int
        Accounts that have a key here.
    rows, linked_rows : dict of str to int
        Per contract table its rows, and those of an account.
    running_mrr, linked_mrr : float or None
        MRR of contracts that have not ended, and of those of an account.
    ends, linked_ends : int or None
        Contracts that have ended, and those of an account.
    examples : list of str
        Keys without an account that have rows.
    """

    system: str
    is_hub: bool
    rules: dict[str, int]
    accounts: int
    rows: dict[str, int]
    linked_rows: dict[str, int]
    running_mrr: float | None
    linked_mrr: float | None
    ends: int | None
    linked_ends: int | None
    examples: list[str]


@dataclass(frozen=True)
class LinkReport:
    """What ``healthscore links`` says: one entry per system."""

    systems: list[SystemLinks]

    def to_dict(self) -> Json:
        """Return what ``links --json`` prints."""
        return {"systems": {each.system: asdict(each) for each in self.systems}}


def report_links(project: Project) -> LinkReport:
    """Say how the keys of each vendor found accounts.

    Raises
    ------
    SettingsError
        When the configuration names no vendor.
    DataError
        When a vendor's tables are laid out in another way.
    """
    if not project.settings.source.vendors:
        raise SettingsError(
            f"The configuration '{project.path}' names no vendor, so nothing is linked; add a"
            " section [source.NAME] with pack, or write one with 'healthscore init FOLDER'"
        )
    with open_project_vendors(project) as (_, vendors):
        assert vendors is not None
        return LinkReport([_system(name, vendors) for name in vendors.vendors])


def _system(name: str, vendors: Vendors) -> SystemLinks:
    links = vendors.links[name]
    counted = links.group_by("rule").aggregate(n=links.count(), a=links.account_id.nunique())
    rules = {str(row.rule): int(row.n) for row in counted.execute().itertuples()}
    rows: dict[str, int] = {}
    linked: dict[str, int] = {}
    examples: list[str] = []
    marked = f"{name}:"
    for table in vendors.raw[name]:
        filled = vendors.tables()[f"{name}.{table}"]
        is_linked = filled.account_id.notnull() & ~filled.account_id.startswith(marked)
        row = filled.aggregate(n=filled.count(), linked=is_linked.sum()).execute().iloc[0]
        rows[table], linked[table] = int(row["n"]), int(row["linked"] or 0)
        loose = filled.filter(filled.account_id.startswith(marked)).select("account_id").distinct()
        sample = loose.order_by("account_id").limit(MOST_EXAMPLES).execute()["account_id"]
        examples += [str(key).removeprefix(marked) for key in sample]
    contracts = _contracts(name, vendors)
    return SystemLinks(
        name,
        name == vendors.hub,
        rules,
        int(links.account_id.nunique().execute()),
        rows,
        linked,
        *_money(contracts, marked),
        sorted(set(examples))[:MOST_EXAMPLES],
    )


def _contracts(name: str, vendors: Vendors) -> pd.DataFrame | None:
    if "subscriptions" not in vendors.raw[name]:
        return None
    frame: pd.DataFrame = vendors.tables()[f"{name}.subscriptions"].execute()
    return frame


def _money(
    contracts: pd.DataFrame | None, marked: str
) -> tuple[float | None, float | None, int | None, int | None]:
    if contracts is None:
        return None, None, None, None
    linked = contracts.account_id.notna() & ~contracts.account_id.fillna("").str.startswith(marked)
    ended = contracts.ended_at.notna() if "ended_at" in contracts else contracts.account_id.isnull()
    mrr = contracts.mrr.fillna(0.0) if "mrr" in contracts else linked * 0.0
    return (
        float(mrr[~ended].sum()),
        float(mrr[~ended & linked].sum()),
        int(ended.sum()),
        int((ended & linked).sum()),
    )
