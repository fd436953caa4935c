"""Tell whether two tables hold the same data, whatever engine computed them."""

from __future__ import annotations

import hashlib

import pandas as pd


def fingerprint(frame: pd.DataFrame) -> str:
    """SHA-256 of every value of a table in order, so equal data give equal fingerprints.

    Numbers count to nine decimals and in single precision: engines add in any order, which shows
    in the last digits, and where a sum should be nothing. Names of columns do not count.

    Parameters
    ----------
    frame : DataFrame
        Rows and columns in the order that matters.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> a, b = pd.DataFrame({"x": [0.3, 0.0]}), pd.DataFrame({"x": [0.1 + 0.2, -1e-17]})
    >>> fingerprint(a) == fingerprint(b)
    True
    >>> fingerprint(a) == fingerprint(a[::-1])
    False
    """
    numbers = frame.select_dtypes("float64")
    # Adding zero turns the minus zero that rounding leaves into zero.
    rounded = (numbers.round(9) + 0.0).astype("float32")
    hashes = pd.util.hash_pandas_object(frame.assign(**rounded), index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()
