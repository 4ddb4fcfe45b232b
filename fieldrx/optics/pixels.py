"""What a pixel of the camera integrates: the mean of the intensity over its sensitive part.

A square of side f p, with the pixel's size p in the sample and its linear fill f, multiplies the spectrum
of the intensity by sinc(f p nu_y) sinc(f p nu_x), sinc(u) = sin(pi u) / (pi u).  Where a model computes no
spectrum of the intensity, but fields that it squares, the mean is taken over a few points in each direction,
two or those of Gauss and Legendre: they give the factor sum_k w_k cos(2 pi nu t_k), which is the same to
within a bound.
"""

from __future__ import annotations

import numpy as np

from fieldrx.optics.microscope import Microscope

_CLOSE = 0.01  # most by which the factor of the points may differ from the square's
_PAIRS = np.linspace(0.26, 0.29, 31)  # of the side, from its middle: where two points may lie


def pixel_response(nu: np.ndarray, microscope: Microscope) -> np.ndarray:
    """Factor by which pixels damp the spectrum of the intensity along one axis.

    Parameters
    ----------
    nu : array
        Frequencies [cycles/um].
    microscope : Microscope
    """
    return np.sinc(_side(microscope) * nu)


def pixel_points(microscope: Microscope) -> tuple[np.ndarray, np.ndarray]:
    """Points of a pixel whose weighted mean stands for it.

    Parameters
    ----------
    microscope : Microscope

    Returns
    -------
    weights : float64, shape (n,)
        Their sum is 1.
    shifts : float64, shape (n, 2)
        From the pixel's centre, (y, x) [um].
    """
    side = _side(microscope)
    nu = np.linspace(0, 2 * microscope.cutoff, 33)  # what the pupil passes interferes up to its diameter
    places, weights = _points(side, nu)
    y, x = np.meshgrid(places, places, indexing="ij")
    return np.outer(weights, weights).ravel(), np.stack([y.ravel(), x.ravel()], axis=-1)


def _points(side, nu):
    """As few points of a line of that length as damp frequencies like it, and weights whose sum is 1."""
    if side == 0:
        return np.zeros(1), np.ones(1)

    def differs(places, weights):
        return np.abs(np.cos(2 * np.pi * np.outer(nu, places)) @ weights - np.sinc(side * nu)).max()

    pairs = [(share * side * np.array([-1, 1]), np.array([0.5, 0.5])) for share in _PAIRS]
    found, count = min(pairs, key=lambda pair: differs(*pair)), 2
    while differs(*found) > _CLOSE:
        count += 1
        places, weights = np.polynomial.legendre.leggauss(count)
        found = 0.5 * side * places, 0.5 * weights
    return found


def _side(microscope):
    """Of the sensitive part of a pixel, in the sample [um]."""
    return microscope.pixel_fill * microscope.pixel_size_um
