"""Learnt weights beside the true ones, and what other weights would have done.

Edit with ``marimo edit notebooks/weights_and_what_if.py``, or run as a script with
``--config FILE``.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Weights and what-if")


@app.cell
def _():
    import json
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
        json,
        mo,
        np,
        pd,
        sys,
    )


@app.cell
def _(mo):
    mo.md("""
    # What does the score rest on, and what if it rested on something else?

    Most health scores are weighted by gut feeling: 30 % usage, 20 % surveys. Here the weights come
    from what happened. First the model's own: how much of what sets accounts apart rests on each
    group of signals, and how sure that is. Then a scorecard's, which you may move yourself: what
    would *your* weights have done, on dates whose outcomes are known?
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
def _(project):
    champion = project.registry.champion()
    model, version = champion.model, champion.version
    return model, version


@app.cell
def _(mo, model, version):
    unsure = [
        f"{group} ({segment})"
        for segment, groups in model.certainty.groups.items()
        for group, sureness in groups.items()
        if segment != "all" and not sureness.enough_evidence
    ]
    doubtful = f"Not enough evidence for {', '.join(unsure)}." if unsure else ""
    mo.md(f"""
    ## The champion's weights

    Version {version} has the segments {
        ", ".join(name for name in model.weights if name != "all") or "all"
    }. Each bar is the weight of a group in a segment, with its 90 % interval. {doubtful}

    If segments differ, one score for all of them is wrong for most of them.
    """)
    return


@app.cell
def _(json, project):
    truth_file = project.folder / project.settings.source.url / "truth" / "weights.json"
    truth = json.loads(truth_file.read_text("utf-8"))["weights"] if truth_file.exists() else {}
    true_weights = {f"plan={plan}": weights for plan, weights in truth.items()}
    return (true_weights,)


@app.cell
def _(Figure, model, np, true_weights):
    segments = [name for name in model.weights if name != "all"] or ["all"]
    picture = Figure(figsize=(3.2 * len(segments), 3.4), layout="constrained")
    for axes, segment in zip(
        np.atleast_1d(picture.subplots(1, len(segments), sharey=True)), segments, strict=True
    ):
        weights = model.weights[segment]
        bounds = model.weight_intervals[segment]
        names = list(weights)
        share = np.array([weights[name] for name in names])
        low = np.array([bounds[name][0] for name in names])
        high = np.array([bounds[name][1] for name in names])
        axes.barh(names, share, xerr=[share - low, high - share], color="#7aa6c2", capsize=2)
        if segment in true_weights:
            real = [true_weights[segment].get(name, 0.0) for name in names]
            axes.plot(real, names, "D", color="#b0413e", markersize=4, label="truth")
            axes.legend(frameon=False, fontsize=8)
        axes.set(title=segment, xlabel="weight, %")
        axes.invert_yaxis()
    picture
    return


@app.cell
def _(mo, model, np, true_weights):
    shared = [segment for segment in model.weights if segment in true_weights]
    off = [
        abs(model.weights[segment][name] - true_weights[segment][name])
        for segment in shared
        for name in model.weights[segment]
    ]
    inside = [
        low <= true_weights[segment][name] <= high
        for segment in shared
        for name, (low, high) in model.weight_intervals[segment].items()
        if name in true_weights[segment]
    ]
    if off:
        told_of_truth = f"""The company is simulated, so its true weights are known: the red
    diamonds. The learnt ones are off by {np.mean(off):.1f} points on average, and
    {np.mean(inside):.0%} of the intervals hold the truth."""
    else:
        told_of_truth = "Nobody knows the true weights of these segments; the intervals have to do."
    mo.md(told_of_truth)
    return


@app.cell
def _(mo, project):
    with mo.capture_stderr():
        known = project.replay_rows()
    first, last = known.from_until
    mo.md(f"""
    ## A scorecard of your own

    A scorecard grades each group from 0 to 100 and adds the grades up by weight. Its rows from
    {first} to {last} are replayed: the weights that are recommended were learnt until
    {known.taught_until} only, so they know nothing of what they are judged on.

    Move the sliders. They need not sum to 100; only their shares count.
    """)
    return (known,)


@app.cell
def _(known, mo):
    sliders = mo.ui.dictionary(
        {
            name: mo.ui.slider(0, 100, value=round(share), label=name, show_value=True)
            for name, share in zip(known.names, known.today["all"].tolist(), strict=True)
        }
    )
    sliders.vstack()
    return (sliders,)


@app.cell
def _(known, mo, project, sliders):
    total = sum(sliders.value.values())
    mo.stop(total == 0, mo.callout("Give at least one group a weight.", kind="warn"))
    yours = {name: 100 * value / total for name, value in sliders.value.items()}
    replayed = known.replay(project.project, {"yours": {"all": yours}})
    return replayed, yours


@app.cell
def _(mo, pd, replayed):
    everybody = replayed.table[replayed.table["segment"] == "all"]
    shown = pd.DataFrame(
        {
            "weights": everybody["contender"],
            "AUC": [
                f"{value:.3f} ({low:.3f} to {high:.3f})"
                for value, low, high in everybody[["auc", "auc_low", "auc_high"]].to_numpy()
            ],
            "red accounts": everybody["red"].map("{:.0%}".format),
            "of the churners, red": [
                f"{value:.0%} ({low:.0%} to {high:.0%})"
                for value, low, high in everybody[
                    ["caught", "caught_low", "caught_high"]
                ].to_numpy()
            ],
        }
    )
    mo.vstack(
        [
            mo.md("""
    ## What they would have done

    All are cut so that as many accounts are red as today: whoever finds more churners finds them
    with the same number of calls. `today` are the weights under `[scorecard]`, or equal ones; `full
    model` is what the scorecard is a simple picture of.
    """),
            mo.ui.table(shown, selection=None),
        ]
    )
    return (everybody,)


@app.cell
def _(Figure, everybody, np):
    caught = Figure(figsize=(7, 2.2), layout="constrained")
    axes_of_caught = caught.subplots()
    value = 100 * everybody["caught"].to_numpy(float)
    reach = 100 * np.abs(everybody[["caught_low", "caught_high"]].to_numpy(float).T) - value
    axes_of_caught.errorbar(value, everybody["contender"], xerr=np.abs(reach), fmt="o", capsize=3)
    axes_of_caught.invert_yaxis()
    axes_of_caught.set(xlim=(0, 100), xlabel="of the churners, red in time, %")
    caught
    return


@app.cell
def _(known, mo, pd, yours):
    advice = known.advice["all"]
    beside = pd.DataFrame(
        {
            "group": known.names,
            "today": [round(value) for value in known.today["all"].tolist()],
            "yours": [round(yours[name]) for name in known.names],
            "recommended": [round(advice.weights[name]) for name in known.names],
        }
    )
    mo.vstack(
        [
            mo.md("""
    ## Where the recommended ones differ

    For all accounts together; `healthscore recommend` says the same per segment, with intervals and
    reasons. A weight that the outcomes do not speak against stays as it is.
    """),
            mo.ui.table(beside, selection=None),
        ]
    )
    return


@app.cell
def _(mo):
    mo.md("""
    ## What to take along

    - A weight says what foretells, not what works. Whether trainings *keep* customers takes a
      comparison of like with like.
    - Many sets of weights do nearly the same. Where intervals overlap, take the one people
      understand.
    - Next: `drift.py` asks how long any of this stays true.
    """)
    return


if __name__ == "__main__":
    app.run()
