"""The seal of an issued run: a chain of digests, in which each run's seal holds the one before."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.errors import StoreError

if TYPE_CHECKING:
    from pipelines.store.opening import Run

FORM = 1
"""Form of a seal; those of later forms are refused."""
SEAL_SCHEMA = pa.schema(
    [
        ("place", pa.int64()),
        ("form", pa.int32()),
        ("outcome", pa.string()),
        ("as_of", pa.date32()),
        ("model_version", pa.string()),
        ("revision", pa.int32()),
        ("unsealed", pa.int64()),
        ("seal_before", pa.string()),
        ("rows_digest", pa.string()),
        ("key_id", pa.string()),
        ("digest", pa.string()),
        ("seal", pa.string()),
    ]
)
"""One row per sealed run."""
_RUN = ("outcome", "as_of", "model_version", "revision")


@dataclass(frozen=True)
class Seal:
    """What shows that a run is as it was issued.

    Attributes
    ----------
    place : int
        Place in the chain, from 1: the order of issue, whatever the clocks said.
    form : int
        Form of the seal.
    outcome, as_of, model_version, revision
        Which run.
    unsealed : int
        Runs that the store held from before there were seals.
    seal_before : str
        Seal of the place before, empty for the first.
    rows_digest : str
        See :class:`~pipelines.store.seals.digest.RowsDigest`.
    key_id : str
        Names the key without telling it; empty where there was none.
    digest : str
        SHA-256 of all above and of the run's moment, facts and groups of signals.
    seal : str
        HMAC of the digest with the key (RFC 2104); the digest itself where there was none.
    """

    place: int
    form: int
    outcome: str
    as_of: date
    model_version: str
    revision: int
    unsealed: int
    seal_before: str
    rows_digest: str
    key_id: str
    digest: str
    seal: str

    @property
    def run(self) -> tuple[str, date, str, int]:
        """Which run it is of."""
        return self.outcome, self.as_of, self.model_version, self.revision

    def kept(self) -> dict[str, Any]:
        """Return what a file that tells which run it is of keeps of a seal beside that."""
        return {name: value for name, value in asdict(self).items() if name not in _RUN}


def run_of(run: Run) -> tuple[str, date, str, int]:
    """Return what names a run among all."""
    return run.key.outcome, run.key.as_of, run.key.model_version, run.revision


def seal_run(
    run: Run,
    groups: Mapping[str, str],
    rows_digest: str,
    *,
    last: Seal | None,
    unsealed: int,
    key: bytes | None,
) -> Seal:
    """Seal a run.

    Parameters
    ----------
    run : Run
        The run.
    groups : dict of str to str
        Group of each signal that may be a reason.
    rows_digest : str
        Of its rows.
    last : Seal or None
        The end of the chain.
    unsealed : int
        Runs without a seal, counted when the chain begins.
    key : bytes or None
        Without it whoever can write the store can also seal anew what was changed.

    Raises
    ------
    StoreError
        When a later version sealed the last run.
    """
    if last is not None:
        refuse_later_seal(last)
    outcome, as_of, model_version, revision = run_of(run)
    seal = Seal(
        place=last.place + 1 if last else 1,
        form=FORM,
        outcome=outcome,
        as_of=as_of,
        model_version=model_version,
        revision=revision,
        unsealed=last.unsealed if last else unsealed,
        seal_before=last.seal if last else "",
        rows_digest=rows_digest,
        key_id=key_id(key),
        digest="",
        seal="",
    )
    digest = digest_of(seal, run, groups)
    return Seal(**asdict(seal) | {"digest": digest, "seal": signed(digest, key)})


def digest_of(seal: Seal, run: Run, groups: Mapping[str, str]) -> str:
    """Digest a run and its place in the chain: 64 hexadecimal digits."""
    described = asdict(seal) | {
        "issued_at": run.issued_at.isoformat(timespec="microseconds"),
        "rows": run.rows,
        "facts": dict(run.facts),
        "groups": dict(groups),
        "as_of": seal.as_of.isoformat(),
    }
    del described["digest"], described["seal"]
    text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def signed(digest: str, key: bytes | None) -> str:
    """Return the seal of a digest."""
    return digest if key is None else hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


def key_id(key: bytes | None) -> str:
    """Name a key without telling it; no key has the empty name.

    Examples
    --------
    >>> key_id(None), key_id(b"secret")
    ('', '5ffbd2dd61ddcb6a')
    """
    return "" if key is None else signed("healthscore seal key", key)[:16]


def refuse_later_seal(seal: Seal) -> None:
    """Refuse a seal of a form that this version does not know.

    Raises
    ------
    StoreError
        When a later version made it.
    """
    if seal.form > FORM:
        raise StoreError(
            f"The scores of {seal.as_of} by model version {seal.model_version} (outcome"
            f" {seal.outcome}) bear a seal of form {seal.form}, of a later version of healthscore"
            f" than this one, which knows forms up to {FORM}; install that version"
        )
