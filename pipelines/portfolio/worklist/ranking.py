"""Who comes first on a worklist, for every page and file that has one."""

from __future__ import annotations


def ranked_by(*, has_money: bool) -> str:
    """Return the column of an issued score by which accounts are ranked, the largest first.

    Parameters
    ----------
    has_money : bool
        Whether the MRR of any account is known.

    Examples
    --------
    >>> ranked_by(has_money=True), ranked_by(has_money=False)
    ('stake', 'probability')
    """
    return "stake" if has_money else "probability"
