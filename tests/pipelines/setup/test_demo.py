"""``healthscore demo``: the whole way at once, which never goes over anybody's own work."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("name", ["healthscore.toml", "scores.duckdb"])
def test_a_folder_with_somebodys_work_is_refused(tmp_path, run, name: str) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    ran = run("demo", "--folder", tmp_path)
    assert (ran.code, ran.sentence) == (
        2,
        f"The folder '{tmp_path}' must be missing, empty or an earlier demo, but holds '{name}';"
        " choose another with --folder",
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


@pytest.mark.slow
def test_the_whole_way(tmp_path, run) -> None:
    folder = tmp_path / "demo"
    ran = run("demo", "--folder", folder, "--accounts", 350, "--months", 16)
    assert ran.code == 0, ran.err
    assert "Champion: version 1" in ran.out
    assert "Call first" in ran.out
    for line in ran.out.splitlines():
        if line.startswith("Next: "):
            told = run(*line.removeprefix("Next: healthscore ").split())
            assert told.code == 0, told.err
    for name in ("data", "data/truth", "healthscore.toml", "scores.duckdb"):
        assert (folder / name).exists()
