"""The ledger of what was sent: a torn line is passed over, another's file is not."""

from __future__ import annotations

import pytest

from features.errors import StoreError
from pipelines.portfolio.outbox.ledger import Record, opened_ledger


def test_a_ledger_survives_a_torn_line_and_refuses_another_file(tmp_path) -> None:
    path = tmp_path / "ledger.jsonl"
    with opened_ledger(path) as ledger:
        ledger.add(Record("a", "sending", "2025-01-01T00:00:00", "b", ("k",)))
        ledger.add(Record("a", "sent", "2025-01-01T00:00:01", "b", ("k",)))
    whole = path.read_text()
    path.write_text(whole[:-20])
    with opened_ledger(path) as ledger:
        assert ledger.state_of("a") == "sending"
        ledger.add(Record("c", "failed", "2025-01-01T00:00:02", "b", ("l",)))
    with opened_ledger(path) as ledger:
        assert [one.delivery for one in ledger.records] == ["a", "c"]
        # What certainly failed was not told.
        assert ledger.told("b") == {"k"}
    path.write_text("hello\n")
    with (
        pytest.raises(StoreError, match=r"Line 1 of the ledger .* is no record of this file"),
        opened_ledger(path),
    ):
        pass
    assert (path.stat().st_mode & 0o077) == 0
