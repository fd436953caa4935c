"""The ``[source.NAME]`` sections: which vendor's exports there are, and where."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from features.tables.mapping.frozen import Frozen


class Vendor(Frozen):
    """A ``[source.NAME]`` section, whose tables are then called ``NAME.accounts`` and the like.

    Parameters
    ----------
    pack : str
        The layout: a name that ``healthscore connect`` lists, or a TOML file of the project.
    url : str or None
        A folder of the vendor's files; by default they lie among the tables of ``[source] url``.
    tables : dict of str to str
        Input of the pack to table, where names do not tell.
    currency : str or None
        Three letters: what amounts are converted to.
    rates : dict of str to float
        What one unit of another currency is worth in it; amounts without a rate are missing.
    trials : bool
        Whether trials count as contracts; by default a customer begins when the trial is over.
    external_id : str or None
        The custom field or metadata key that holds your own key of an account.
    """

    pack: str
    url: str | None = Field(None, repr=False)
    tables: dict[str, str] = Field(default_factory=dict)
    currency: Annotated[str, Field(pattern="^[A-Za-z]{3}$")] | None = None
    rates: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    trials: bool = False
    external_id: str | None = None


class IdentitySettings(Frozen):
    """The ``[identity]`` section: how another system's keys find an account.

    Parameters
    ----------
    rules : tuple of {"external_id", "domain", "name"}
        In the order they are asked; the first that finds one account decides.
    overrides : str or None
        A CSV file with ``source``, ``key`` and ``account_id``, which goes before every rule.
    """

    rules: tuple[str, ...] = ("external_id", "domain", "name")
    overrides: str | None = None
