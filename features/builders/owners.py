"""Owners of accounts: attributes that say who looks after an account, which are never inputs."""

from __future__ import annotations

import re

from features.builders.settings import SignalsSettings
from features.catalog import signal_name
from features.tables.company import Company

OWNER_NAME = re.compile(
    r"((account|customer|success|cs|current)_)?owner"
    r"|csm|(account|customer|customer_success|success|cs|relationship|sales)_(manager|executive|rep)"
    r"|assignee|assigned_to|managed_by"
    r"|responsable|gestor(_de_cuenta)?|ejecutivo(_de_cuenta)?|(kunden)?betreuer|kundenbetreuung"
    r"|account_?manager|relatiebeheerder|opiekun(_klienta)?|responsabile|gestionnaire"
)
ENDING = re.compile(r"_(name|id|email)$")


def is_owner(name: str, settings: SignalsSettings) -> bool:
    """Tell whether an attribute says who looks after an account, by setting or by its name.

    Examples
    --------
    >>> none = SignalsSettings()
    >>> [is_owner(name, none) for name in ("CSM", "account_manager_id", "ownership")]
    [True, True, False]
    """
    named = {signal_name(owner) for owner in settings.owners}
    return signal_name(name) in named or names_owner(name)


def names_owner(name: str) -> bool:
    """Tell whether a column's name alone says that it holds who looks after an account."""
    return bool(OWNER_NAME.fullmatch(ENDING.sub("", signal_name(name))))


def owner_attributes(company: Company, settings: SignalsSettings) -> list[str]:
    """List the mapped attributes that are left out because they name people."""
    return [name for name in company.tables["accounts"].attributes if is_owner(name, settings)]
