"""Files of a model: whatever is changed is refused, and a number that cannot be is named."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import RegistryError
from models.scoring.file_seal import SEAL_FILE, check_files, seal_files, seal_of
from models.scoring.health_model import MODEL_FILE, HealthModel

PLAN = "shap_plan/shap_plan.npz"


@pytest.fixture(scope="module")
def files(result, tmp_path_factory):
    """The bytes of a model's files by name."""
    folder = tmp_path_factory.mktemp("model")
    result.model.save(folder)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(files, tmp_path):
    return write(tmp_path, files)


def reverse_bands(described):
    scale = described["scale"]
    scale["at_risk_from"], scale["watch_from"] = scale["watch_from"], scale["at_risk_from"]


def negate(described):
    lines = described["calibrator"]["lines"]
    described["calibrator"]["lines"] = {name: [a, -b] for name, (a, b) in lines.items()}


def swap_signals(described):
    described["signals"][:2] = described["signals"][1::-1]


CHANGES = {
    "calibrator negated": (negate, "must rise with the margin, and is "),
    "calibrator shared": (
        lambda d: d["calibrator"].update(shared=[0.0, 0.0]),
        "the calibration of segment 'any other' must rise with the margin",
    ),
    "calibrator NaN": (lambda d: d["calibrator"].update(centre=float("nan")), "NaN is no finite"),
    "infinite": (lambda d: d["calibrator"].update(centre=float("inf")), "Infinity is no finite"),
    "scale": (lambda d: d["scale"].update(anchor_probability=2.0), "strictly between 0 and 1"),
    "bands reversed": (reverse_bands, "must not be above"),
    "weights zeroed": (
        lambda d: d["weights"]["all"].update(usage=0.0),
        "the weights of groups in segment 'all' must not be below 0 and sum to 100, and sum to",
    ),
    "weights below 0": (
        lambda d: d["signal_weights"].update(all={"a": 150.0, "b": -50.0}),
        "the weights of signals in segment 'all' must not be below 0 and sum to 100",
    ),
    "no weights": (lambda d: d["weights"].pop("all"), "weights of groups must be of all accounts"),
    "signal dropped": (lambda d: d["signals"].pop(), "and its weights speak of"),
    "signals reordered": (swap_signals, "and its weights speak of"),
    "centres": (lambda d: d["centres"]["all"].pop(), "segment 'all' has .* centres for "),
    "no centres": (lambda d: d.update(centres={}), "centres must be of all accounts too"),
    "maturity": (lambda d: d.update(maturity_days=-5), "must not be below 0, and is -5"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_number_that_cannot_be_is_named_in_a_model_without_a_seal(folder, name):
    change, message = CHANGES[name]
    described = json.loads((folder / MODEL_FILE).read_text())
    change(described)
    (folder / MODEL_FILE).write_text(json.dumps(described))
    with pytest.raises(RegistryError, match=r"'health_model.json' changed since it was sealed"):
        HealthModel.load(folder)
    (folder / SEAL_FILE).unlink()
    with pytest.raises(RegistryError, match=message) as refused:
        HealthModel.load(folder)
    assert "\n" not in str(refused.value)


def test_a_model_from_before_seals_is_loaded(folder):
    (folder / SEAL_FILE).unlink()
    assert HealthModel.load(folder).signals


def test_a_plan_of_other_heights_is_refused(folder):
    with np.load(folder / PLAN) as stored:
        arrays = dict(stored)
    arrays["additive_height"] = arrays["additive_height"] * 3
    np.savez_compressed(folder / PLAN, **arrays)
    with pytest.raises(RegistryError, match=re.escape(f"{PLAN!r} changed since it was sealed")):
        HealthModel.load(folder)


def test_a_plan_of_no_numbers_is_refused_without_a_seal(folder):
    (folder / SEAL_FILE).unlink()
    with np.load(folder / PLAN) as stored:
        arrays = dict(stored)
    arrays["additive_height"] = arrays["additive_height"] * np.nan
    np.savez_compressed(folder / PLAN, **arrays)
    with pytest.raises(RegistryError, match="a number of additive_height is not finite"):
        HealthModel.load(folder)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_changed_byte_of_any_file_is_noticed(files, tmp_path_factory, data):
    folder = write(tmp_path_factory.mktemp("changed"), files)
    seal = seal_of(folder)
    check_files(folder, seal)
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(RegistryError, match="is not as it was registered"):
        check_files(folder, seal)


def test_files_that_come_or_go_are_named(folder):
    (folder / "more.txt").write_text("")
    (folder / PLAN).unlink()
    message = (
        "'more.txt', 'shap_plan/shap_plan.npz' changed since it was sealed, or came or went; put "
        "its files back from a copy, roll back to another version or train again."
    )
    with pytest.raises(RegistryError, match=message):
        check_files(folder)


def test_a_seal_made_anew_is_refused_by_the_one_that_was_kept(folder):
    seal = seal_of(folder)
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes() + b" ")
    seal_files(folder)
    check_files(folder)
    with pytest.raises(RegistryError, match=r"'seal.json' has changed since the model was reg"):
        HealthModel.load(folder, seal)
    (folder / SEAL_FILE).unlink()
    with pytest.raises(RegistryError, match=r"'seal.json' is gone"):
        HealthModel.load(folder, seal)


def test_a_broken_seal_and_a_later_one_are_sentences(folder):
    for text in ("{", "[]", "[" * 100_000, '{"form": 1, "sha256": 7}'):
        (folder / SEAL_FILE).write_text(text)
        with pytest.raises(RegistryError, match=r"'seal.json' cannot be read"):
            HealthModel.load(folder)
    (folder / SEAL_FILE).write_text('{"form": 2, "sha256": {}}')
    message = r"bear a seal of form 2, but this version reads form 1; train again or install"
    with pytest.raises(RegistryError, match=message):
        HealthModel.load(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' + "[" * 100_000])
def test_deeply_nested_text_is_a_sentence(tmp_path, text):
    (tmp_path / MODEL_FILE).write_text(text)
    with pytest.raises(RegistryError, match=r"holds no usable model \(RecursionError"):
        HealthModel.load(tmp_path)


def test_trees_that_are_none_are_a_sentence(folder):
    described = json.loads((folder / MODEL_FILE).read_text())
    described["classifier"]["settings"]["n_rounds"] = 10
    (folder / MODEL_FILE).write_text(json.dumps(described))
    (folder / SEAL_FILE).unlink()
    (folder / "correction.txt").write_text("nothing")
    with pytest.raises(RegistryError, match="holds no usable model"):
        HealthModel.load(folder)


def test_the_file_is_readable_by_others(folder):
    described = json.load(io.BytesIO((folder / SEAL_FILE).read_bytes()))
    assert described["form"] == 1
    assert MODEL_FILE in described["sha256"]
