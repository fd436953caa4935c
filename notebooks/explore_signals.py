"""What the tables say about accounts that stay and accounts that leave.

Edit with ``marimo edit notebooks/explore_signals.py``, or run as a script with ``--config FILE``.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Explore signals")


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
    # What do accounts do before they leave?

    A **signal** is something that was known about an account on a date: how much it used the
    product in the 28 days before, how many invoices were overdue. Before anything is learnt from
    signals, it pays to look at them: are they there, do they differ between those who stay and
    those who leave, and when?

    Each row below is an account on an **observation date**. Its signals come from before that date;
    whether it churned, from the window after it.
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
        rows, events = project.labelled_rows(), project.events()
    frame, signals = rows.frame, rows.signals
    labels = hs.labels_of(signals)
    numeric = [signal for signal in signals if not signal.is_categorical]
    return events, frame, labels, numeric, signals


@app.cell
def _(frame, mo, signals):
    mo.md(f"""
    ## The rows

    There are **{len(frame):,} rows** of {frame["account_id"].nunique():,} accounts on
    {frame["observation_date"].nunique()} dates, with {len(signals)} signals each. In
    {int(frame["happened"].sum()):,} of them the account churned in the window after,
    {frame["happened"].mean():.1%} of all. Only dates whose window is over are here: nobody counts
    as "stayed" who may still leave.

    Is churn the same on all dates? If it rises or falls much, or has a season, a model that was
    taught with the past is off on average, and that has to be watched.
    """)
    return


@app.cell
def _(Figure, frame, hs, pd):
    by_date = pd.DataFrame(
        {
            day: hs.rate_row(rows["happened"].to_numpy(float), rows["happened"].to_numpy(float))
            for day, rows in frame.groupby("observation_date")
        }
    ).T.astype(float)
    over_time = Figure(figsize=(7, 2.8), layout="constrained")
    axes_of_dates = over_time.subplots()
    axes_of_dates.fill_between(
        by_date.index, 100 * by_date["low"], 100 * by_date["high"], alpha=0.2, label="90 % interval"
    )
    axes_of_dates.plot(by_date.index, 100 * by_date["observed_rate"], marker="o", markersize=3)
    axes_of_dates.set(ylim=(0, None), ylabel="churned in the window, %", title="Churn by date")
    axes_of_dates.tick_params(axis="x", labelsize=8, rotation=30)
    axes_of_dates.legend(frameon=False)
    over_time
    return (by_date,)


@app.cell
def _(labels, mo, numeric):
    chosen = mo.ui.dropdown(
        options={labels[signal.name]: signal.name for signal in numeric},
        value=labels[numeric[0].name],
        label="Signal",
    )
    mo.vstack(
        [
            mo.md("""
    ## One signal

    Accounts are put in order by a signal and cut into fifths. If the signal tells something, churn
    climbs or falls from left to right. "Not known" is a group of its own: that a thing was never
    measured often says more than its value.
    """),
            chosen,
        ]
    )
    return (chosen,)


@app.cell
def _(Figure, chosen, frame, hs, labels, np, pd):
    values = frame[chosen.value].astype(float)
    fifths = pd.qcut(values.rank(method="first"), 5, labels=False)
    parts = {
        f"fifth {int(place) + 1}": fifths == place for place in sorted(fifths.dropna().unique())
    }
    parts["not known"] = values.isna()
    cut = pd.DataFrame(
        {
            name: hs.rate_row(frame["happened"].to_numpy(float)[inside], values.to_numpy()[inside])
            | {"from": values[inside].min(), "to": values[inside].max()}
            for name, inside in parts.items()
            if inside.any()
        }
    ).T.astype(float)
    one_signal = Figure(figsize=(7, 2.8), layout="constrained")
    axes_of_signal = one_signal.subplots()
    axes_of_signal.bar(cut.index, 100 * cut["observed_rate"], color="#7aa6c2")
    axes_of_signal.errorbar(
        cut.index,
        100 * cut["observed_rate"],
        yerr=100 * np.abs(cut[["low", "high"]].T.to_numpy() - cut["observed_rate"].to_numpy()),
        fmt="none",
        color="#333333",
        capsize=3,
    )
    axes_of_signal.set(ylabel="churned in the window, %", title=labels[chosen.value])
    for name, row in cut.iterrows():
        if name != "not known":
            span = f"{row['from']:,.3g} to {row['to']:,.3g}"
            axes_of_signal.annotate(
                span, (name, 0), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=7
            )
    one_signal
    return (cut,)


@app.cell
def _(mo):
    mo.md("""
    ## All of them

    How well does each signal alone tell those who leave from those who stay? The **AUC** is the
    chance that, of two accounts of which one left, the signal points at the right one; 0.5 is a
    coin. These are the same rows for all, so read it as a ranking, not as a promise: a model's
    promise is kept or broken on later dates, which is the next notebook's story.
    """)
    return


@app.cell
def _(Figure, frame, hs, labels, np, numeric, pd):
    happened = frame["happened"].to_numpy(float)
    alone = []
    for signal in numeric:
        column = frame[signal.name].to_numpy(float)
        known = ~np.isnan(column)
        if known.sum() > 100 and 0 < happened[known].sum() < known.sum():
            auc = hs.Ranking(happened[known], column[known]).auc(np.ones(known.sum()))
            way = "more" if auc > 0.5 else "less"
            alone.append((signal.name, signal.group, max(auc, 1 - auc), way, known.mean()))
    ranked = pd.DataFrame(alone, columns=["signal", "group", "auc", "churners have", "known"])
    ranked = ranked.sort_values("auc", ascending=False, ignore_index=True)
    top = ranked.head(15)
    ranking = Figure(figsize=(7, 4.4), layout="constrained")
    axes_of_ranking = ranking.subplots()
    for group, inside in top.groupby("group"):
        axes_of_ranking.barh(inside.index, inside["auc"], label=group)
    ways = zip(top["signal"], top["churners have"], strict=True)
    axes_of_ranking.set_yticks(top.index, [f"{labels[name]} ({way})" for name, way in ways])
    axes_of_ranking.invert_yaxis()
    axes_of_ranking.set(
        xlim=(0.5, None), xlabel="AUC alone", title="Churners have more or less of it"
    )
    axes_of_ranking.legend(frameon=False, fontsize=8, loc="lower right")
    ranking
    return (ranked,)


@app.cell
def _(frame, labels, mo, pd, ranked):
    together = frame[ranked["signal"].head(30)].corr(method="spearman")
    pairs = [
        (labels[one], labels[other], together.loc[one, other])
        for place, one in enumerate(together)
        for other in list(together)[:place]
        if abs(together.loc[one, other]) > 0.8
    ]
    alike = pd.DataFrame(pairs, columns=["signal", "and signal", "rank correlation"])
    mo.vstack(
        [
            mo.md(f"""
    ## Which say the same?

    Of the thirty best, {len(alike)} pairs move together closely (rank correlation beyond 0.8).
    They share the points between them: that a signal gets few does not mean that it says little.
    """),
            mo.ui.table(alike.round(2), selection=None, page_size=8),
        ]
    )
    return (alike,)


@app.cell
def _(mo):
    mo.md("""
    ## How early does it show?

    For accounts that left: where did they stand among all accounts of the same date, one, two … six
    months before? 50 is the middle. The further a line is from 50, and the earlier it leaves it,
    the more time there is to call.
    """)
    return


@app.cell
def _(Figure, events, frame, labels, mo, pd, ranked):
    mo.stop(
        events is None, mo.md("The outcome has no day of its own, so there is nothing to draw.")
    )
    watched = ranked.drop_duplicates("group")["signal"].head(4).tolist()
    places = frame.groupby("observation_date")[watched].rank(pct=True).mul(100)
    places = places.assign(account_id=frame["account_id"], day=frame["observation_date"])
    before = places.merge(events, on="account_id")
    gap = (pd.to_datetime(before["happened_at"]) - before["day"]).dt.days
    before = before.assign(months=(gap // 30) + 1)[(gap >= 0) & (gap < 180)]
    path = before.groupby("months")[watched].mean()
    early = Figure(figsize=(7, 3), layout="constrained")
    axes_of_path = early.subplots()
    for watched_signal in watched:
        axes_of_path.plot(
            path.index, path[watched_signal], marker="o", label=labels[watched_signal]
        )
    axes_of_path.axhline(50, color="#999999", linewidth=0.8)
    axes_of_path.invert_xaxis()
    axes_of_path.set(
        xlabel="months before they left", ylabel="mean place among all accounts, 0 to 100"
    )
    axes_of_path.legend(frameon=False, fontsize=8)
    early
    return (path,)


@app.cell
def _(mo):
    mo.md("""
    ## What to take along

    - A signal that is hardly ever known helps hardly anybody, however well it ranks.
    - What is far ahead of all others deserves suspicion before joy: may it be filled in *because*
      somebody left? `healthscore backtest` asks that of every signal.
    - Next: `train_and_calibrate.py` teaches a model with these rows and holds it against later
      dates.
    """)
    return


if __name__ == "__main__":
    app.run()
