"""Total variation and non-negativity of a volume, one launch each.

Values stay on the device, as arrays of no dimension: a step need not wait for them.
"""

import cupy
import numpy as np

from fieldrx.backends.cuda.load import device_limits, launch

_THREADS = 256


def total_variation(u, weights_zyx, eps, scale, grad):
    """Smoothed isotropic total variation; as `fieldrx.backends.cpu.total_variation`, arrays on the device.

    Returns
    -------
    float64 device array, shape ()
    """
    scalars = [*map(np.int32, u.shape), *map(np.float32, (*weights_zyx, eps, scale))]
    return _summed("total_variation", u, scalars, grad)


def negativity(u, scale, grad):
    """``sum_i min(u_i, 0)^2``; as `fieldrx.backends.cpu.negativity`, arrays and value on the device."""
    return _summed("negativity", u, [np.int32(u.size), np.float32(scale)], grad)


def _summed(kernel, u, scalars, grad):
    value = cupy.zeros((), np.float64)
    blocks = min(-(-u.size // _THREADS), 8 * device_limits().multiprocessors)
    launch("priors.cu", kernel, (blocks,), (_THREADS,), (u, *scalars, grad, value))
    return value
