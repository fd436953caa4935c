"""How many accounts are in another band because of the model alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pipelines.project.company import open_company
from pipelines.project.feature_table import feature_rows_of_date
from pipelines.project.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from models.scoring.health_model import HealthModel

BATCH = 50_000


@dataclass(frozen=True)
class BandMove:
    """Accounts that one model puts in a band and another in another."""

    before: str
    after: str
    accounts: int


@dataclass(frozen=True)
class BandMoves:
    """How many accounts are in another band because of the model alone.

    Parameters
    ----------
    as_of : date
        The date whose signals both models scored.
    accounts, moved : int
        Accounts that were scored, and those whose bands differ.
    moves : list of BandMove
        The most frequent first; accounts that stayed are left out.
    """

    as_of: date
    accounts: int
    moved: int
    moves: list[BandMove]

    @property
    def sentence(self) -> str:
        """The same in a sentence."""
        return (
            f"On {self.as_of}, {self.moved:,} of {self.accounts:,} accounts are in another band "
            "because of the model alone."
        )


def band_moves(project: Project, before: HealthModel, after: HealthModel) -> BandMoves:
    """Score the newest date with both models and count who is in another band.

    Raises
    ------
    DataError
        When nobody is active on it.
    """
    with open_company(project) as company:
        day = company.data_end
        rows = feature_rows_of_date(project, company, day).frame()
    bands = zip(said_by(before, rows)["band"], said_by(after, rows)["band"], strict=True)
    moved = Counter((one, other) for one, other in bands if one != other)
    return BandMoves(
        as_of=day,
        accounts=len(rows),
        moved=moved.total(),
        moves=[BandMove(one, other, count) for (one, other), count in moved.most_common()],
    )


def said_by(model: HealthModel, rows: pd.DataFrame) -> pd.DataFrame:
    """Score rows in batches: what the points are made of is let go of on the way."""
    import pandas as pd

    from models.scoring.scorer import Scorer

    scorer = Scorer(model)
    parts = [
        scorer.score(rows.iloc[first : first + BATCH]).table[["probability", "band"]]
        for first in range(0, len(rows), BATCH)
    ]
    return pd.concat(parts, ignore_index=True)
