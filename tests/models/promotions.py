"""Ways in which the tests of champions move them."""

from __future__ import annotations

import shutil
from pathlib import Path

from models.registry.chain import aliases_of
from models.registry.chain_record import Record
from models.registry.champions import history, promote, roll_back, rollback_target
from models.registry.session import tracking

NAME = "health"


def copied(template: Path, folder: Path) -> Path:
    return shutil.copytree(template, folder)


def aliases(folder: Path) -> dict[str, str]:
    with tracking(folder, NAME, create=False):
        return aliases_of(NAME)


def go(folder: Path, version: str = "2", instead_of: str = "1") -> Record:
    return promote(folder, NAME, version, instead_of=instead_of, reasons=["it is no worse"])


def back(folder: Path, reason: str = "", to: str | None = None) -> str:
    version, serving = rollback_target(folder, NAME, to)
    roll_back(folder, NAME, version, instead_of=serving, reason=reason)
    return version


def told(folder: Path) -> list[tuple[str, str, str | None, str]]:
    return [(r.action, r.version, r.before, r.state) for r in history(folder, NAME).records]
