"""Compiled code is made once per machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.tree_shap import ShapPlan

numba = pytest.importorskip("numba")


def test_compiled_code_is_kept_for_the_next_process(plan: ShapPlan, tmp_path: Path) -> None:
    plan.save(tmp_path)
    script = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from models.tree_shap import ShapPlan\n"
        "from models.tree_shap.run import backends\n"
        "backends.LOADING = 0\n"
        "plan = ShapPlan.load(Path(sys.argv[1]))\n"
        "plan.explain(np.zeros((64, 10)), n_threads=1)\n"
        "from models.tree_shap.run.adding import add_tables\n"
        "from models.tree_shap.run.coding import code_block\n"
        "from models.tree_shap.run.summing import summarise_block\n"
        "for each in (add_tables, code_block, summarise_block):\n"
        "    print(sum(each.stats.cache_hits.values()), sum(each.stats.cache_misses.values()))\n"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            cwd=Path(__file__).parents[4],
            capture_output=True,
            text=True,
            check=True,
        )
        if done.stdout == "1 0\n" * 3:
            return
    pytest.fail(f"the second process compiled again: {done.stdout}")


def test_where_nothing_can_be_kept_code_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from models.tree_shap.run.compiled import compiled

    for locator in numba.core.caching.CacheImpl._locator_classes:
        monkeypatch.setattr(locator, "from_function", lambda *_: None)

    def twice(x: int) -> int:
        return 2 * x

    assert compiled(twice)(21) == 42
