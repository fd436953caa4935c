"""``[monitor]`` and ``[alert]``: what cannot be is refused, and no secret is in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import SettingsError
from pipelines.project.project import load_project

BASE = '[source]\nurl = "data"\n[tables.accounts]\n[tables.subscriptions]\n'


def write(folder: Path, text: str):
    path = folder / "healthscore.toml"
    path.write_text(BASE + text, encoding="utf-8")
    return load_project(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[monitor]\nwatch_chance = 0", "[monitor] watch_chance: input should be greater than 0"),
        ("[monitor]\nwatch_chance = 1.0", "[monitor] watch_chance: input should be less than 1"),
        ("[monitor]\nretrain_excess = nan", "[monitor] retrain_excess: input should be a finite"),
        ("[monitor]\ncool_down = 3", "[monitor] has no key 'cool_down'; did you mean"),
        (
            "[monitor]\ncool_down_days = 90\nmaximum_age_days = 90",
            "[monitor] maximum_age_days must exceed cool_down_days, and is 90 against 90",
        ),
        ('[alert]\nwebhook = "ftp://x/y"', "[alert] webhook must be an address that starts with"),
        ('[alert]\nwebhook = "https://"', "[alert] webhook must be an address that starts with"),
        ('[alert]\nwebhook = "https://u:pw@h/"', "[alert] webhook must hold no user and password"),
        ('[alert]\nwebhook = "http://a b/"', "[alert] webhook must be an address that starts"),
        ('[alert]\nsecret_env = "A"', "[alert] secret_env signs what is posted to a webhook"),
        (
            '[alert]\nwebhook = "https://x/y"\nsecret_env = "my secret!"',
            "[alert] secret_env: string should match pattern",
        ),
        ('[alert]\ncommand = [""]', "[alert] command must begin with a program"),
        ('[alert]\non = ["never"]', "'watch', 'retrain' or 'broken-feed', found 'never'"),
        ("[alert]\nretries = 11", "[alert] retries: input should be less than or equal to 10"),
        ("[alert]\ntimeout_seconds = 0", "[alert] timeout_seconds: input should be greater than"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, text, said) -> None:
    with pytest.raises(SettingsError) as refused:
        write(tmp_path, text)
    assert said in str(refused.value)


def test_secrets_stay_out_of_what_is_kept_and_of_what_shapes_a_score(tmp_path) -> None:
    bare = write(tmp_path, "")
    project = write(
        tmp_path,
        '[alert]\nwebhook = "https://hooks.example/T0/s3cr3t"\ncommand = ["page", "--key=s3cr3t"]\n'
        "[monitor]\ncool_down_days = 7\n[retraining]\njudged_dates = 2\n",
    )
    assert "s3cr3t" not in project.shown_text
    assert "s3cr3t" not in repr(project.settings.alert)
    assert project.fingerprint == bare.fingerprint
