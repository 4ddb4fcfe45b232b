"""Split-step non-paraxial propagation: the wave and its axial derivative, forward and backward waves alike.

The Helmholtz equation u'' = -(kz^2 + V) u, written for the pair of spectra (u, p) with p = u' / k,
k = 2 pi n0 / lambda, in steps that are exact where the sample is empty and kicks where it is not:

    scatter at slice j:    p <- p - F[ Q_j F^-1[u] ],             Q_j = dz_j V_j / k
    to the next slice:     (u, p) <- R (u, p),   R = [ cos a          k sin(a) / kz ]    a = kz gap_j
                                                     [ -kz sin(a) / k         cos a ]

with slices at their centres, which makes every step symmetric (half a step, scatter, half a step) and the
error second order in dz.  kz is that of nu + nu_s, so u is an envelope; waves steeper than 0.95 of the ball
are cut off.  One inverse and one forward FFT a slice.  After the last slice the wave towards +z is
(u - i k/kz p) / 2.

Backward, with gradients as d/dRe + i d/dIm and spectra under an inner product that makes F unitary: with
g = F^-1[d_p],

    scatter:     d_Q_j = -sum_s conj(F^-1[u]) g,    d_u <- d_u - F[ conj(Q_j) g ]
    step:        (d_p, d_u) <- R (d_p, d_u)

because swapping the pair turns R into its transpose: the adjoint march is the forward march of (d_p, d_u)
through conj(Q), from the last slice to the first.  And as a scatter adds to p what depends on u alone, and R
is inverted by the other sign of a, the march can be run backwards: the waves need not be stored, at the price
of one more march (`memory="recompute"`), exact to rounding, with absorption too.

Zhu, Wang, Tian, Opt. Express 30, 32808 (2022); Lim et al., Light Sci. Appl. 8, 82 (2019).
"""

from __future__ import annotations

from fieldrx.models.multislice import PotentialSlices


class SSNP(PotentialSlices):
    """Split-step non-paraxial model; parameters as of `MultiSlice`."""

    name, march = "ssnp", "Ssnp"
