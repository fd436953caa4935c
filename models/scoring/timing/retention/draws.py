"""Futures of a book: each account is lost, shrinks, stays or grows, in many drawn futures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit

from models.arrays import Codes, Floats
from models.scoring.timing.retention.book import LearntBook, share_of_quarter, with_traits
from models.scoring.timing.retention.quarters import RENEWS, Span

# Draws times accounts that are held at once, and that are drawn for each period in all.
AT_ONCE, IN_ALL = 1 << 20, 20_000_000
FEWEST, MOST = 200, 1000
MEASURES = (
    *("opening", "lost", "smaller", "larger", "up", "renewed"),
    *("accounts", "accounts_lost", "accounts_up", "accounts_renewed"),
)
"""What is summed of each period: ARR, and accounts. ``up`` and ``renewed`` are the ARR of contracts
that renew in it, and what is kept of it."""


@dataclass(frozen=True)
class Futures:
    """Sums over the accounts of each group, future by future.

    Parameters
    ----------
    sums : mapping of str to ndarray of shape (draws, periods, groups)
        By :data:`MEASURES`.
    kept : ndarray of shape (draws, groups)
        Of the ARR of today what is left after the last period, growth left out.
    ended : ndarray of shape (draws, groups)
        The same with growth.
    """

    sums: Mapping[str, Floats]
    kept: Floats
    ended: Floats


def draw_futures(
    book: LearntBook,
    accounts: pd.DataFrame,
    spans: Sequence[Span],
    groups: Sequence[Codes],
    *,
    seed: int = 0,
) -> Futures:
    """Draw what becomes of accounts.

    What accounts share, an offset of each quarter and the error of the rates, is drawn once for
    each future; given that, accounts go their own ways.

    Parameters
    ----------
    book : LearntBook
        What past quarters teach.
    accounts : DataFrame of n rows
        ``segment``, ``arr`` (NaN where it is not known: it counts among accounts alone),
        ``tenure``, ``log_odds`` and the contract's days.
    spans : sequence of Span
        The periods to come, one after the other.
    groups : sequence of ndarray of int, shape (n,)
        Ways to part the accounts, each by codes from 0; groups of several ways follow each other.
    seed : int
        Equal seeds give equal draws.
    """
    generator = np.random.default_rng(seed)
    count = int(np.clip(IN_ALL // max(len(accounts), 1), FEWEST, MOST))
    shocks = [
        course.shock.draws(len(spans), count, generator)
        for course in (book.lost, book.smaller, book.larger)
    ]
    belongs = _belongs(groups)
    size = belongs.shape[0]
    sums = {name: np.zeros((count, len(spans), size)) for name in MEASURES}
    kept, ended = np.zeros((count, size)), np.zeros((count, size))
    step = max(1, AT_ONCE // count)
    for start in range(0, len(accounts), step):
        here = slice(start, start + step)
        part = _Part(book, accounts.iloc[here], belongs[:, here], count, generator)
        for place, span in enumerate(spans):
            for name, added in part.pass_by(span, place, [one[:, place] for one in shocks]):
                sums[name][:, place] += added
        kept += part.summed(np.minimum(part.arr, part.first))
        ended += part.summed(part.arr)
    return Futures(sums, kept, ended)


class _Part:
    """Some accounts in every future."""

    def __init__(
        self,
        book: LearntBook,
        accounts: pd.DataFrame,
        belongs: csr_matrix,
        count: int,
        generator: np.random.Generator,
    ) -> None:
        self.book, self.accounts, self.belongs = book, accounts, belongs
        self.count, self.generator = count, generator
        self.first = accounts["arr"].fillna(0.0).to_numpy(dtype=float)
        self.arr = np.tile(self.first, (count, 1))
        self.there = np.ones((count, len(accounts)), dtype=bool)

    def pass_by(self, span: Span, place: int, shocks: Sequence[Floats]) -> list[tuple[str, Floats]]:
        """Let a period pass, and return what is to be added up: (draws, groups) each."""
        book, rows = self.book, with_traits(self.accounts, span)
        share = share_of_quarter(rows, span)
        leaves = self._happens(book.risk(self.accounts, span, place), shocks[0], self.there)
        stays, before = self.there & ~leaves, self.arr
        grows, shrinks = (
            share * expit(course.rates.log_odds(rows) + shock[:, None])
            for course, shock in ((book.larger, shocks[2]), (book.smaller, shocks[1]))
        )
        chance = self.generator.random(stays.shape)
        larger = stays & (chance < grows)
        smaller = stays & ~larger & (chance >= 1 - shrinks)
        factor = np.ones_like(before)
        segment = self.accounts["segment"].to_numpy(dtype=object)
        for moved, factors in ((smaller, book.shrunk), (larger, book.grown)):
            factor[moved] = factors.draw(segment[np.nonzero(moved)[1]], self.generator)
        after = np.where(stays, before * factor, 0.0)
        up = self.there & (rows["kind"].to_numpy() == RENEWS)
        self.arr, opened, self.there = after, self.there, stays
        fell = np.where(stays, np.maximum(before - after, 0.0), 0.0)
        measured = {
            "opening": before,
            "lost": before * leaves,
            "smaller": fell,
            "larger": np.maximum(after - before, 0.0),
            "up": before * up,
            "renewed": np.minimum(after, before) * up,
            "accounts": opened,
            "accounts_lost": leaves,
            "accounts_up": up,
            "accounts_renewed": up & stays,
        }
        return [(name, self.summed(values)) for name, values in measured.items()]

    def summed(self, values: Floats) -> Floats:
        """Sum over accounts by group: (draws, groups)."""
        return np.asarray((self.belongs @ values.T.astype(float)).T)

    def _happens(
        self, log_odds: Floats, shock: Floats, able: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        risk = expit(log_odds[None, :] + shock[:, None])
        return np.asarray(able & (self.generator.random(risk.shape) < risk))


def _belongs(groups: Sequence[Codes]) -> csr_matrix:
    """Tell which accounts each group has: (groups, n) of 0 and 1."""
    rows, first = [], 0
    for codes in groups:
        rows.append(codes + first)
        first += int(codes.max(initial=-1)) + 1
    member = np.concatenate(rows)
    account = np.concatenate([np.arange(len(codes)) for codes in groups])
    return csr_matrix((np.ones(len(member)), (member, account)), shape=(first, len(groups[0])))
