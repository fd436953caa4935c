"""The demo company: a seeded simulation of a software vendor whose true churn weights are known."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal, get_args

from features.errors import DataError, SettingsError, nearest, sample
from features.json_values import Json

DriftKind = Literal["none", "payment-crisis", "usage-collapse"]
ContractKind = Literal["loose", "firm"]
CHUNK = 5_000
"""Accounts simulated at a time, whatever their total: memory is bounded by it."""


@dataclass(frozen=True)
class Simulation:
    """What to simulate; equal settings give equal tables.

    Parameters
    ----------
    accounts : int
        Accounts that ever existed; about half are there from the start.
    months : int
        Length of the record in calendar months, at least 6.
    seed : int
        Source of all chance.
    start : date
        First day of the record, a first of a month.
    drift : {"none", "payment-crisis", "usage-collapse"}
        A lasting change: invoices paid late or never, or the growth plan's usage falling to 35 %.
    drift_from : date, optional
        First day of the change; two thirds through the record when not given.
    contracts : {"loose", "firm"}
        Whether annual contracts may be left at any time, if less often than monthly ones, or are
        as they are signed: some for several years, and hardly to be left before they renew.
    team : bool
        Whether a team answers what looks risky in the first days of each month, with plays of known
        effect: :data:`pipelines.setup.simulation.team.EFFECTS`. Without one, managers act at any
        time and to no effect.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    accounts: int = 2000
    months: int = 24
    seed: int = 7
    start: date = date(2024, 1, 1)
    drift: DriftKind = "none"
    drift_from: date | None = None
    contracts: ContractKind = "loose"
    team: bool = False

    def __post_init__(self) -> None:
        for name, least, most in (
            ("accounts", 1, 10_000_000),
            ("months", 6, 240),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise SettingsError(
                    f"The simulation's '{name}' must be a whole number from {least} to {most}; "
                    f"got {value!r}."
                )
        if self.start.day != 1 or not 1970 <= self.start.year <= 2200:
            raise SettingsError(
                "The simulation's 'start' must be the first day of a month between 1970 and 2200; "
                f"got {self.start.isoformat()}."
            )
        if self.drift not in get_args(DriftKind):
            raise SettingsError(
                f"The simulation's 'drift' must be one of {', '.join(get_args(DriftKind))}; "
                f"got {self.drift!r}{nearest(str(self.drift), get_args(DriftKind)) or '.'}"
            )
        if self.contracts not in get_args(ContractKind):
            raise SettingsError(
                "The simulation's 'contracts' must be loose or firm; got"
                f" {sample([self.contracts])}."
            )
        if self.drift_from is not None:
            self._check_drift_from(self.drift_from)

    def _check_drift_from(self, day: date) -> None:
        if self.drift == "none":
            raise SettingsError(
                f"The simulation's 'drift_from' ({day.isoformat()}) has no meaning while 'drift' "
                "is none; choose payment-crisis or usage-collapse, or leave it out."
            )
        if not self.start < day < self.end:
            raise SettingsError(
                "The simulation's 'drift_from' must lie after "
                f"{self.start.isoformat()} and before {self.end.isoformat()}; got "
                f"{day.isoformat()}."
            )

    @property
    def end(self) -> date:
        """First day after the record."""
        return _months_later(self.start, self.months)

    @property
    def drift_day(self) -> date:
        """First day on which a drift shows."""
        return self.drift_from or _months_later(self.start, round(self.months * 2 / 3))


def simulate(
    folder: Path,
    simulation: Simulation,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Write the demo company's tables and the truth about its churn.

    Every table of the data contract becomes ``folder/TABLE.parquet``. Beside them
    ``truth/rows.parquet`` holds each active account's true churn probability on the first of every
    month, the same had its contract let it leave, its parts by signal group and the draw made;
    ``truth/weights.json`` holds the true weights of the groups per plan. Usage begins with the
    record, so the truth of its first two months rests on a shorter look back, and weights are taken
    from the third month on. With a team ``churn_probability`` is that as things went, ``log_odds``
    that if nobody acts, and ``truth/weights.json`` holds the plays' effects too.

    The files are written beside the folder and moved there when complete.

    Parameters
    ----------
    folder : Path
        Where to write; missing, empty, or an earlier simulation, which is replaced.
    simulation : Simulation
        What to simulate.
    progress : callable, optional
        Called with the steps done and the steps in all.

    Returns
    -------
    dict of str to int
        Rows per table.

    Raises
    ------
    DataError
        If the folder holds anything that is not an earlier simulation.
    """
    folder = folder.resolve()
    draft = folder.with_name(f"{folder.name}.unfinished-{secrets.token_hex(4)}")
    try:
        _refuse_foreign(folder)
        draft.mkdir(parents=True)
        rows = _write(draft, simulation, progress)
        _replace(folder, draft)
    except OSError as error:
        raise DataError(
            f"The simulation could not be written to '{folder}': {error.strerror or error}; "
            "choose a folder that can be written and has room."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return rows


def _write(
    folder: Path, simulation: Simulation, progress: Callable[[int, int], None] | None
) -> dict[str, int]:
    import numpy as np

    from pipelines.setup.simulation.behaviour import Drift
    from pipelines.setup.simulation.chunk import live
    from pipelines.setup.simulation.company import Calendar
    from pipelines.setup.simulation.team import EFFECTS
    from pipelines.setup.simulation.weights import true_weights
    from pipelines.setup.simulation.writing import TRUTH, Writer

    calendar = Calendar(simulation.start, simulation.months)
    drift = Drift(simulation.drift, (simulation.drift_day - date(1970, 1, 1)).days)
    starts = range(0, simulation.accounts, CHUNK)
    steps = len(starts) * simulation.months
    with Writer(folder, int(calendar.firsts[-1]) * 86_400) as writer:
        for number, first in enumerate(starts):
            count = min(CHUNK, simulation.accounts - first)
            seeds = np.random.SeedSequence(simulation.seed, spawn_key=(number,))
            lived = live(
                first,
                count,
                calendar,
                drift,
                seeds,
                writer,
                are_firm=simulation.contracts == "firm",
                with_team=simulation.team,
            )
            for month in lived:
                if progress:
                    progress(number * simulation.months + month + 1, steps)
    since = _months_later(simulation.start, 2)
    described = {
        "simulation": _described(simulation),
        "weights_from": since.isoformat(),
        "weights": true_weights(folder / f"{TRUTH}.parquet", since),
    }
    if simulation.team:
        described["effects"] = EFFECTS
    (folder / "truth" / "weights.json").write_text(json.dumps(described, indent=2) + "\n")
    return {table: rows for table, rows in writer.rows.items() if table != TRUTH}


def _described(simulation: Simulation) -> Json:
    """Return the settings as JSON can hold them, with the drift's day filled in."""
    settings = asdict(simulation) | {"start": simulation.start.isoformat()}
    drifts = simulation.drift != "none"
    settings["drift_from"] = simulation.drift_day.isoformat() if drifts else None
    if not simulation.team:
        # As it was described before there were teams.
        del settings["team"]
    return settings


def _refuse_foreign(folder: Path) -> None:
    """Raise unless the folder may be replaced without losing anyone's work."""
    if folder.is_dir():
        inside = [*folder.iterdir(), *folder.glob("truth/*")]
        files = {path.relative_to(folder).as_posix() for path in inside if path.is_file()}
        files |= {f"{path.relative_to(folder).as_posix()}/" for path in inside if path.is_dir()}
        foreign = sorted(files - _written())
        if not files or ("truth/weights.json" in files and not foreign):
            return
        what = sample(foreign or sorted(files))
    elif folder.exists():
        what = "a file of that name"
    else:
        return
    raise DataError(
        f"The folder '{folder}' must be missing, empty or an earlier simulation, but holds {what}; "
        "choose another folder."
    )


def _written() -> set[str]:
    """Return what a finished simulation holds."""
    from pipelines.setup.simulation.writing import SCHEMAS

    return {f"{name}.parquet" for name in SCHEMAS} | {"truth/", "truth/weights.json"}


def _replace(folder: Path, draft: Path) -> None:
    """Put the finished draft where the folder is; an earlier simulation goes only then."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = draft.with_name(f"{draft.name}-old")
    folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old)


def _months_later(day: date, months: int) -> date:
    """Return the first day of the month that comes ``months`` later."""
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)
