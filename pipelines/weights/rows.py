"""The dates a champion was judged on, with what scorecards would have said on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from features.catalog import EVERYBODY
from features.errors import EvidenceError
from pipelines.project.company import dated_events
from pipelines.project.project import Project
from pipelines.project.rows import labelled_rows
from pipelines.project.settings.scorecard import scorecard_measures, weights_today

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from features.tables.company import Company
    from models.arrays import Codes, Floats
    from models.scorecard.advice import SegmentAdvice
    from models.scorecard.grading import Grading, Measure
    from models.scorecard.replay import Replayed
    from models.scorecard.scorecard import Cuts, Weighting
    from models.scoring.health_model import HealthModel

TODAY, RECOMMENDED, FULL_MODEL = "today", "recommended", "full model"
MONTHS = 12


@dataclass(frozen=True)
class ReplayRows:
    """Rows whose outcomes are known, split where the champion's hold-out begins.

    Parameters
    ----------
    model : HealthModel
        The champion.
    version : str
        Its version.
    run_id, created_at : str
        The run that taught it, and when it was registered (ISO, UTC).
    frame : DataFrame of n rows
        Every matured row that was due, with its signals, ``happened``, ``segment`` and ``arr`` (NaN
        where it is not known).
    signals : tuple of Signal
        The company's.
    measures : tuple of Measure
        Lines of the scorecard.
    today : dict of str to ndarray of shape (n_measures,)
        Weights in use, by segment or "all".
    past : ndarray of int
        Positions of the rows that had matured before the hold-out.
    rows : DataFrame of m rows
        The hold-out: as ``frame``, with the champion's ``probability`` and ``score`` from before
        it was taught these rows too.
    grading : Grading
        Read off the past.
    advice : dict of str to SegmentAdvice
        What would have been recommended then.
    events : DataFrame or None
        ``account_id`` and ``happened_at``.
    foretells : bool
        Whether the champion's hold-out showed that behaviour foretells the outcome.
    warnings : list of str
        One sentence each.
    """

    model: HealthModel
    version: str
    run_id: str
    created_at: str
    frame: pd.DataFrame
    signals: tuple[Signal, ...]
    measures: tuple[Measure, ...]
    today: dict[str, Floats]
    past: Codes
    rows: pd.DataFrame
    grading: Grading
    advice: dict[str, SegmentAdvice]
    events: pd.DataFrame | None
    foretells: bool
    warnings: list[str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the measures."""
        return tuple(measure.name for measure in self.measures)

    @property
    def taught_until(self) -> date:
        """Newest date of the past."""
        return _day(self.frame["observation_date"].iloc[self.past].max())

    @property
    def from_until(self) -> tuple[date, date]:
        """First and last date that are replayed."""
        dates = self.rows["observation_date"]
        return _day(dates.min()), _day(dates.max())

    def weighting(self, weights: Mapping[str, Floats]) -> Weighting:
        """Name the measures of arranged weights."""
        return named_weights(self.names, weights)

    def replay(self, project: Project, further: Mapping[str, Weighting] | None = None) -> Replayed:
        """Replay today's weights, the recommended ones, further ones and the full model.

        Where today's scorecard turns red and green, the others are cut so that equal shares of the
        book are red and green: who catches more does so with as many red accounts.

        Parameters
        ----------
        project : Project
            Holds the cuts in use.
        further : mapping of str to Weighting, optional
            Weights to replay beside the others, by name.
        """
        from models.scorecard.replay import replay
        from models.scorecard.scorecard import Cuts, Scorecard

        segment = self.rows["segment"].to_numpy(dtype=object)
        grades = self.grading.grades(self.rows, segment)
        weightings = {
            TODAY: self.weighting(self.today),
            **(further or {}),
            RECOMMENDED: {name: advice.weights for name, advice in self.advice.items()},
        }
        scores = {
            name: Scorecard(self.grading, weights).score_of(grades, segment)
            for name, weights in weightings.items()
        }
        scores[FULL_MODEL] = self.rows["score"].to_numpy(dtype=float)
        cuts = {TODAY: self._cuts_today(project, scores[TODAY])}
        colours = cuts[TODAY].colours(scores[TODAY])
        red, green = float((colours == "red").mean()), float((colours == "green").mean())
        for name, score in scores.items():
            if name != TODAY:
                exact = name == FULL_MODEL
                cuts[name] = Cuts.with_shares(score, red, green, exact=exact)
        return replay(
            self.rows,
            scores,
            cuts,
            TODAY,
            events=self.events,
            good=self.model.scale.good,
            seed=project.settings.training.seed,
        )

    def _cuts_today(self, project: Project, score: Floats) -> Cuts:
        """Take the configured cuts; what is left open makes as many red and green as the model."""
        from models.scorecard.scorecard import Cuts

        given = project.settings.scorecard
        position = self.model.scale.position_of(self.rows["score"].to_numpy(dtype=float))
        first, last = float((position == 0).mean()), float((position == 2).mean())
        # The unlikely accounts are the red ones where the outcome is good news.
        red, green = (last, first) if self.model.scale.good else (first, last)
        cuts = Cuts.with_shares(score, red, green)
        low = cuts.red_below if given.red_below is None else given.red_below
        high = cuts.green_from if given.green_from is None else given.green_from
        if given.red_below is None:
            low = min(low, high)
        return Cuts(low, max(low, high))


def replay_rows(project: Project, company: Company) -> ReplayRows:
    """Build the rows a champion was judged on and what would have been recommended before.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    company : Company
        Its tables.

    Raises
    ------
    RegistryError
        When there is no champion, or it was registered without its hold-out.
    EvidenceError
        When nothing has matured, or the tables no longer hold the rows the champion was judged on.
    SettingsError
        When the scorecard does not fit the company.
    """
    import numpy as np

    from models.scorecard.grading import Grading

    champion = project.registry.champion()
    model, version = champion.model, champion.version
    holdout = project.registry.holdout(version)
    labelled = labelled_rows(project, company)
    frame = with_segment_and_arr(decided(labelled.frame, model), model)
    if model.timing is not None:
        holdout = holdout[holdout["due"].to_numpy(dtype=bool)]
    measures = scorecard_measures(project.settings.scorecard, labelled.signals)
    today = weights_today(project.settings.scorecard, [measure.name for measure in measures])
    rows, warnings = _joined(frame, holdout, version)
    if model.prior is not None:
        words = project.settings.outcome.words
        warnings += [model.prior.sentence(words), model.prior.by_group()]
    warnings += _unknown_segments(project, set(frame["segment"]))
    if company.is_dated:
        days = frame["observation_date"].to_numpy().astype("datetime64[D]").astype(int)
        first = rows["observation_date"].min().to_datetime64().astype("datetime64[D]").astype(int)
        past = np.flatnonzero(days + model.maturity_days <= first)
    else:
        past, rows = _halves(frame, rows)
    known = frame.iloc[past]
    if not 0 < known["happened"].sum() < len(known):
        raise EvidenceError(
            f"Weights are replayed on dates they were not learnt from, and the {len(known)} rows"
            f" that had matured before {rows['observation_date'].min():%Y-%m-%d} do not hold both"
            " outcomes; use a longer history"
        )
    grading = Grading.fit(measures, known, known["segment"])
    return ReplayRows(
        model=model,
        version=version,
        run_id=champion.run_id,
        created_at=champion.created_at,
        frame=frame,
        signals=labelled.signals,
        measures=measures,
        today=today,
        past=past,
        rows=rows,
        grading=grading,
        advice=advice_from(
            known,
            grading,
            today,
            champion.foretells,
            good=model.scale.good,
            seed=project.settings.training.seed,
        ),
        events=dated_events(company, project.settings.outcome),
        foretells=champion.foretells,
        warnings=warnings,
    )


def decided(frame: pd.DataFrame, model: HealthModel) -> pd.DataFrame:
    """Keep the rows that a score of the risk at a decision is held against: decisions."""
    if model.timing is None:
        return frame
    return frame[model.timing.decisions.due(frame)].reset_index(drop=True)


def with_segment_and_arr(frame: pd.DataFrame, model: HealthModel) -> pd.DataFrame:
    """Add each row's segment, as the model assigns it, and its ARR, NaN where it is not known."""
    return with_arr(frame).assign(segment=model.segments.assign(frame))


def with_arr(frame: pd.DataFrame) -> pd.DataFrame:
    """Add each row's ARR, NaN where it is not known."""
    return frame.assign(arr=MONTHS * frame["mrr"].astype(float) if "mrr" in frame else float("nan"))


def named_weights(names: Sequence[str], weights: Mapping[str, Floats]) -> Weighting:
    """Name the measures of arranged weights."""
    return {
        segment: dict(zip(names, row.tolist(), strict=True)) for segment, row in weights.items()
    }


def advice_from(
    known: pd.DataFrame,
    grading: Grading,
    today: Mapping[str, Floats],
    foretells: bool,
    *,
    good: bool,
    seed: int,
) -> dict[str, SegmentAdvice]:
    """Learn weights from rows and turn them into advice.

    Parameters
    ----------
    known : DataFrame of n rows
        Matured rows with their signals, ``account_id``, ``segment`` and ``happened``.
    grading : Grading
        How measures are graded.
    today : mapping of str to ndarray of shape (n_measures,)
        Weights in use.
    foretells : bool
        Whether behaviour was shown to foretell the outcome.
    good, seed
        As for :func:`models.scorecard.learning.learn_scorecard`.
    """
    from models.scorecard.advice import extremes_of, recommend
    from models.scorecard.learning import learn_scorecard

    segment = known["segment"].to_numpy(dtype=object)
    accounts = known["account_id"].to_numpy(dtype=object)
    happened = known["happened"].to_numpy(dtype=float)
    grades = grading.grades(known, segment)
    learnt = learn_scorecard(
        grading.filled(grades, segment), happened, accounts, segment, today, good=good, seed=seed
    )
    extremes = extremes_of(grades, happened, accounts, segment, grading.names)
    return recommend(learnt, grading.names, today, foretells=foretells, extremes=extremes)


def _joined(
    frame: pd.DataFrame, holdout: pd.DataFrame, version: str
) -> tuple[pd.DataFrame, list[str]]:
    """Find the hold-out's rows in the tables as they are now."""
    said = holdout[["account_id", "observation_date", "probability", "score", "happened"]]
    rows = frame.merge(
        said.rename(columns={"happened": "judged_as"}),
        on=["account_id", "observation_date"],
        how="inner",
        validate="one_to_one",
    )
    if rows.empty or not 0 < rows["happened"].sum() < len(rows):
        raise EvidenceError(
            f"Of the {len(holdout)} rows that model version {version} was judged on, the tables now"
            f" hold {len(rows)} with {int(rows['happened'].sum())} outcomes, which leaves nothing"
            " to replay; train again with 'healthscore train'"
        )
    warnings = []
    gone = len(holdout) - len(rows)
    changed = int((rows["happened"] != rows["judged_as"]).sum())
    if gone or changed:
        warnings.append(
            f"The tables changed since model version {version} was trained: {gone:,} of its"
            f" {len(holdout):,} hold-out rows are gone and {changed:,} have another outcome; train"
            " again before you act on this"
        )
    return rows.drop(columns="judged_as"), warnings


def _unknown_segments(project: Project, known: set[str]) -> list[str]:
    from features.errors import nearest, sample

    strange = [
        name for name in project.settings.scorecard.segments if name not in known | {EVERYBODY}
    ]
    return [
        f"[scorecard.segments] names {sample([name])}, which is no segment of the model"
        f"{nearest(name, known) or f'; there are {sample(sorted(known), 8)}'}"
        for name in strange
    ]


def _halves(frame: pd.DataFrame, rows: pd.DataFrame) -> tuple[Codes, pd.DataFrame]:
    """Without dates, half of the accounts teach the weights and the others judge them."""
    import numpy as np
    import pandas as pd

    from models.training.splits import account_folds

    codes = pd.factorize(frame["account_id"])[0]
    folds = account_folds(codes, 2)
    if not folds:
        raise EvidenceError(
            "Weights are replayed on accounts they were not learnt from, and all rows are of one"
            " account; add more accounts"
        )
    taught = set(frame["account_id"].iloc[folds[0].train])
    return np.asarray(folds[0].train), rows[~rows["account_id"].isin(taught)]


def _day(moment: pd.Timestamp) -> date:
    return moment.date()
