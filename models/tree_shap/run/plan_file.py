"""What a plan holds, and the file it is kept in: numpy arrays and JSON, nothing that is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import RegistryError
from models.tree_shap.run.additive_part import AdditivePart
from models.tree_shap.run.codes import Coding
from models.tree_shap.run.tables import Tables

PLAN_FILE = "shap_plan.npz"
FORMAT = 1
# The line of LightGBM's model text that follows the last tree.
END_OF_TREES = "end of trees"
# Types of the arrays that are not int64.
DTYPES = {
    **dict.fromkeys(("threshold", "knot", "height", "slope", "unknown", "base"), np.float64),
    "place": np.uint16,
    "entry": np.int32,
}


@dataclass(frozen=True)
class PlanParts:
    """What a plan knows of its model.

    Attributes
    ----------
    n_features : int
        Columns of X.
    expected_value : float
        Margin of the trees before anything is known of a row.
    coding, tables : Coding, Tables
        The trees; without any where LightGBM is asked instead.
    additive : AdditivePart or None
        What is added to their values.
    interventional : bool
        Whether values are counted from background rows.
    fallback : str or None
        Why LightGBM is asked instead.
    trees : str or None
        Fingerprint of the trees; None where there are none.
    grid_bits : int
        Values are multiples of ``2**-grid_bits``.
    """

    n_features: int
    expected_value: float
    coding: Coding
    tables: Tables
    additive: AdditivePart | None
    interventional: bool
    fallback: str | None
    trees: str | None
    grid_bits: int


def fingerprint(text: str) -> str:
    """SHA-256 of what a model, in LightGBM's text format, computes: features' number and trees.

    The settings and importances that follow the trees change when a model is read and written
    again, so they do not count.
    """
    head, _, trees = text.split(f"\n{END_OF_TREES}", 1)[0].partition("\nTree=")
    entries = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    parts = [entries.get("max_feature_idx", ""), trees.strip()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def write_plan(folder: Path, parts: PlanParts) -> None:
    """Write a plan's file into a folder."""
    about = {
        "format": FORMAT,
        "n_features": parts.n_features,
        "expected_value": parts.expected_value,
        "interventional": parts.interventional,
        "fallback": parts.fallback,
        "trees": parts.trees,
        "grid_bits": parts.grid_bits,
        "bits": parts.tables.bits,
    }
    arrays: dict[str, Any] = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    arrays |= {f"coding_{name}": array for name, array in _arrays(parts.coding).items()}
    arrays |= {f"tables_{name}": array for name, array in _arrays(parts.tables).items()}
    if parts.additive is not None:
        arrays |= {f"additive_{name}": array for name, array in _arrays(parts.additive).items()}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / PLAN_FILE).open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_plan(folder: Path) -> PlanParts:
    """Read what :func:`write_plan` wrote.

    Raises
    ------
    RegistryError
        When the file is absent, damaged, or of another format.
    """
    file = folder / PLAN_FILE
    try:
        with file.open("rb") as opened, np.load(opened) as stored:
            arrays = dict(stored.items())
        about = json.loads(arrays["about"].tobytes())
        if about["format"] != FORMAT:
            raise RegistryError(
                f"The SHAP plan {str(file)!r} has format {about['format']}, but this version reads "
                f"format {FORMAT}; compile it again from its model."
            )
        return _parts(about, arrays)
    except RegistryError:
        raise
    except Exception as error:  # a damaged archive fails in a dozen ways
        raise RegistryError(
            f"The SHAP plan {str(file)!r} cannot be read ({type(error).__name__}: "
            f"{str(error)[:200]}); compile it again from its model."
        ) from error


def _parts(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> PlanParts:
    coding = Coding(**_named(Coding, "coding", arrays))
    tables = Tables(**_named(Tables, "tables", arrays), bits=int(about["bits"]))
    additive = None
    if "additive_kind" in arrays:
        additive = AdditivePart(**_named(AdditivePart, "additive", arrays))
    n_features = int(about["n_features"])
    if not (
        len(coding.kind) == n_features
        and coding.fits()
        and tables.fits(coding)
        and (additive is None or (len(additive.kind) == n_features and additive.fits()))
    ):
        raise ValueError("its arrays do not fit each other")
    return PlanParts(
        n_features=n_features,
        expected_value=float(about["expected_value"]),
        coding=coding,
        tables=tables,
        additive=additive,
        interventional=bool(about["interventional"]),
        fallback=about["fallback"],
        trees=about["trees"],
        grid_bits=int(about["grid_bits"]),
    )


def _arrays(part: Coding | Tables | AdditivePart) -> dict[str, NDArray[Any]]:
    found = {field.name: getattr(part, field.name) for field in fields(part)}
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def _named(kind: Any, name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Take a part's arrays, each of the type the compiled code reads."""
    found = {}
    for field in fields(kind):
        if (key := f"{name}_{field.name}") in arrays:
            dtype = np.dtype(DTYPES.get(field.name, np.int64))
            dimensions = 2 if field.name in ("height", "slope", "unknown") else 1
            if arrays[key].dtype != dtype or arrays[key].ndim != dimensions:
                raise ValueError(f"{key} is {arrays[key].dtype} of shape {arrays[key].shape}")
            # A node that parts missing values from all others compares with infinity.
            sound = (
                ~np.isnan(arrays[key]) if field.name == "threshold" else np.isfinite(arrays[key])
            )
            if not sound.all():
                raise ValueError(f"a number of {key} is not finite")
            found[field.name] = np.ascontiguousarray(arrays[key])
    return found
