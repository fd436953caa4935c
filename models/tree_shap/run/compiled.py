"""Compile a function once per machine: numba, kept on disk where that can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile at first call, without Python's lock, or read what an earlier process compiled.

    numba keeps the machine code beside the source or in the user's cache folder. Where neither can
    be written, every process compiles anew. What is kept is found by the text of the function's own
    file, so a compiled function must not call one from another file. A division by zero gives
    infinity, as in numpy: a branch to an exception would keep loops from becoming vectors.
    """
    try:
        return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # no folder for the cache
        return cast(F, numba.njit(nogil=True, error_model="numpy")(function))
