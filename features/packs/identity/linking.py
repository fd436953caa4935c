"""Links: which account a key of another system belongs to, and by which rule."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

OWN, OVERRIDE = "own", "override"
EXTERNAL = "external_id"


def hub_links(handles: ir.Table, keys: ir.Table) -> ir.Table:
    """Link the keys of the system that says who is an account: two of one external key are one.

    Parameters
    ----------
    handles : ibis table
        ``key``, ``rule``, ``value``.
    keys : ibis table
        ``key`` of every account.

    Returns
    -------
    ibis table
        ``key``, ``account_id``, ``rule``; the account is the first of its keys.
    """
    external = handles.filter(handles.rule == EXTERNAL)
    shared = external.group_by("value").aggregate(first=external.key.min())
    joined = external.inner_join(shared, "value")
    firsts = joined.group_by("key").aggregate(first=joined["first"].min())
    every = keys.select("key").distinct()
    linked = every.left_join(firsts, every.key == firsts.key)
    return linked.select(
        key=linked.key, account_id=linked["first"].fill_null(linked.key), rule=ibis.literal(OWN)
    )


def known_as(links: ir.Table, handles: ir.Table | None) -> ir.Table:
    """List ``account_id``, ``rule``, ``value`` of all that a hub's accounts are known as."""
    own = links.select("account_id", rule=ibis.literal(EXTERNAL), value=links.key)
    if handles is None:
        return own
    joined = handles.inner_join(links.select("key", "account_id"), "key")
    return own.union(joined.select("account_id", "rule", "value")).distinct()


def links_of(
    handles: ir.Table, known: ir.Table, rules: Sequence[str], overrides: ir.Table | None = None
) -> ir.Table:
    """Link another system's keys, each by the first rule that finds one account.

    A value that two accounts have finds neither, and a key whose values meet two accounts belongs
    to none by that rule.

    Parameters
    ----------
    handles : ibis table
        ``key``, ``rule``, ``value`` of the other system.
    known : ibis table
        As :func:`known_as` returns.
    rules : sequence of str
        In the order they are asked.
    overrides : ibis table, optional
        ``key`` and ``account_id`` that go before every rule; no account: the key has none.

    Returns
    -------
    ibis table
        ``key``, ``account_id``, ``rule``.
    """
    single = known.group_by("rule", "value").aggregate(
        account_id=known.account_id.min(), n=known.account_id.nunique()
    )
    single = single.filter(single.n == 1)
    met = handles.inner_join(single, ["rule", "value"])
    met = met.group_by("key", "rule").aggregate(
        account_id=met.account_id.min(), n=met.account_id.nunique()
    )
    met = met.filter(met.n == 1)
    order = ibis.cases(*[(met.rule == rule, place) for place, rule in enumerate(rules)])
    met = met.mutate(place=order)
    met = met.filter(met.place.notnull())
    rank = ibis.row_number().over(ibis.window(group_by="key", order_by="place"))
    met = met.mutate(rank=rank)
    linked = met.filter(met["rank"] == 0).select("key", "account_id", "rule")
    if overrides is None:
        return linked
    said = overrides.select("key", "account_id", rule=ibis.literal(OVERRIDE))
    return linked.anti_join(said, "key").union(said.filter(said.account_id.notnull()))


def with_accounts(rows: ir.Table, links: ir.Table, system: str) -> ir.Table:
    """Give rows the account in place of the system's key, which unlinked ones keep, marked."""
    links = links.select(__key="key", __account="account_id")
    joined = rows.left_join(links, rows.account_id == links["__key"])
    unlinked = ibis.literal(f"{system}:") + joined.account_id
    account = joined["__account"].fill_null(unlinked)
    return joined.mutate(account_id=account).drop("__key", "__account")


def one_row_each(accounts: ir.Table) -> ir.Table:
    """Return one row of each account: the earliest time, and a value of every other column."""
    names = [name for name in accounts.columns if name != "account_id"]
    return accounts.group_by("account_id").aggregate(
        **{name: accounts[name].min() for name in names}
    )
