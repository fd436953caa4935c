"""How many threads linear algebra takes: one, where matrices are small and many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401  (its library must be loaded before threads can be counted)
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Let each product and each factorisation run on one thread while this lasts.

    Threads that share a matrix of some hundred rows wait for each other longer than they work, and
    spin while they wait: beside other programs a training takes three times its processor time.
    Trees grow on as many threads as before.

    Examples
    --------
    >>> with one_thread():
    ...     product = scipy.linalg.inv([[2.0]]) @ [[4.0]]
    >>> product.item()
    2.0
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
