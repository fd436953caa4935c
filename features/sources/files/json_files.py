"""Files of objects in JSON: a list of them or one a line, and folders of such files in parts."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend
from ibis.util import gen_name

from features.errors import DataError, first_line
from features.sources.files.delimited import refuse_growing
from features.sources.files.json_columns import OF_A_FILE

_HEAD = 1 << 12
_MARK = b"\xef\xbb\xbf"
_LIST = re.compile(rb"\s*\[\s*\{")
_LINES = re.compile(rb"\s*\{[^\n]*\}\s*\n\s*\{")


def holds_objects(file: Path) -> bool:
    """Whether a file called ``.json`` holds a list of objects or one a line, and not a setting."""
    with file.open("rb") as stream:
        head = stream.read(_HEAD).removeprefix(_MARK)
    return bool(_LIST.match(head) or _LINES.match(head) or (
        head.lstrip().startswith(b"{") and b"\n" not in head and len(head) == _HEAD
    ))  # fmt: skip


def _written(file: Path) -> str:
    return "'" + glob.escape(str(file)).replace("'", "''") + "'"


def _is_marked_list(file: Path) -> bool:
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    return head.startswith(_MARK) and bool(_LIST.match(head.removeprefix(_MARK)))


def read_json_files(connection: Backend, files: Sequence[Path], shown: Path) -> ir.Table:
    """Read files of objects in JSON, a row each, as one column of texts.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What reads them.
    files : sequence of Path
        The parts of the table.
    shown : Path
        What the table is called in messages.

    Raises
    ------
    DataError
        When one is no JSON, or grows meanwhile.
    """
    view = gen_name("json")
    before = [file.stat().st_size for file in files]
    # A mark at the beginning hides from the engine that it is a list.
    forms = {file: "array" if _is_marked_list(file) else "auto" for file in files}
    read = " UNION ALL ".join(
        f"SELECT json::VARCHAR AS {OF_A_FILE} FROM read_json_objects([{paths}], format = '{form}')"
        for form in dict.fromkeys(forms.values())
        for paths in [", ".join(_written(file) for file in files if forms[file] == form)]
    )
    try:
        connection.con.execute(f'CREATE TEMP TABLE "{view}" AS {read}')
    except duckdb.Error as error:
        for file, size in zip(files, before, strict=True):
            refuse_growing(file, size)
        raise DataError(
            f"The file '{shown}' cannot be read as JSON, an object a line: {first_line(error)};"
            " repair it or take it out of the folder"
        ) from error
    return connection.table(view)
