"""The scorer: feature rows in, scored and explained rows out, with a health model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit

from features.catalog import EVERYBODY, GROUPS, Signal
from features.errors import DataError, sample
from models.arrays import Codes, Floats
from models.churn.segments import segment_codes
from models.scoring.health_model import SEGMENT, HealthModel, model_input
from models.scoring.reasons import LEAST_POINTS, is_context, significant
from models.scoring.scale import BANDS, GOOD_BANDS, points, score_move
from models.scoring.scored import ScoredAccounts, ScoredCurves
from models.scoring.timing.curve import HORIZONS
from models.scoring.timing.decisions import AHEAD, COLUMNS
from models.weights.account_spread import interval
from models.weights.weights import observed_share, signal_shares

_FLOAT = pa.float64()


class Scorer:
    """What scores with a health model.

    Every row's score, points and reasons come from one sum: the values of
    :class:`models.tree_shap.ShapPlan`, whose integers add up to the same in any order. A row's
    score therefore depends neither on the rows beside it nor on the number of threads.

    Parameters
    ----------
    model : HealthModel
        What is scored with.

    Attributes
    ----------
    shap : ShapPlan
        Values of each signal, counted from the segment's mean margin.
    labels : tuple of str
        Segments a row can be in.
    """

    def __init__(self, model: HealthModel) -> None:
        encoder = model.classifier.encoder_
        self.model = model
        self.shap = model.margin_plan
        self.labels = tuple(dict.fromkeys((*model.segments.names, EVERYBODY)))
        positions = {name: code for code, name in enumerate(encoder.segments)}
        single = encoder.segment_column is None
        code = np.array([0 if single else positions.get(name, -1) for name in self.labels])
        # A label of each kind of term that is told apart: those of the first kind, then the next.
        kinds = np.arange(max(len(model.term_centres), 1))
        self._code = _codes_of(code, len(encoder.segments) + 1, len(kinds))
        labels = np.tile(np.array(self.labels, dtype=object), len(kinds))
        self._start = self.shap.base_values(self._code, len(self._code))
        kind = np.repeat(kinds, len(self.labels))
        self._usual = model.calibrator.log_odds(self._start, labels, kind)
        self._slope = model.calibrator.slope(labels)
        self._shift = model.scale.shift(kind)
        self._shares = signal_shares(model.signals, self.labels, model.signal_weights)
        self._context = is_context(model.signals)
        self._group = np.array([GROUPS.index(signal.group) for signal in model.signals])

    def score(self, frame: pd.DataFrame) -> ScoredAccounts:
        """Score rows of a DataFrame, with the points of every signal.

        Parameters
        ----------
        frame : DataFrame of n rows
            ``account_id``, ``observation_date`` and the model's required columns; NaN or None
            where a signal is not known. Unseen categories count as unknown, an unseen segment is
            read as its nearest parent.

        Returns
        -------
        ScoredAccounts

        Raises
        ------
        DataError
            When a column is absent or a signal holds something that is not a finite number.
        """
        model, scale = self.model, self.model.scale
        inputs = model_input(frame, model.signals, model.segments)
        values = model.classifier.encoder_.transform(inputs).values
        label = self._labels_of(inputs)
        place = self._place(label, frame)
        contributions = self.shap.shap_values(values, segment=self._code[place])
        start, slope = self._usual[place] - self._shift[place], self._slope[place]
        table = points(contributions, start, slope, scale)
        log_odds = table.log_odds + self._shift[place]
        if_due, share = expit(log_odds), self._share(frame)
        low, high = self._bounds(contributions, label, log_odds)
        scored = pd.DataFrame(
            {
                "account_id": frame["account_id"].to_numpy(),
                "observation_date": frame["observation_date"].to_numpy(),
                SEGMENT: inputs[SEGMENT].to_numpy(dtype=object),
                "score": table.score,
                "band": scale.band(expit(table.log_odds)),
                "probability": if_due * share,
                "probability_low": low * share,
                "probability_high": high * share,
                "probability_if_due": if_due,
                "coverage": observed_share(values, label, self._shares),
                "baseline_score": table.baseline,
            }
        )
        observed = frame[[signal.name for signal in model.signals]].reset_index(drop=True)
        return ScoredAccounts(scored, table.points, observed, model.signals)

    def score_batch(self, batch: pa.RecordBatch, reasons: int = 5) -> pa.RecordBatch:
        """Score rows.

        Parameters
        ----------
        batch : RecordBatch of n rows
            ``account_id`` and the model's required columns, in any order and among others; ``mrr``
            where it is known. Null or NaN where a signal is not known.
        reasons : int
            Most reasons of a row; signals without points are never given.

        Returns
        -------
        RecordBatch of n rows
            In the same order: ``account_id``, ``segment``, ``score``, ``band``, ``probability``,
            ``coverage``, ``baseline_score``, ``points_<group>`` of every group,
            ``mrr`` (null where it is not given), ``probability_if_due``, ``loss_<days>_days`` of
            every horizon (null where the model tells no curve), ``days_to_renewal`` (null where
            none is known, or not read), and three lists of equal length, the largest absolute
            points first: ``reason_signals``, ``reason_points`` and ``reason_values`` (as text, null
            where not known).

        Raises
        ------
        DataError
            When a column is absent, or a signal holds something that is not a finite number.
        """
        self._refuse_absent(batch)
        label, values = self.inputs(batch)
        given = [name for name in COLUMNS if self.model.timing is not None]
        terms = pd.DataFrame(
            {name: _numbers(batch[name], name) for name in given}, pd.RangeIndex(batch.num_rows)
        )
        place = self._place(label, terms)
        # Context comes last, so that as many as it could displace are looked at beside.
        most = min(reasons + int(self._context.sum()), len(self._context)) if reasons else 0
        parts = self.shap.explain(
            values, groups=self._group, top_k=most, segment=self._code[place], n_threads=1
        )
        start, slope = self._usual[place] - self._shift[place], self._slope[place]
        move = score_move(parts.margin - self._start[place], start, slope, self.model.scale)
        log_odds = move.log_odds + self._shift[place]
        if_due = expit(log_odds)
        scale = self.model.scale
        bands = GOOD_BANDS if scale.good else BANDS
        # Groups after the last that has a signal have no sums.
        group_points = np.zeros((batch.num_rows, len(GROUPS)))
        group_points[:, : parts.group_sums.shape[1]] += parts.group_sums * move.factor[:, None]
        columns = {
            "account_id": batch["account_id"].cast(pa.string()),
            "segment": _named(label, self.labels),
            "score": move.score,
            "band": _named(scale.band_position(expit(move.log_odds)), bands),
            "probability": if_due * self._share(terms),
            "coverage": observed_share(values, label, self._shares),
            "baseline_score": move.baseline,
            "probability_if_due": if_due,
            **self._losses(terms, log_odds, self._usual[place]),
            AHEAD: _known(terms[AHEAD].to_numpy()) if given else pa.nulls(batch.num_rows, _FLOAT),
            **{f"points_{group}": group_points[:, i] for i, group in enumerate(GROUPS)},
            "mrr": _mrr(batch),
            **self._reasons(
                batch, values, parts.top_signals, parts.top_values * move.factor[:, None], reasons
            ),
        }
        return pa.record_batch({name: pa.array(column) for name, column in columns.items()})

    def curves(self, frame: pd.DataFrame) -> ScoredCurves | None:
        """Tell the risk of rows over a year, with what each signal adds at every horizon.

        Parameters
        ----------
        frame : DataFrame of n rows
            As for :meth:`score`.

        Returns
        -------
        ScoredCurves or None
            None where the model tells no curve.
        """
        model, curve = self.model, self.model.curve
        if curve is None:
            return None
        inputs = model_input(frame, model.signals, model.segments)
        values = model.classifier.encoder_.transform(inputs).values
        place = self._place(self._labels_of(inputs), frame)
        contributions = self.shap.shap_values(values, segment=self._code[place])
        usual, slope = self._usual[place], self._slope[place]
        shares, middle = curve.shares(frame), curve.at_decisions(frame, usual)
        told = curve.told(shares, usual + slope * contributions.sum(axis=1), middle)
        return ScoredCurves(
            within=told.within,
            low=told.low,
            high=told.high,
            baseline=curve.told(shares, usual, middle).within,
            points=curve.points(shares, contributions, usual, middle, slope),
        )

    def inputs(self, batch: pa.RecordBatch) -> tuple[Codes, Floats]:
        """Read the rows as the model does: position of each label (n,), values (n, n_signals)."""
        encoder = self.model.classifier.encoder_
        # Signal by signal, as the batch comes and the plan reads.
        values = np.empty((batch.num_rows, len(encoder.names)), order="F")
        for i, name in enumerate(encoder.names):
            levels = encoder.levels.get(name)
            column = batch[name]
            values[:, i] = _numbers(column, name) if levels is None else _codes(column, levels)
        if (infinite := np.isinf(values).any(axis=0)).any():
            name = encoder.names[int(np.flatnonzero(infinite)[0])]
            raise DataError(_not_finite(name, ["inf"]))
        return segment_codes(batch, self.model.segments, self.labels), values

    def _bounds(
        self, contributions: Floats, label: Codes, log_odds: Floats
    ) -> tuple[Floats, Floats]:
        """Bounds of the probability at a decision: two of (n,), NaN where the model knows none."""
        spread = self.model.spread
        if spread is None:
            unknown = np.full(len(label), np.nan)
            return unknown, unknown
        groups = np.array([GROUPS[number] for number in self._group], dtype=object)
        member = groups[:, None] == np.array(spread.groups, dtype=object)
        added = contributions @ member.astype(float)
        deviation = spread.deviation(added, label, self.labels)
        return interval(log_odds, self._slope[label] * deviation)

    def _share(self, frame: pd.DataFrame) -> Floats | float:
        """Share of the risk at a decision that falls into the outcome window: (n,), or 1."""
        return 1.0 if self.model.timing is None else self.model.timing.share(frame)

    def _labels_of(self, inputs: pd.DataFrame) -> Codes:
        position = {label: i for i, label in enumerate(self.labels)}
        return np.asarray(inputs[SEGMENT].map(position), dtype=np.intp)

    def _place(self, label: Codes, terms: pd.DataFrame) -> Codes:
        """Where a row's baseline lies: its segment's, among terms of its kind: (n,)."""
        if not self.model.term_centres or self.model.timing is None:
            return label
        return self.model.timing.decisions.kinds(terms) * len(self.labels) + label

    def _losses(
        self, terms: pd.DataFrame, log_odds: Floats, usual: Floats
    ) -> dict[str, pa.Array | Floats]:
        """Probability of a loss within each horizon, by the name of its column."""
        curve = self.model.curve
        if curve is None:
            return {f"loss_{days}_days": pa.nulls(len(log_odds), _FLOAT) for days in HORIZONS}
        within = curve.within(terms, log_odds, usual)
        return {f"loss_{days}_days": within[:, place] for place, days in enumerate(HORIZONS)}

    def _refuse_absent(self, batch: pa.RecordBatch) -> None:
        needed = ["account_id", *self.model.required_columns]
        absent = [name for name in needed if name not in batch.schema.names]
        if absent:
            raise DataError(
                f"The feature rows must have every column the model reads, but {sample(absent)} "
                "is absent; build them with the settings the model was trained with."
            )
        doubled = sorted({n for n in needed if batch.schema.names.count(n) > 1})
        if doubled:
            raise DataError(
                f"The feature rows must name each column once, but {sample(doubled)} is there more "
                "than once; rename or drop one of them."
            )

    def _reasons(
        self,
        batch: pa.RecordBatch,
        values: Floats,
        top: NDArray[np.int32],
        points: Floats,
        limit: int,
    ) -> dict[str, pa.Array]:
        """Arrange points of each row as three lists of equal length, behaviour before context."""
        order = np.argsort(self._context[top], axis=1, kind="stable")[:, :limit]
        top = np.take_along_axis(top, order, axis=1)
        points = np.take_along_axis(points, order, axis=1)
        shown = np.abs(points) >= LEAST_POINTS
        offsets = np.concatenate([[0], shown.sum(axis=1).cumsum()]).astype(np.int32)
        row, _ = np.nonzero(shown)
        signal = top[shown].astype(np.intp)
        names = [one.name for one in self.model.signals]
        lists = {
            "reason_signals": _named(signal, names),
            "reason_points": pa.array(points[shown]),
            "reason_values": _texts(batch, self.model.signals, values, row, signal),
        }
        return {
            name: pa.ListArray.from_arrays(pa.array(offsets), items)
            for name, items in lists.items()
        }


def _codes_of(code: Codes, block: int, kinds: int) -> Codes:
    """Codes of segments in a plan that has them once for each kind of term, unseen ones as -1."""
    own = np.where(code < 0, block - 1, code)
    codes = (np.arange(kinds)[:, None] * block + own).ravel()
    return np.where(codes == kinds * block - 1, -1, codes)


def _known(numbers: Floats) -> pa.Array:
    """Numbers with null for NaN."""
    return pa.array(numbers, _FLOAT, mask=np.isnan(numbers))


def _named(position: Any, names: Any) -> pa.Array:
    """Texts by their position in a short list."""
    positions = pa.array(np.asarray(position, dtype=np.int32))
    return pa.DictionaryArray.from_arrays(
        positions, pa.array(names, pa.string())
    ).dictionary_decode()


def _numbers(column: pa.Array, name: str) -> Floats:
    """Numbers with NaN for null."""
    if not pa.types.is_floating(column.type):
        try:
            column = column.cast(pa.float64())
        except pa.ArrowInvalid as error:
            raise DataError(_not_finite(name, _unlike_numbers(column))) from error
        except pa.ArrowNotImplementedError as error:
            raise DataError(_not_finite(name, [f"values of type {column.type}"])) from error
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _unlike_numbers(column: pa.Array) -> list[str]:
    texts = [str(value) for value in pc.unique(column).to_pylist() if value is not None]
    return [text for text in texts if not _is_number(text)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _not_finite(name: str, values: list[str]) -> str:
    return (
        f"Signal {name!r} must hold finite numbers, or nothing where it is not known, but holds "
        f"{sample(values)}; correct the column it is built from."
    )


def _codes(column: pa.Array, levels: tuple[str, ...]) -> Floats:
    """Codes of categories; NaN for unknown and for one that training had not seen."""
    codes = pc.index_in(column.cast(pa.string()), value_set=pa.array(levels, pa.string()))
    return np.asarray(codes.cast(pa.float64()).to_numpy(zero_copy_only=False))


def _mrr(batch: pa.RecordBatch) -> pa.Array:
    if "mrr" not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.float64())
    mrr = batch["mrr"].cast(pa.float64())
    return pc.if_else(pc.is_nan(mrr), None, mrr)


def _texts(
    batch: pa.RecordBatch, signals: tuple[Signal, ...], values: Floats, row: Codes, signal: Codes
) -> pa.Array:
    """Write the observed value of a signal in each of some rows; null where it was not known."""
    number = values[row, signal]
    texts = pa.array(significant(number), mask=np.isnan(number)).cast(pa.string())
    for position, described in enumerate(signals):
        here = signal == position
        if described.is_categorical and here.any():
            names = batch[described.name].cast(pa.string()).take(pa.array(row[here]))
            texts = pc.replace_with_mask(texts, pa.array(here), names)
    return texts
