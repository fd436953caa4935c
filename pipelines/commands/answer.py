"""Where a command's result goes: one JSON object for a program, or text for people."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class Answer:
    """Where a command's result goes: one JSON object, or text for people."""

    def __init__(self, console: Console | None) -> None:
        self.console = console
        self.result: Mapping[str, object] = {}

    def give(self, result: Mapping[str, object]) -> None:
        """Set what ``--json`` prints."""
        self.result = result

    def say(self, line: str) -> None:
        """Print a line for people."""
        if self.console is not None:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def warn(self, warnings: list[str]) -> None:
        """Print a line per warning for people."""
        if self.console is not None:
            from pipelines.reports.terminal.console import print_warnings

            print_warnings(self.console, warnings)


@contextlib.contextmanager
def answering(as_json: bool) -> Iterator[Answer]:
    """Keep standard output for the result alone, whatever libraries print."""
    if not as_json:
        from pipelines.reports.terminal.console import plain_console

        yield Answer(plain_console())
        return
    answer = Answer(None)
    with contextlib.redirect_stdout(sys.stderr):
        yield answer
    # In ASCII, so that it is JSON whatever encoding the terminal or the log has.
    print(json.dumps(_finite(answer.result), allow_nan=False, default=str))


def _finite(value: object) -> object:
    """Replace numbers that JSON cannot hold by null."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "item") and not isinstance(value, str):
        return _finite(value.item())
    return value
