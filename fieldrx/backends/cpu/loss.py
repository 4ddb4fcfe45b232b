"""What a fit compares: predicted and measured signals."""

import numpy as np


def squared_error(predicted, measured, valid, scale):
    """``scale * sum |predicted - measured|^2`` over valid elements, and its gradient.

    Parameters
    ----------
    predicted, measured : float arrays of one shape
    valid : bool array of that shape
    scale : float

    Returns
    -------
    float
    float array
        With respect to `predicted`.
    """
    residual = np.where(valid, predicted - measured, np.float32(0))
    return scale * float(np.vdot(residual, residual)), residual * np.float32(2 * scale)
