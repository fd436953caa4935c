"""The benchmark's figures as tables for a terminal."""

from __future__ import annotations

from typing import Any

import numpy as np

Figures = dict[str, Any]


def report(figures: Figures) -> None:
    """Print every part that was measured."""
    for accounts, size in figures.get("sizes", {}).items():
        _contest(accounts, size)
        _calibration(size["calibration"])
        _weights(size)
    if coverage := figures.get("coverage"):
        _coverage(coverage)
    if speed := figures.get("speed"):
        _speed(figures, speed)
    if public := figures.get("public"):
        print()
    for name, found in (public or {}).items():
        print(f"{name}: {_public(found)}")
    if figures.get("best_peer"):
        ahead = figures["ours_ahead"]
        print(
            f"\nCaptured {figures['captured']:.3f} at {figures['accounts']:,} accounts;"
            f" {figures['best_peer']} {figures['captured_best_peer']:.3f}, so ours is ahead by"
            f" {ahead['mean']:+.3f} ({ahead['low']:+.3f} to {ahead['high']:+.3f})"
        )


def _contest(accounts: int, size: Figures) -> None:
    positives, rows = sum(size["positives"]), sum(size["rows"])
    print(
        f"\n{accounts:,} accounts, seeds {' '.join(map(str, size['seeds']))}: {positives:,} churns"
        f" in {rows:,} held-out rows; AUC of the truth {np.mean(size['auc_truth']):.3f}"
    )
    heads = ("captured", "90 %", "no luck", "AUC", "ours ahead by", "seconds", "GiB")
    print(f"  {'':24}{heads[0]:>8} {heads[1]:>15} {heads[2]:>8} {heads[3]:>6}", end=" ")
    print(f"{heads[4]:>24} {heads[5]:>8} {heads[6]:>5}")
    models = size["models"]
    for name in sorted(models, key=lambda each: -models[each]["captured"]):
        found = models[name]
        ahead = found.get("ours_ahead")
        gap = f"{ahead['mean']:+.3f} ({ahead['low']:+.3f} {ahead['high']:+.3f})" if ahead else ""
        print(
            f"  {name:24}{found['captured']:8.3f} ({found['low']:6.3f} {found['high']:6.3f})"
            f" {found['captured_expected']:8.3f} {np.mean(found['auc']):6.3f} {gap:>24}"
            f" {np.mean(found['train_seconds']):8.0f} {found['peak_gib']:5.2f}"
        )
    print(
        "  no luck: judged on the true probabilities instead of what happened;"
        f" plain LightGBM tuned in {size['trials']} trials"
    )


def _calibration(found: Figures) -> None:
    print(f"  ECE {found['ece']:.4f} (a perfect model of this size {found['ece_by_chance']:.4f})")
    for part in found["segments"]:
        print(
            f"    {part['segment']:18} {part['accounts']:>7,} accounts: {part['ece']:.4f}"
            f" (by chance {part['ece_by_chance']:.4f})"
        )


def _weights(size: Figures) -> None:
    ours, pooled = size["weights"], size["weights_pooled"]
    if ours["mean"] is None:
        print("  no segment was large enough for weights of its own")
        return
    beside = f"; SHAP shares of the pooled LightGBM {pooled['mean']:.2f}" if pooled else ""
    print(f"  weight error {ours['mean']:.2f} points of 100{beside}")
    for segment, error in ours["by_segment"].items():
        beside = f" ({pooled['by_segment'][segment]:.2f})" if pooled else ""
        print(f"    {segment:18} {error:.2f}{beside}")


def _coverage(found: Figures) -> None:
    error, accounts = found["weight_error"], found["accounts"]
    if found["coverage"] is None:
        print(f"\nWeights at {accounts:,} accounts: no intervals to count")
        return
    print(
        f"\nWeights of {found['companies']} companies of {accounts:,} accounts: 90 % intervals"
        f" cover {found['coverage']:.1%} ({found['low']:.1%} to {found['high']:.1%}) of the true"
        f" ones, {found['mean_width']:.1f} points wide; error {error['mean']:.2f}"
    )
    groups = list(found["by_group"])
    print(f"  {'bias in points':18}" + "".join(f"{group[:11]:>12}" for group in groups))
    for segment, bias in error["bias"].items():
        cells = "".join(f"{bias[group]:+12.2f}" for group in groups)
        print(f"  {segment:18}{cells}   covered {found['by_segment'][segment]:.0%}")
    print(f"  {'covered':18}" + "".join(f"{found['by_group'][group]:>12.0%}" for group in groups))


def _speed(figures: Figures, speed: Figures) -> None:
    print(f"\n{speed['rows']:,} rows of {speed['accounts']:,} accounts, {speed['rounds']} rounds")
    for name in ("whole training", "one fit", "lgb.train"):
        print(f"  {name:16}{speed[name]['seconds']:8.1f} s {speed[name]['peak_gib']:6.2f} GiB")
    print(
        f"  against lgb.train: whole training {figures['train_seconds_ratio']:.1f} x the time and"
        f" {figures['train_memory_ratio']:.2f} x the memory, one fit"
        f" {figures['fit_seconds_ratio']:.1f} x and {figures['fit_memory_ratio']:.2f} x"
    )


def _public(found: Figures | None) -> str:
    if found is None:
        return "failed"
    if "skipped" in found:
        return f"skipped, {found['skipped']}"
    verdicts = {name: part["enough_evidence"] for name, part in found["segments"].items()}
    enough = [name for name, verdict in verdicts.items() if verdict]
    return (
        f"log loss {found['log_loss']:.4f} ({found['log_loss_low']:.4f} to"
        f" {found['log_loss_high']:.4f}; base rate {found['log_loss_base']:.4f}), AUC"
        f" {found['auc']:.3f} ({found['auc_low']:.3f} to {found['auc_high']:.3f}), evidence"
        f" {'enough' if found['enough_evidence'] else 'not enough'}; enough in {len(enough)} of"
        f" {len(verdicts)} segment(s)"
    )
