"""A source with its vendors' tables beside its own: ``stripe.subscriptions`` is one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import ibis
import ibis.expr.types as ir

from features.errors import DataError, SettingsError
from features.packs.compiling import Compiler
from features.packs.identity.linking import (
    hub_links,
    known_as,
    links_of,
    one_row_each,
    with_accounts,
)
from features.packs.identity.overrides import read_overrides, refuse_unknown
from features.packs.pack import OWNER, pack_of
from features.packs.recognition import Recognised, refuse_shared, required_tables
from features.packs.values import text_of, words_of
from features.packs.vendors import IdentitySettings, Vendor
from features.packs.verbs import plain
from features.sources.files.domains import clean_domain, with_letters
from features.sources.opening import open_source
from features.sources.source import About, Source, Tables, same_name
from features.tables.mapping.keep import DOMAIN_NAMES
from features.tables.mapping.mapping import TableMapping


@dataclass
class Vendors:
    """The vendors of a source, linked to its accounts.

    Parameters
    ----------
    source : Source
        The opened source.
    vendors : dict of str to Vendor
        Its ``[source.NAME]`` sections.
    identity : IdentitySettings
        How keys find accounts.
    accounts : TableMapping
        Where the accounts come from: ``from = "stripe.accounts"`` makes that vendor the hub.
    folder : Path
        Of the configuration.
    """

    source: Source
    vendors: Mapping[str, Vendor]
    identity: IdentitySettings
    accounts: TableMapping
    folder: Path

    @cached_property
    def hub(self) -> str | None:
        """The vendor that says who is an account; None where a table of one's own does."""
        name, dot, table = (self.accounts.source or "accounts").partition(".")
        return name if dot and table == "accounts" and name in self.vendors else None

    @cached_property
    def recognised(self) -> dict[str, Recognised]:
        """Which tables each vendor's pack reads.

        Raises
        ------
        SettingsError
            When a pack is not there, or two claim one table.
        DataError
            When tables are laid out in another way.
        """
        listed = {}
        for name, vendor in self.vendors.items():
            prefix = f"{name}/" if vendor.url else ""
            names = [each for each in self.source.tables if each.startswith(prefix)]
            listed[name] = required_tables(
                pack_of(vendor.pack, self.folder),
                names,
                lambda each: tuple(self.source.tables[each].columns),
                vendor.tables,
                f"source.{name}",
            )
        refuse_shared(list(listed.values()))
        return listed

    @cached_property
    def compilers(self) -> dict[str, Compiler]:
        """What each pack says over its tables."""
        compilers = {}
        for name, found in self.recognised.items():
            vendor = self.vendors[name]
            tables = {key: self.source.tables[table] for key, table in found.tables.items()}
            compilers[name] = Compiler(
                found.pack,
                tables,
                f"source.{name}",
                currency=vendor.currency or "",
                rates=vendor.rates,
                external=vendor.external_id,
                trials=vendor.trials,
            )
        return compilers

    @cached_property
    def handles(self) -> dict[str, ir.Table | None]:
        """How the keys of each vendor may be known elsewhere."""
        tables = {name: compiler.handles() for name, compiler in self.compilers.items()}
        kept = {name: self._kept(f"handles_{name}", rows) for name, rows in tables.items()}
        return {
            n: rows if rows is None else with_letters(rows, "value") for n, rows in kept.items()
        }

    @cached_property
    def raw(self) -> dict[str, dict[str, ir.Table]]:
        """Contract tables of each vendor, under the vendor's own keys."""
        return {name: compiler.tables() for name, compiler in self.compilers.items()}

    @cached_property
    def links(self) -> dict[str, ir.Table]:
        """Per vendor ``key``, ``account_id`` and ``rule``.

        Raises
        ------
        SettingsError
            When the file of overrides is wrong.
        """
        own, handles = self._hub_accounts()
        known = self.source.engine.keep("known_as", known_as(own, handles))
        said = self._overrides(own)
        links = {}
        for name, rows in self.handles.items():
            if name == self.hub:
                links[name] = own
                continue
            override = _pairs(said.get(name, {}))
            if rows is None:
                rows = known.select(key="account_id", rule="rule", value="value").limit(0)
            found = links_of(rows, known, self.identity.rules, override)
            links[name] = self.source.engine.keep(f"links_{name}", found)
        return links

    def tables(self) -> Tables:
        """Return the source's own tables and the vendors', as ``NAME.TABLE``."""
        packed = [
            f"{name}.{table}"
            for name, found in self.recognised.items()
            for table in found.pack.tables
            if table in self.raw[name]
        ]
        return Tables([*self.source.tables, *packed], self._table)

    def about(self, name: str) -> About:
        """Return what is known of a vendor's table: rows left out, and columns of today alone."""
        vendor, dot, table = name.partition(".")
        if not dot or vendor not in self.vendors or name in self.source.tables:
            return self.source.about(name)
        self.tables()  # What is left out is known once a table is compiled.
        rules = self.compilers[vendor].left_out.get(table, []) if vendor in self.raw else []
        said = "rows are left out by the pack, which keeps"
        left_out = {f"{said}: {text}": rows for text, rows in rules}
        pack = self.recognised[vendor].pack
        today = frozenset((*pack.attributes, OWNER) if table == "accounts" else ())
        return About(today_only=today, left_out=left_out)

    def _table(self, name: str) -> ir.Table:
        vendor, dot, table = name.partition(".")
        if not dot or vendor not in self.vendors or name in self.source.tables:
            return self.source.tables[name]
        rows = with_accounts(self.raw[vendor][table], self.links[vendor], vendor)
        if table == "accounts" and vendor == self.hub:
            rows = one_row_each(rows)
            rows = self._with_domain(rows, vendor)
        return self.source.engine.keep(f"{vendor}_{table}", rows)

    def _hub_accounts(self) -> tuple[ir.Table, ir.Table | None]:
        """Return the links and handles of the system that says who is an account."""
        if self.hub is not None:
            accounts = self.raw[self.hub].get("accounts")
            if accounts is None:
                raise SettingsError(
                    f"[tables.accounts] takes the accounts of '{self.hub}', whose pack knows none;"
                    " name another source"
                )
            keys = accounts.select(key="account_id")
            handles = self.handles[self.hub]
            if handles is None:
                return keys.mutate(account_id=keys.key, rule=ibis.literal("own")), None
            return self.source.engine.keep("links", hub_links(handles, keys)), handles
        name = self.accounts.source or "accounts"
        table = self.source.table(name, "[tables.accounts]")
        wanted = self.accounts.columns.get("account_id", "account_id")
        key = same_name(wanted, table.columns)
        if key is None:
            raise DataError(
                f"Table '{name}' has no column '{wanted}', by which the sources of"
                " [source.NAME] find its accounts; map [tables.accounts] account_id"
            )
        account = text_of(table[key])
        links = table.select(key=account, account_id=account, rule=ibis.literal("own")).distinct()
        return links, _own_handles(table, account, self.accounts)

    def _with_domain(self, rows: ir.Table, vendor: str) -> ir.Table:
        """Put the domain beside each account, by which a person may leave it out."""
        handles = self.handles[vendor]
        if handles is None or "domain" in rows.columns:
            return rows
        known = handles.filter(handles.rule == "domain").inner_join(self.links[vendor], "key")
        single = known.group_by(__id=known.account_id).aggregate(domain=known["value"].min())
        return rows.left_join(single, rows.account_id == single["__id"]).drop("__id")

    def _overrides(self, own: ir.Table) -> dict[str, dict[str, str]]:
        if self.identity.overrides is None:
            return {}
        file = self.folder / self.identity.overrides
        links = read_overrides(file, list(self.vendors))
        refuse_unknown(links, set(own.select("account_id").execute()["account_id"]), file)
        return links

    def _kept(self, name: str, rows: ir.Table | None) -> ir.Table | None:
        return None if rows is None else self.source.engine.keep(name, rows)


def _own_handles(table: ir.Table, account: ir.Value, mapping: TableMapping) -> ir.Table | None:
    by_plain = {plain(name): name for name in table.columns}
    parts = []
    domain = next((by_plain[name] for name in DOMAIN_NAMES if name in by_plain), None)
    if domain is not None:
        value = clean_domain(text_of(table[domain]))
        parts.append(table.select(key=account, rule=ibis.literal("domain"), value=value))
    name = same_name(mapping.columns.get("name", "name"), table.columns)
    if name is not None:
        value = words_of(table[name])
        parts.append(table.select(key=account, rule=ibis.literal("name"), value=value))
    if not parts:
        return None
    rows = parts[0] if len(parts) == 1 else parts[0].union(parts[1])
    return with_letters(rows.filter(rows.value.notnull()), "value")


def _pairs(links: Mapping[str, str]) -> ir.Table | None:
    if not links:
        return None
    rows = [{"key": key, "account_id": account or None} for key, account in links.items()]
    return ibis.memtable(rows, schema={"key": "string", "account_id": "string"})


@contextmanager
def open_vendors(
    url: str | None,
    folder: Path,
    encoding: str,
    vendors: Mapping[str, Vendor],
    identity: IdentitySettings,
    accounts: TableMapping,
) -> Iterator[tuple[Source, Vendors]]:
    """Open a source with its vendors' tables beside its own.

    Raises
    ------
    SettingsError
        When an address, a pack or the file of overrides is wrong.
    DataError
        When nothing readable is there, or tables are laid out in another way.
    """
    parts = {name: vendor.url for name, vendor in vendors.items() if vendor.url}
    with open_source(url, folder, encoding, parts) as source:
        opened = Vendors(source, vendors, identity, accounts, folder)
        yield source.with_tables(opened.tables(), opened.about), opened
