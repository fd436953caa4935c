"""The seal of a model's files: a digest of each, which loading compares."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

from features.errors import RegistryError, sample

SEAL_FILE = "seal.json"
FORM = 1


def seal_files(folder: Path) -> None:
    """Write the digest of every file of a folder into :data:`SEAL_FILE`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     written = Path(name, "model.json").write_text("{}")
    ...     seal_files(Path(name))
    ...     check_files(Path(name), seal_of(Path(name)))
    """
    digests = {name: _digest(folder / name) for name in _names(folder)}
    text = json.dumps({"form": FORM, "sha256": digests}, indent=1)
    (folder / SEAL_FILE).write_text(text, encoding="utf-8")


def seal_of(folder: Path) -> str:
    """Return the digest of :data:`SEAL_FILE`, which stands for those of all files."""
    return _digest(folder / SEAL_FILE)


def check_files(folder: Path, seal: str | None = None) -> None:
    """Refuse a folder whose files are not those that were sealed; one without a seal passes.

    Parameters
    ----------
    folder : Path
        The folder.
    seal : str, optional
        What :func:`seal_of` returned, where it was kept elsewhere.

    Raises
    ------
    RegistryError
        When a file was changed, added or taken away, or a later version sealed them.
    """
    file = folder / SEAL_FILE
    if not file.exists():
        if seal is not None:
            raise _changed(folder, [SEAL_FILE], "is gone")
        return
    if seal is not None and not hmac.compare_digest(_digest(file).encode(), seal.encode()):
        raise _changed(folder, [SEAL_FILE], "has changed since the model was registered")
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
        form, digests = described["form"], dict(described["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _changed(folder, [SEAL_FILE], "cannot be read") from error
    if form != FORM:
        raise RegistryError(
            f"The files of the model in {str(folder)!r} bear a seal of form {form}, but this "
            f"version reads form {FORM}; train again or install the version it is of."
        )
    names = _names(folder)
    changed = sorted(
        {name for name in names if digests.get(name) != _digest(folder / name)}
        | {name for name in digests if name not in names}
    )
    if changed:
        raise _changed(folder, changed, "changed since it was sealed, or came or went")


def _names(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in files)
    return sorted(name for name in names if name != SEAL_FILE)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _changed(folder: Path, names: list[str], what: str) -> RegistryError:
    return RegistryError(
        f"The model in {str(folder)!r} is not as it was registered: {sample(names)} {what}; put "
        "its files back from a copy, roll back to another version or train again."
    )
