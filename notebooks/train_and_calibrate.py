"""A model, its proof on later dates, and whether 5 % means 5 %.

Edit with ``marimo edit notebooks/train_and_calibrate.py``, or run as a script with
``--config FILE``.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Train and calibrate")


@app.cell
def _():
    import sys
    from pathlib import Path

    import marimo as mo
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    import healthscore as hs

    return (
        Figure,
        Path,
        hs,
        mo,
        np,
        pd,
        sys,
    )


@app.cell
def _(mo):
    mo.md("""
    # Does 5 % mean 5 %?

    A model is taught with the past and then asked about dates it has not seen. Two questions decide
    whether its scores may be acted on:

    1. **Does it rank?** Are those who left among those it warned of?
    2. **Is it calibrated?** Of all accounts told "5 %", do five in a hundred leave?

    Nothing here is registered: the model lives in this notebook and is gone when it closes.
    `healthscore train` does the same and makes the result the champion.
    """)
    return


@app.cell
def _(Path, hs, mo, sys):
    config = Path(str(mo.cli_args().get("config") or "demo/healthscore.toml"))
    if not config.exists():
        missing = f"There is no {config}: run 'make demo' first, or name a file with --config."
        if mo.app_meta().mode == "script":
            sys.exit(missing)
        mo.stop(True, mo.callout(missing, kind="warn"))
    project = hs.open_project(config)
    return (project,)


@app.cell
def _(hs, mo, project):
    with mo.capture_stderr():
        rows = project.labelled_rows()
    frame, maturity_days = rows.frame, rows.maturity_days
    result = hs.fit_health_model(rows, **project.learning(rows))
    model = result.model
    return frame, maturity_days, model, result


@app.cell
def _(maturity_days, mo, result):
    counts = result.counts
    mo.md(f"""
    ## Who learns, who judges

    The newest dates, from **{counts["holdout_from"]}** on, are held out: {counts["holdout_rows"]:,}
    rows, {counts["holdout_positives"]} churns. The model learns from {counts["training_rows"]:,}
    older rows, {counts["training_positives"]} churns. Between them is a gap of {maturity_days}
    days: on the first held-out date nobody knew yet how younger windows would end, so they are left
    out. A random split would let the model peek, and flatter it.
    """)
    return


@app.cell
def _(Figure, mo, pd, result):
    candidates = pd.DataFrame(result.choice["candidates"])
    tried = Figure(figsize=(7, 2.8), layout="constrained")
    axes_of_tried = tried.subplots()
    for shape, some in candidates.groupby("shape"):
        axes_of_tried.plot(some["rounds"], some["log_loss"], marker="o", markersize=3, label=shape)
    axes_of_tried.set(xlabel="rounds of trees", ylabel="log loss on later dates")
    axes_of_tried.legend(frameon=False)
    choice = result.choice
    mo.vstack(
        [
            mo.md(f"""
    ## What was chosen

    The model weighs two shapes: a straight **backbone** per segment that trees correct, and small
    **trees alone**. How many rounds of each help, and how much each may say, is asked of later
    dates, within the training rows: lower is better. Chosen were {choice["n_rounds"]} rounds on the
    backbone, and trees alone with a share of {choice["tree_share"]:.0%}. Together they are
    {choice["gain"]:.4f} below the better of the two.
    """),
            tried,
        ]
    )
    return candidates, choice


@app.cell
def _(mo, result):
    measured = result.metrics
    behaviour = measured.auc_behaviour
    verdict = (
        "Behaviour predicts churn."
        if measured.enough_evidence
        else "**There is not enough evidence that behaviour predicts churn.** Believe no score."
    )
    mo.md(f"""
    ## Does it rank?

    On the held-out dates the AUC is **{measured.auc.value:.3f}** ({measured.auc.low:.3f} to
    {measured.auc.high:.3f}). The riskiest tenth of the accounts churned
    {measured.top_decile_lift.value:.1f} times as often as all. Age and plan alone can rank, too, so
    the same is asked among accounts of like age and plan: {behaviour.value or float("nan"):.3f}
    ({behaviour.low or float("nan"):.3f} to {behaviour.high or float("nan"):.3f}). {verdict}

    The curve below: call accounts in the order of their risk, and so many of the churners are among
    those you have called.
    """)
    return (measured,)


@app.cell
def _(hs, result):
    hs.lift_plot(result.holdout)
    return


@app.cell
def _(measured, mo):
    mo.md(f"""
    ## Is it calibrated?

    Accounts are put into tenths by what they were told. Each point sets what was expected beside
    what happened; on the dashed line they agree. The mean distance is {measured.ece.value:.4f};
    true probabilities would be measured to have {measured.ece_by_chance:.4f}, by chance alone.
    """)
    return


@app.cell
def _(hs, result):
    hs.reliability_plot(result.calibration)
    return


@app.cell
def _(mo, pd, result):
    bands = pd.DataFrame(result.bands)
    shown = bands.assign(
        expected=bands["expected_rate"].map("{:.1%}".format, na_action="ignore"),
        observed=bands["observed_rate"].map("{:.1%}".format, na_action="ignore"),
        interval=[
            "" if pd.isna(low) else f"{low:.1%} to {high:.1%}"
            for low, high in zip(bands["low"], bands["high"], strict=True)
        ],
    )[["band", "rows", "positives", "expected", "observed", "interval"]]
    mo.vstack(
        [
            mo.md("""
    ## What people see

    Three bands are cut from the probability. Each is printed with what was observed, so that
    "at-risk" is not a colour but a rate.
    """),
            mo.ui.table(shown, selection=None),
        ]
    )
    return (bands,)


@app.cell
def _(hs, mo, np, pd, project, result):
    truth_file = project.folder / project.settings.source.url / "truth" / "rows.parquet"
    if not truth_file.exists():
        beside_truth = None
        told_of_truth = "These data are real, so nobody knows the true probabilities."
    else:
        truth = pd.read_parquet(truth_file)
        beside_truth = result.holdout.merge(truth, on=["account_id", "observation_date"])
        said = beside_truth["probability"].to_numpy(float)
        true = beside_truth["churn_probability"].to_numpy(float)
        counted = result.counts
        base = np.full(len(said), counted["training_positives"] / counted["training_rows"])
        losses = [hs.row_log_loss(true, risk).mean() for risk in (base, said, true)]
        captured = (losses[0] - losses[1]) / (losses[0] - losses[2])
        told_of_truth = f"""The company is simulated, so its true probabilities are known. Of what
    could be known beyond the base rate, the model captured **{captured:.0%}**. (Log loss on
    {len(said):,} held-out rows, over what was truly probable instead of over what was drawn.)"""
    mo.md(f"""
    ## And the truth?

    {told_of_truth}
    """)
    return (beside_truth,)


@app.cell
def _(Figure, beside_truth, mo):
    mo.stop(beside_truth is None)
    against = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes_of_truth = against.subplots()
    axes_of_truth.loglog(
        beside_truth["churn_probability"], beside_truth["probability"], ".", markersize=3, alpha=0.4
    )
    axes_of_truth.plot([0.001, 1], [0.001, 1], "--", color="#999999")
    axes_of_truth.set(
        xlim=(0.001, 1), ylim=(0.001, 1), xlabel="true probability", ylabel="what the model told"
    )
    against
    return


@app.cell
def _(frame, hs, mo, model, pd):
    newest = frame[frame["observation_date"] == frame["observation_date"].max()]
    scored = hs.Scorer(model).score(newest)
    lowest = int(scored.table["score"].to_numpy().argmin())
    account = scored.table.iloc[lowest]
    because = pd.DataFrame(
        [
            {"points": round(reason.points, 1), "what was seen": reason.sentence}
            for reason in scored.reasons()[lowest]
        ]
    )
    total = abs(round(account["baseline_score"] + scored.points[lowest].sum(), 6))
    mo.vstack(
        [
            mo.md(f"""
    ## One account, to the last digit

    Account {account["account_id"]} has the lowest score of {account["observation_date"]:%-d %B %Y}:
    **{account["score"]:.1f}**, a churn probability of {account["probability"]:.0%}. The typical
    account of {account["segment"]} has {account["baseline_score"]:.1f}; the points of
    {len(scored.signals)} signals lead from there to {total:.1f}. The five largest:
    """),
            mo.ui.table(because, selection=None),
        ]
    )
    return account, scored, total


@app.cell
def _(mo):
    mo.md("""
    ## What to take along

    - Trust the interval, not the figure: with few churns in the held-out dates it is wide.
    - A model may rank well and be badly calibrated, and the other way round. Points mean odds only
      if it is calibrated.
    - Next: `weights_and_what_if.py` asks what the score rests on.
    """)
    return


if __name__ == "__main__":
    app.run()
