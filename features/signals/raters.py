"""Rater leniency: how far a rater's levels lie above those that others give to like accounts.

Raters see different accounts, so a plain mean per rater would take an easy portfolio for a
lenient hand. A rating is therefore taken as the sum of its dimension's mean, the account's level,
the rater's leniency and noise, the account and the rater being crossed random effects. Variances
come from moments; leniency is the best linear unbiased prediction, which compares a rater with the
others who rated the same account as far as there are any, and pulls raters with little evidence
toward zero by the credibility factor W·τ² / (W·τ² + σ²).

References
----------
C. R. Henderson, "Estimation of variance and covariance components", Biometrics 9(2), 1953
(method 1: the moments).
H. Bühlmann, E. Straub, "Glaubwürdigkeit für Schadensätze", Mitteilungen der Vereinigung
Schweizerischer Versicherungsmathematiker 70, 1970 (the credibility factor).
B. Efron, C. Morris, "Stein's paradox in statistics", Scientific American 236(5), 1977.
G. K. Robinson, "That BLUP is a good thing: the estimation of random effects", Statistical
Science 6(1), 1991.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.windows.panes import Keep

ROUNDS = 4
"""Rounds of correcting the others' leniency too; the remaining change is in the tests."""
NEGLIGIBLE = 1e-9
"""A variance below this share of the mean square is rounding: engines add in different orders."""

DATE = "observation_date"
CELL = (DATE, "account_id", "rater")


def rater_leniency(ratings: ir.Table, keep: Keep) -> ir.Table:
    """Estimate each rater's leniency on each date from the ratings known on it.

    Parameters
    ----------
    ratings : ibis table
        ``observation_date``, ``account_id``, ``rater``, ``dimension`` and ``rating``: each rating
        once for every date on which it counts.
    keep : callable
        Computes a step once, in the engine: see :meth:`features.tables.company.Company.keep`.

    Returns
    -------
    ibis table
        ``rater``, ``observation_date`` and ``leniency`` in levels of the scale, on average about
        zero: only differences between raters can be known.
    """
    cells = keep("rating_cells", rating_cells(ratings))
    cells = keep("rating_weights", _weighted(cells, rating_variances(cells)))
    leniency = keep("leniency", _round(cells.mutate(lenient=0.0)))
    for _ in range(ROUNDS - 1):
        known = cells.left_join(leniency, ["rater", DATE])
        corrected = known.select(*cells.columns, lenient=known.n * known.leniency)
        leniency = keep("leniency", _round(corrected))
    return leniency


def rating_cells(ratings: ir.Table) -> ir.Table:
    """Sum what each rater gave each account, as deviations from the dimension's mean.

    Returns
    -------
    ibis table
        Per date, account and rater: ``n`` ratings, their sum ``s`` and sum of squares ``q``.
    """
    parts = ratings.group_by(*CELL, "dimension").aggregate(
        n=ratings.count().cast("float64"),
        s=ratings.rating.sum(),
        q=(ratings.rating * ratings.rating).sum(),
    )
    means = parts.group_by(DATE, "dimension").aggregate(level=parts.s.sum() / parts.n.sum())
    joined = parts.inner_join(means, [DATE, "dimension"])
    off = joined.select(
        *CELL,
        "n",
        s=joined.s - joined.n * joined.level,
        q=joined.q - 2 * joined.level * joined.s + joined.n * joined.level * joined.level,
    )
    return off.group_by(*CELL).aggregate(n=off.n.sum(), s=off.s.sum(), q=off.q.sum())


def rating_variances(cells: ir.Table) -> ir.Table:
    """Estimate, per date, the variances of noise, accounts and raters by Henderson's method 1.

    Sums of squares over accounts and over raters are set equal to their expectations, two linear
    equations; noise is what varies within a cell.
    """
    shares = {"n": cells.n.sum(), "s": cells.s.sum(), "n2": (cells.n * cells.n).sum()}
    by_account = cells.group_by(DATE, "account_id").aggregate(**shares)
    by_rater = cells.group_by(DATE, "rater").aggregate(**shares)
    inside = cells.group_by(DATE).aggregate(
        total=cells.n.sum(),
        square=cells.q.sum(),
        noise=(cells.q - cells.s * cells.s / cells.n).sum(),
        spare=(cells.n - 1).sum(),
    )
    for name, groups in (("a", by_account), ("r", by_rater)):
        sums = groups.group_by(DATE).aggregate(
            **{
                f"groups_{name}": groups.count().cast("float64"),
                f"t_{name}": (groups.s * groups.s / groups.n).sum(),
                f"c_{name}": (groups.n2 / groups.n).sum(),
                f"k_{name}": (groups.n * groups.n).sum(),
            }
        )
        joined = inside.inner_join(sums, DATE)
        inside = joined.drop(*(column for column in joined.columns if column.endswith("_right")))
    t = inside.mutate(noise=inside.noise / inside.spare.nullif(0.0))
    # Coefficients of the accounts' and the raters' variance in the two equations.
    a_a, a_r = t.total - t.k_a / t.total, t.c_a - t.k_r / t.total
    r_a, r_r = t.c_r - t.k_a / t.total, t.total - t.k_r / t.total
    left_a = t.t_a - (t.groups_a - 1) * t.noise
    left_r = t.t_r - (t.groups_r - 1) * t.noise
    det = a_a * r_r - a_r * r_a
    solvable = det > NEGLIGIBLE * t.total * t.total
    mean_square = t.square / t.total
    estimates = {
        "noise": t.noise,
        "of_accounts": (left_a * r_r - left_r * a_r) / ibis.ifelse(solvable, det, ibis.null(float)),
        "of_raters": (left_r * a_a - left_a * r_a) / ibis.ifelse(solvable, det, ibis.null(float)),
    }
    return t.select(
        DATE,
        **{
            name: ibis.ifelse(value > NEGLIGIBLE * mean_square, value, 0.0)
            for name, value in estimates.items()
        },
    )


def _weighted(cells: ir.Table, variances: ir.Table) -> ir.Table:
    """Give each cell its weight, and the factor that makes others' sum the account's level.

    With ``m`` ratings by others, the account's level is their sum times v / (v·m + σ²), where v is
    the accounts' variance, and a deviation from it weighs n·(v·m + σ²) / (v·(m + n) + σ²).
    """
    totals = cells.group_by(DATE, "account_id").aggregate(all_n=cells.n.sum())
    t = cells.inner_join(totals, [DATE, "account_id"]).inner_join(variances, DATE)
    others = t.of_accounts * (t.all_n - t.n) + t.noise
    whole = t.of_accounts * t.all_n + t.noise
    return t.select(
        *CELL,
        "n",
        "s",
        "of_raters",
        "noise",
        weight=(t.n * others / whole.nullif(0.0)).fill_null(t.n),
        to_level=(t.of_accounts / others.nullif(0.0)).fill_null(0.0),
    )


def _round(cells: ir.Table) -> ir.Table:
    """Predict leniency when ``lenient``, what raters' leniency added to each cell, is known."""
    fair = cells.mutate(fair=cells.s - cells.lenient)
    totals = fair.group_by(DATE, "account_id").aggregate(all_fair=fair.fair.sum())
    t = fair.inner_join(totals, [DATE, "account_id"])
    above = t.s / t.n - (t.all_fair - t.fair) * t.to_level
    sums = (
        t.mutate(above=t.weight * above)
        .group_by("rater", DATE)
        .aggregate(
            above=lambda rows: rows.above.sum(),
            weight=lambda rows: rows.weight.sum(),
            of_raters=lambda rows: rows.of_raters.max(),
            noise=lambda rows: rows.noise.max(),
        )
    )
    credible = sums.of_raters / (sums.weight * sums.of_raters + sums.noise).nullif(0.0)
    return sums.select("rater", DATE, leniency=(sums.above * credible).fill_null(0.0))
