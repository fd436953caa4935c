"""Models that learnt from an account: what they learnt is no row, and stays in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import RegistryError
from features.json_values import JsonReady
from pipelines.project.settings.score import MAIN

if TYPE_CHECKING:
    from pipelines.project.erase.subject import Subject
    from pipelines.project.project import Project


@dataclass(frozen=True)
class Learnt(JsonReady):
    """A registered version of a model.

    Parameters
    ----------
    model, version : str
        Which one.
    is_certain : bool
        Whether the account is among the rows that it was judged on, and then refitted to.
    is_serving : bool
        Whether it is the champion.
    """

    model: str
    version: str
    is_certain: bool
    is_serving: bool

    @property
    def sentence(self) -> str:
        """The same in words."""
        learnt = "learnt" if self.is_certain else "may have learnt"
        serving = ", the champion," if self.is_serving else ""
        after = "; train again to have one that did not" if self.is_serving else ""
        return f"Version {self.version} of {self.model}{serving} {learnt} from it{after}"


def models_that_learnt(project: Project, subject: Subject) -> list[Learnt]:
    """List the registered versions that learnt from an account, or may have.

    A model keeps coefficients and trees and no row of its training, so that of rows before those
    it was judged on nobody can tell any more.
    """
    if subject.kind != "account":
        return []
    learnt = []
    for outcome in (MAIN, *project.settings.outcomes):
        of = project.for_outcome(outcome)
        try:
            from pipelines.monitor.champions import history

            known = history(of)
        except RegistryError:
            continue
        for version in known.versions:
            learnt.append(
                Learnt(
                    of.settings.registry.model_name,
                    version.version,
                    _is_in(of, version.version, (subject.name, subject.tombstone)),
                    version.version == known.serving,
                )
            )
    return learnt


def _is_in(project: Project, version: str, names: tuple[str, ...]) -> bool:
    try:
        rows = project.registry.holdout(version, everything=True)
    except RegistryError:
        return False
    return bool(rows["account_id"].isin(names).any())
