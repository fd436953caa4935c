"""``healthscore signals``: the catalogue of a company, and of everything that could be built."""

from __future__ import annotations

from pathlib import Path

from features.build import every_signal
from features.catalog import GROUPS, Signal
from pipelines.setup.signals import markdown

ROOT = Path(__file__).resolve().parents[3]


def test_a_company_lists_what_its_tables_give(scored, run) -> None:
    listed = run("signals", "-c", scored.config, "--json").answer["signals"]
    account = scored.sql("select min(account_id) from scores")[0][0]
    model = run("explain", account, "-c", scored.config, "--json").answer["signals"]
    # Explained are the signals that moved the score.
    assert {signal["name"] for signal in listed} > {signal["signal"] for signal in model} > set()
    shown = run("signals", "-c", scored.config)
    assert shown.code == 0
    for signal in listed:
        assert signal["name"] in shown.out


def test_all_signals_are_listed_without_a_configuration(run, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = run("signals", "--all", "--json").answer["signals"]
    assert {signal["group"] for signal in listed} == set(GROUPS)
    assert [Signal.from_dict(signal) for signal in listed] == list(every_signal())
    assert run("signals").code == 2


def test_every_signal_is_described() -> None:
    for signal in every_signal():
        assert "{value}" in signal.sentence or signal.unit == "flag", signal.name
        assert len(signal.label) <= 60, signal.name


def test_the_documentation_page_is_the_catalogue(run) -> None:
    page = (ROOT / "docs" / "reference" / "signals.md").read_text("utf-8")
    assert page == markdown(every_signal())
    assert run("signals", "--all", "--markdown").out == page


def test_a_name_with_a_bar_stays_in_its_cell() -> None:
    hostile = Signal("feature_a", "usage", "count", "none", "a", 28, "{value} use{s} of a|b")
    assert "| … uses of a\\|b |" in markdown([hostile])


def test_groups_that_are_off_are_not_listed(scored, run, tmp_path) -> None:
    text = scored.config.read_text("utf-8")
    text = text.replace("groups_off = []", 'groups_off = ["usage"]')
    config = scored.config.with_name("off.toml")
    config.write_text(text, "utf-8")
    listed = run("signals", "-c", config, "--json").answer["signals"]
    assert "usage" not in {signal["group"] for signal in listed}
