"""Tables of deals: those that were won are contracts, the others were offers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipelines.setup.guessing.evidence import time_columns
from pipelines.setup.guessing.sql import in_language_of, literal, named, table_named
from pipelines.setup.guessing.words import words_of

if TYPE_CHECKING:
    from features.sources.source import Source

VIEW = "won_deals"
MOST_STAGES = 30
_STAGE = re.compile("(^|_)(stage|status|state|phase|outcome|result)(_|$)", re.I)
_WON = re.compile(r"(^|[^a-z])(won|gewonnen|ganad[ao]|gagné)([^a-z]|$)")


def won_deals(source: Source) -> tuple[str, str, str] | None:
    """Find a table of deals with times of a contract beside their stage.

    Returns
    -------
    tuple of str or None
        The table, the query of the deals that were won, and what a person should check.
    """
    for name, table in source.tables.items():
        texts = [each for each in table.columns if table[each].type().is_string()]
        stages = [each for each in texts if _STAGE.search("_".join(words_of(each)))]
        for stage in stages:
            word = table[stage].strip().lower()
            rows = table.select(w=word).filter(lambda t: t.w.notnull()).distinct()
            words = [str(each) for each in rows.limit(MOST_STAGES).execute()["w"]]
            won = sorted(each for each in words if _WON.search(each))
            if not won or len(won) == len(words) or len(time_columns(table)) < 2:
                continue
            listed = ", ".join(map(literal, won))
            sql = (
                f"SELECT s.* FROM {table_named(name)} AS s"
                f" WHERE LOWER(TRIM(s.{named(stage)})) IN ({listed})"
            )
            note = (
                f"{name} holds deals: those whose {stage} is {', '.join(won)} are taken for"
                " contracts; check that each has the term that was sold"
            )
            return name, in_language_of(source, sql), note
    return None
