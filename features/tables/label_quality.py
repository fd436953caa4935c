"""Labels that the user brings: what cannot be a label is refused, never guessed."""

from __future__ import annotations

import ibis.expr.types as ir

from features.errors import DataError, sample
from features.tables.cleaning import CleanTable
from features.tables.mapping.written import FALSE_WORDS, TRUE_WORDS

EXAMPLES = 3


def refuse_wrong_labels(table: CleanTable) -> None:
    """Refuse labels that are neither 0 nor 1, and labels of one account and day that disagree.

    Elsewhere a value that cannot be read counts as missing. A model would learn the wrong thing
    from what is left, so here it does not. A label without any value is one not known yet.

    Raises
    ------
    DataError
        When there is one.
    """
    raw = table.raw.happened
    wrong = table.raw.filter(_is_wrong(raw)).select(value=raw.cast("string"))
    count = int(wrong.count().execute())
    if count:
        values = wrong.distinct().order_by("value").limit(EXAMPLES).value.execute().tolist()
        said = "values hold" if count > 1 else "value holds"
        raise DataError(
            f"Column happened of table '{table.source_name}' must hold 0 or 1, yes or no, or"
            f" nothing where it is not known, and {count:,} {said} something else, such as"
            f" {sample(values)}; correct [tables.labels] or the data"
        )
    if not table.is_dated:
        return
    rows = table.cleaned.mutate(day=table.cleaned.observed_at.truncate("D"))
    days = rows.group_by("account_id", "day").aggregate(answers=rows.happened.nunique())
    split = days.filter(days.answers > 1)
    count = int(split.count().execute())
    if count:
        first = split.order_by("account_id", "day").limit(EXAMPLES).execute()
        named = [
            f"{sample([account])} on {day:%Y-%m-%d}"
            for account, day in zip(first["account_id"], first["day"], strict=True)
        ]
        more = f" and {count - EXAMPLES:,} more" if count > EXAMPLES else ""
        raise DataError(
            f"Table '{table.source_name}' must hold one label for an account and a day and"
            f" disagrees about {', '.join(named)}{more}; remove the wrong ones"
        )


def _is_wrong(raw: ir.Value) -> ir.Value:
    kind = raw.type()
    if kind.is_string():
        word = raw.strip().lower()
        return raw.notnull() & (word != "") & ~word.isin(TRUE_WORDS + FALSE_WORDS)
    if kind.is_numeric() and not kind.is_boolean():
        number = raw.cast("float64")
        return raw.notnull() & ~number.isnan() & ~number.isin([0.0, 1.0])
    return raw.isnull() & raw.notnull()
