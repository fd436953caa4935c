"""Bringing a score store of an earlier form up to date."""

from __future__ import annotations

import duckdb

from features.catalog import GROUPS
from pipelines.project.score_settings import MAIN
from pipelines.store.tables import BEFORE_OUTCOMES, SCORE_COLUMNS, tables

# The letters are those of models.scoring.scale.GRADES, which earlier stores did not keep.
_ROWS = """
insert into score_rows (run_id, {columns})
select run_id, account_id, segment, score, band,
    (['F', 'D', 'C', 'B', 'A'])[least(floor(score / 20), 4)::integer + 1] as grade,
    probability, coverage, baseline_score, {points}, mrr,
    coalesce(reason_signals, []), coalesce(reason_points, []), coalesce(reason_values, [])
from old_scores join runs using (outcome, as_of, model_version)
left join (
    select outcome, account_id, as_of, model_version,
        list(signal order by rank) as reason_signals, list(points order by rank) as reason_points,
        list(value order by rank) as reason_values
    from old_reasons group by all
) using (outcome, account_id, as_of, model_version)
"""


def carry_over(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Move every score into the tables of today, inside the caller's transaction.

    Each date and model of an earlier store becomes a run in its first revision; what it was made
    from was not kept and stays unknown. Scores from before there were outcomes were about the main
    one.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A connection to the store, in a transaction.
    version : int
        The form that the store has.
    """
    main = f"'{MAIN}' as outcome, " if version == BEFORE_OUTCOMES else ""
    for name, old in (("scores", "old_scores"), ("score_reasons", "old_reasons")):
        connection.execute(f"create temp table {old} as select {main}* from {name}")
        connection.execute(f"drop table {name}")
    for statement in tables("text"):
        connection.execute(statement)
    connection.execute(
        "insert into runs select nextval('run_ids'), *, '{}' from ("
        " select outcome, as_of, model_version, 1, max(issued_at) as issued_at, count(*)"
        " from old_scores group by outcome, as_of, model_version order by issued_at, as_of)"
    )
    connection.execute(
        "insert into signal_groups select distinct run_id, signal, signal_group"
        " from old_reasons join runs using (outcome, as_of, model_version)"
    )
    points = ", ".join(f"points_{group}" for group in GROUPS)
    connection.execute(_ROWS.format(columns=SCORE_COLUMNS, points=points))
    connection.execute("drop table old_scores")
    connection.execute("drop table old_reasons")
