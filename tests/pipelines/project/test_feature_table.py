"""``healthscore features``: the table in a file is the one that scoring and training read."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from pipelines.project.project import load_project
from pipelines.project.rows import labelled_rows


def test_the_table_of_a_date(scored, run, tmp_path) -> None:
    file = tmp_path / "table.parquet"
    answer = run(
        "features", "-c", scored.config, "--as-of", "2025-06-01", "--out", file, "--json"
    ).answer
    frame = pd.read_parquet(file)
    listed = run("signals", "-c", scored.config, "--json").answer["signals"]
    names = [signal["name"] for signal in listed]
    assert answer == {
        "file": str(file),
        "rows": len(frame),
        "signals": len(names),
        "dates": ["2025-06-01"],
        "warnings": [],
    }
    assert set(frame.columns) == {"account_id", "observation_date", *names}
    assert frame.account_id.is_unique
    assert (frame.observation_date == pd.Timestamp(date(2025, 6, 1))).all()


def test_the_labelled_table_is_what_train_reads(scored, run, tmp_path) -> None:
    file = tmp_path / "table.csv"
    answer = run("features", "-c", scored.config, "--labelled", "--out", file, "--json").answer
    rows = labelled_rows(load_project(scored.config))
    wanted, signals = rows.frame, rows.signals
    written = pd.read_csv(file, parse_dates=["observation_date"])
    assert answer["rows"] == len(wanted) == len(written)
    assert list(written.columns) == list(wanted.columns)
    assert written.happened.tolist() == wanted.happened.tolist()
    numbers = [signal.name for signal in signals if not signal.is_categorical]
    pd.testing.assert_frame_equal(
        written[numbers].astype("float64"), wanted[numbers], check_dtype=False, rtol=1e-12
    )


def test_the_file_lies_beside_the_configuration(scored, run) -> None:
    shown = run("features", "-c", scored.config)
    assert shown.code == 0
    file = scored.config.with_name("features-2025-07-01.parquet")
    assert f"Wrote {file}" in " ".join(shown.out.split("\n"))
    assert pd.read_parquet(file).account_id.is_unique
    # The project is shared: tests that copy it find what it had.
    file.unlink()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--labelled", "--as-of", "2025-06-01"],
            "Option --as-of asks for one date and --labelled for every matured one; give one of"
            " them",
        ),
        (
            ["--out", "table.xlsx"],
            "The feature table is written as .parquet or .csv, and 'table.xlsx' ends in '.xlsx';"
            " name another file with --out",
        ),
    ],
)
def test_contradicting_options_are_refused(scored, run, arguments, sentence) -> None:
    ran = run("features", "-c", scored.config, *arguments)
    assert (ran.code, ran.sentence) == (2, sentence)


def test_nothing_half_written_stays(scored, run, tmp_path) -> None:
    missing = tmp_path / "nowhere" / "table.parquet"
    ran = run("features", "-c", scored.config, "--out", missing)
    assert ran.code == 1
    assert "nowhere" in ran.sentence
    assert list(tmp_path.iterdir()) == []
