"""The settings of plays, and what is refused before anything is learnt."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import SettingsError
from pipelines.project.project import load_project


def test_hours_capacity_and_names_are_read(small) -> None:
    file: Path = small()
    text = (
        '\n[plays]\nwithin_days = 3\n[plays.hours]\ncall = 0.5\n[plays.renamed]\nphone = "call"\n'
        "[owners.capacity]\nann = 12\n"
    )
    before = load_project(file).fingerprint
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
    project = load_project(file)
    assert project.settings.plays.hours == {"call": 0.5}
    assert project.settings.owners.capacity == {"ann": 12}
    assert project.settings.plays.within_days == 3
    assert project.fingerprint == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[plays.hours]\ncall = 0", "[plays.hours] call: input should be greater than 0"),
        ("[plays]\nwithin_days = 0", "[plays] within_days: input should be greater than or equal"),
        (
            '[plays.renamed]\na = "b"\nb = "c"',
            "[plays.renamed] calls 'a' by the name 'b', which is an earlier name itself",
        ),
        ("[owners.capacity]\nann = -1", "[owners.capacity] ann: input should be greater than 0"),
    ],
)
def test_impossible_settings_are_refused(small, text: str, says: str) -> None:
    file: Path = small()
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_project(file)
    assert says in str(refused.value)


def test_without_interventions_the_command_says_what_to_map(run, small) -> None:
    ran = run("plays", "-c", small())
    assert ran.code == 2
    assert "add [tables.interventions] to the configuration" in ran.err
