"""A plan on disk: what is written is read, and nothing else is believed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import lightgbm as lgb
import numpy as np
import pytest

from features.errors import RegistryError
from models.tree_shap import ShapPlan
from models.tree_shap.run.plan_file import PLAN_FILE


def rewritten(folder: Path, name: str, change: Any) -> None:
    with np.load(folder / PLAN_FILE) as stored:
        arrays = dict(stored.items())
    arrays[name] = change(arrays[name])
    np.savez(folder / PLAN_FILE, **arrays)


def about(**changes: Any) -> Any:
    def change(array: Any) -> Any:
        text = json.dumps(json.loads(array.tobytes()) | changes)
        return np.frombuffer(text.encode(), np.uint8)

    return change


def test_a_plan_comes_back_from_its_file(
    plan: ShapPlan, booster: lgb.Booster, X: Any, tmp_path: Path
) -> None:
    plan.save(tmp_path / "deep" / "folder")
    for given in (None, booster):
        again = ShapPlan.load(tmp_path / "deep" / "folder", booster=given)
        assert again.shap_values(X[:200]).tobytes() == plan.shap_values(X[:200]).tobytes()
        assert again.expected_value == plan.expected_value
        assert again.n_features == 10
        assert again.fallback is None


def test_an_interventional_plan_comes_back(booster: lgb.Booster, X: Any, tmp_path: Path) -> None:
    plan = ShapPlan.compile(booster, background=X[100:130])
    plan.save(tmp_path)
    again = ShapPlan.load(tmp_path, booster=booster)
    assert again.shap_values(X[:200]).tobytes() == plan.shap_values(X[:200]).tobytes()


def test_a_plan_knows_its_trees(
    plan: ShapPlan, booster: lgb.Booster, trained: Any, tmp_path: Path
) -> None:
    text = booster.model_to_string()
    assert plan.matches(text)
    # Reading and writing a model changes the settings after its trees.
    assert plan.matches(lgb.Booster(model_str=text).model_to_string())
    other = trained(n_rounds=2)
    assert not plan.matches(other.model_to_string())
    assert not plan.matches(None)
    plan.save(tmp_path)
    with pytest.raises(RegistryError, match="is of other trees; compile it again from its model"):
        ShapPlan.load(tmp_path, booster=other)


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"shap_plan.npz' cannot be read \(FileNotFound"):
        ShapPlan.load(tmp_path)


class _Marks:
    """What leaves a mark when somebody unpickles it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_objects_in_a_plan_are_not_brought_to_life(plan: ShapPlan, tmp_path: Path) -> None:
    plan.save(tmp_path)
    mark = tmp_path / "mark"
    rewritten(tmp_path, "coding_kind", lambda kept: np.array([_Marks(mark)], dtype=object))
    with pytest.raises(RegistryError, match=r"cannot be read \(ValueError: Object arrays cannot"):
        ShapPlan.load(tmp_path)
    assert not mark.exists()


def test_an_array_that_claims_to_be_endless_is_refused(plan: ShapPlan, tmp_path: Path) -> None:
    plan.save(tmp_path)
    head = io.BytesIO()
    said = {"descr": "<f8", "fortran_order": False, "shape": (10**11,)}
    np.lib.format.write_array_header_1_0(head, said)
    with ZipFile(tmp_path / PLAN_FILE, "a") as archive:
        archive.writestr("endless.npy", head.getvalue() + bytes(64))
    with pytest.raises(RegistryError, match="cannot be read"):
        ShapPlan.load(tmp_path)


@pytest.mark.parametrize("where", [0, 500, 5000, -30])
def test_a_plan_with_a_broken_byte_is_refused(plan: ShapPlan, tmp_path: Path, where: int) -> None:
    plan.save(tmp_path)
    content = bytearray((tmp_path / PLAN_FILE).read_bytes())
    content[where] ^= 0xFF
    (tmp_path / PLAN_FILE).write_bytes(content)
    with pytest.raises(RegistryError, match=r"cannot be read \(.*\); compile it again from its"):
        ShapPlan.load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_half_a_plan_is_refused(plan: ShapPlan, tmp_path: Path, share: float) -> None:
    plan.save(tmp_path)
    content = (tmp_path / PLAN_FILE).read_bytes()
    (tmp_path / PLAN_FILE).write_bytes(content[: int(share * len(content))])
    with pytest.raises(RegistryError, match=r"cannot be read \(.*\); compile it again from its"):
        ShapPlan.load(tmp_path)


def test_a_later_format_is_refused(plan: ShapPlan, tmp_path: Path) -> None:
    plan.save(tmp_path)
    rewritten(tmp_path, "about", about(format=2))
    with pytest.raises(RegistryError, match="has format 2, but this version reads format 1"):
        ShapPlan.load(tmp_path)


# Each would make compiled code read or write outside its arrays.
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("about", about(n_features=11)),
        ("tables_feature", lambda a: a + 1000),
        ("tables_feature", lambda a: -a - 1),
        ("tables_feature", lambda a: a * 0),
        ("tables_start", lambda a: a * 2),
        ("tables_start", lambda a: a[::-1].copy()),
        ("tables_start", lambda a: a[:-1]),
        ("tables_place", lambda a: a * 0 + 60_000),
        ("tables_place_start", lambda a: a + 1),
        ("tables_entry", lambda a: a[:-1]),
        ("tables_entry", lambda a: a.astype(np.int64)),
        ("tables_entry", lambda a: a.reshape(-1, 1)),
        ("tables_entry", lambda a: a.astype(object)),
        ("tables_entry_start", lambda a: a // 2),
        ("tables_chunk", lambda a: a + 5),
        ("coding_size", lambda a: a + 1),
        ("coding_size", lambda a: a * 100),
        ("coding_kind", lambda a: a * 0 + 1),
        ("coding_kind", lambda a: a[:-1]),
        ("coding_start", lambda a: a * 3),
        ("coding_threshold", lambda a: a[:5]),
        ("coding_threshold", lambda a: a * np.nan),
        ("tables_entry", lambda a: a * np.nan),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    plan: ShapPlan, tmp_path: Path, name: str, change: Any
) -> None:
    plan.save(tmp_path)
    rewritten(tmp_path, name, change)
    with pytest.raises(RegistryError, match=r"cannot be read \(.*\); compile it again from its"):
        ShapPlan.load(tmp_path)


def test_a_node_that_parts_missing_values_from_all_others_comes_back(
    plan: ShapPlan, tmp_path: Path
) -> None:
    plan.save(tmp_path)
    # LightGBM writes infinity where a node sends every known value the same way.
    rewritten(tmp_path, "coding_threshold", lambda a: np.append(a[:-1], np.inf))
    assert ShapPlan.load(tmp_path).n_features == plan.n_features
