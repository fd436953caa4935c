"""How strong an unseen reason would have to be to explain an effect away."""

from __future__ import annotations

import numpy as np


def unseen_reason(ratio: float) -> float:
    """Return the E-value of a ratio of rates.

    An unseen reason that makes both acting and the outcome so many times likelier, beside all that
    was compared, could have made the ratio from nothing; a weaker one could not (VanderWeele and
    Ding 2017, "Sensitivity analysis in observational research: introducing the E-value").

    Parameters
    ----------
    ratio : float
        Rate with the play over the rate without it, above zero.

    Examples
    --------
    >>> unseen_reason(1.0)
    1.0
    >>> round(unseen_reason(0.5), 2), round(unseen_reason(2.0), 2)
    (3.41, 3.41)
    """
    larger = max(ratio, 1 / ratio)
    return float(larger + np.sqrt(larger * (larger - 1)))


def unseen_reason_for_certainty(low: float, high: float) -> float:
    """Return the E-value of the end of an interval of ratios that is nearer to one; 1 inside.

    Examples
    --------
    >>> unseen_reason_for_certainty(0.4, 1.2)
    1.0
    >>> round(unseen_reason_for_certainty(0.4, 0.8), 2)
    1.81
    """
    if low <= 1 <= high:
        return 1.0
    return unseen_reason(high if high < 1 else low)
