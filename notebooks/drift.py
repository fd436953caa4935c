"""A company that changes: what is noticed, what is not, and what is a broken feed.

Edit with ``marimo edit notebooks/drift.py``, or run as a script with ``--config FILE``.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Drift")


@app.cell
def _():
    import sys
    from datetime import timedelta
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
        timedelta,
    )


@app.cell
def _(mo):
    mo.md("""
    # When does a model stop being right?

    A champion learnt from the past. It keeps how its signals were spread then, and later dates are
    held against that. Three things can happen, and they want three answers:

    | what happens | what to do |
    |---|---|
    | nothing, but chance and the ordinary change from month to month | leave it alone |
    | accounts behave differently | retrain, if the model rests on it |
    | a feed is broken: a table stops, a unit changes | repair it, and **do not** retrain |

    Here the newest date of the demo company is taken as it is, and then changed by hand, step by
    step.
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
def _(mo, project):
    champion = project.registry.champion()
    model, version = champion.model, champion.version
    kept = project.registry.reference(version)
    with mo.capture_stderr():
        today = project.rows_on()
    as_of = today["observation_date"].iloc[0].date()
    return as_of, kept, model, today


@app.cell
def _(as_of, hs, kept, model, timedelta):
    policy = hs.DriftPolicy()

    def check(rows):
        """Hold rows against the champion's reference, as if it were ninety days old."""
        held = hs.check_drift(
            model, kept.reference, rows, as_of, trained_on=as_of - timedelta(days=90), policy=policy
        )
        return held.decision, held.statistics, held.histograms

    return check, policy


@app.cell
def _(check, mo, today):
    usual, moved, _ = check(today)
    mo.md(f"""
    ## As it is

    {len(today):,} accounts of the newest date are held against the dates the champion learnt from.

    **{usual.status}**: {" ".join(usual.reasons)}
    """)
    return moved, usual


@app.cell
def _(hs, mo, moved, np, policy):
    psi = np.array([one.movement.psi for one in moved.signals])
    mo.md(f"""
    ## Why not simply 0.1?

    The **population stability index** says how far a signal moved. Custom has it that 0.1 is worth
    a look and 0.25 is alarming. Of {len(psi)} pairs of a signal and a segment, {
        int((psi > 0.1).sum())
    } are beyond 0.1 today, and {len(hs.noticed(moved, policy))} are beyond what chance and
    the ordinary change explain. In a small segment chance alone moves the index far; the picture
    shows the index beside the number of accounts.
    """)
    return


@app.cell
def _(Figure, moved, np):
    spread = Figure(figsize=(7, 3), layout="constrained")
    axes_of_spread = spread.subplots()
    accounts = np.array([one.rows for one in moved.signals])
    axes_of_spread.loglog(
        accounts, [max(one.movement.psi, 1e-4) for one in moved.signals], ".", label="today"
    )
    axes_of_spread.loglog(
        accounts,
        [max(one.movement.psi_high, 1e-4) for one in moved.signals],
        "_",
        color="#b0413e",
        label="95 % of the time below, when nothing is wrong",
    )
    axes_of_spread.axhline(0.1, color="#999999", linewidth=0.8)
    axes_of_spread.set(xlabel="accounts in the segment", ylabel="stability index")
    axes_of_spread.legend(frameon=False, fontsize=8)
    spread
    return


@app.cell
def _(mo, model):
    heaviest = max(model.weights["all"], key=model.weights["all"].get)
    group = mo.ui.dropdown(list(model.weights["all"]), value=heaviest, label="Group")
    share = mo.ui.slider(0, 100, step=5, value=40, label="Accounts that change, %", show_value=True)
    mo.vstack(
        [
            mo.md("""
    ## A crisis

    Now some of the accounts change: what was healthy in one group of signals becomes what formerly
    only the worst tenth had. Choose the group and how many. A real crisis would look alike: a price
    rise that some cannot pay, a release that broke something for some.
    """),
            mo.hstack([group, share], justify="start"),
        ]
    )
    return group, share


@app.cell
def _(group, model, np, today):
    def worsened(portion):
        """Move a portion of the accounts to where the worst tenth is in the chosen group."""
        rows = today.copy()
        hit = np.random.default_rng(7).random(len(rows)) < portion
        for signal in model.signals:
            if signal.group == group.value and signal.healthy != "none":
                values = rows[signal.name].astype(float)
                worst = values.quantile(0.9 if signal.healthy == "lower" else 0.1)
                rows[signal.name] = values.where(~hit, worst)
        return rows

    return (worsened,)


@app.cell
def _(check, group, hs, mo, model, share, today, worsened):
    changed = worsened(share.value / 100)
    crisis, crisis_moved, crisis_counts = check(changed)
    told = [
        float(hs.Scorer(model).score(rows).table["probability"].mean()) for rows in (today, changed)
    ]
    listed = "\n".join(f"    - {reason}" for reason in crisis.reasons)
    mo.md(f"""
    With {share.value} % of the accounts worse in {group.value}: **{crisis.status}**.

{listed}

    The champion itself tells of {told[1]:.1%} churn instead of {told[0]:.1%}. It may be right: a
    model need not be wrong because accounts are worse. Whether it still is right shows when
    outcomes mature, in {model.maturity_days} days. Until then, how much of its weight rests on what
    moved is the best reason to retrain.
    """)
    return crisis, crisis_counts, crisis_moved


@app.cell
def _(as_of, crisis_counts, crisis_moved, hs, kept, mo):
    # The signal that moved most, over all accounts.
    top = next(one.name for one in crisis_moved.signals if one.segment == "all")
    counts = kept.reference.signals[top]
    drawn = hs.shares_plot(
        counts.bins,
        hs.bin_labels(counts.bins),
        counts.table[0].sum(axis=0),
        crisis_counts.tables[top][0],
        top,
        f"drift-{as_of}",
    )
    mo.Html(drawn)
    return


@app.cell
def _(check, crisis, crisis_moved, mo, model, moved, pd, share, usual, worsened):
    checked = {0: (usual, moved), share.value: (crisis, crisis_moved)}
    steps = []
    for percent in sorted({0, 10, share.value, 80}):
        decided, found = checked.get(percent) or check(worsened(percent / 100))[:2]
        everywhere = [one for one in found.signals if one.segment == "all"]
        steps.append(
            {
                "accounts that change": f"{percent} %",
                "decision": decided.status,
                "largest index": round(max(one.movement.psi for one in everywhere), 2),
                "weight on what moved": f"{decided.drifted_weight.get('all', 0.0):.0%}",
            }
        )
    mo.vstack(
        [
            mo.md(f"""
    ## How much is too much?

    The same for more and more accounts. A decision weighs how far a signal moved by how much the
    champion rests on it: the {len(model.signals)} signals do not count alike.
    """),
            mo.ui.table(pd.DataFrame(steps), selection=None),
        ]
    )
    return (steps,)


@app.cell
def _(check, mo, model, today):
    counts_of_usage = [
        signal.name
        for signal in model.signals
        if signal.group == "usage" and signal.unit == "count"
    ]
    in_thousands = today.copy()
    in_thousands[counts_of_usage] = in_thousands[counts_of_usage] / 1000
    unit, _, _ = check(in_thousands)

    of_support = [
        signal.name
        for signal in model.signals
        if signal.group == "support" and not signal.is_categorical
    ]
    no_tickets = today.copy()
    no_tickets[of_support] = 0.0
    silence, _, _ = check(no_tickets)
    mo.md(f"""
    ## A broken feed is no drift

    Behaviour moves some accounts more than others. When *everybody* moves at once, by the same
    factor or to the same value, somebody changed the data and not the customers.

    **Usage is suddenly counted in thousands: {unit.status}.** {unit.reasons[0]}

    **The tickets no longer arrive: {silence.status}.** {silence.reasons[0]}

    Both look like the largest drift there ever was. A model retrained now would learn that nobody
    opens tickets any more, so retraining is blocked until the feed is repaired.
    """)
    return silence, unit


@app.cell
def _(mo):
    mo.md("""
    ## What to take along

    - `healthscore monitor` does all of this every night in the engine, without fetching a row, and
      ends with an exit code for a scheduler.
    - Drift is no reason to retrain by itself. What the champion does not rest on may move as it
      likes.
    - A challenger has to show that it is no worse before it serves: see *Drift and retraining* in
      the manual.
    """)
    return


if __name__ == "__main__":
    app.run()
