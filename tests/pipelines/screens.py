"""What a screen prints, as text."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console


def screen(show: Callable[..., None], *told: Any, width: int = 80) -> str:
    """Print on a terminal of some width, and return what stands there."""
    file = io.StringIO()
    show(Console(file=file, width=width, highlight=False, markup=False, emoji=False), *told)
    return file.getvalue()
