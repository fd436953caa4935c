"""Kinds of numpy arrays that every room passes on: floats, and codes that are positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
