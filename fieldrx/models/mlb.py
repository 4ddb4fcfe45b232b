"""Multi-layer Born: every slice scatters once what arrives there, and adds it to the wave.

Forward, with a the spectrum of the envelope, f = kz / 2 pi, and Q_j = dz_j V_j / k, k = 2 pi n0 / lambda:

    a <- a + c F[ Q_j F^-1[a] ],        c(nu) = i k / (2 kz(nu + nu_s))
    a <- H_j a,                         H_j(nu) = exp(2 pi i [f(nu + nu_s) - f(nu_s)] gap_j)

The first line is the first Born approximation of one slice (Weyl's expansion of the Green's function); waves
steeper than 0.95 of the ball are cut off, where c would grow without bound.  It does not conserve energy to
better than dz^2 |V|^2: small steps are needed.

Backward, with gradients as d/dRe + i d/dIm and spectra under an inner product that makes F unitary: with
g = F^-1[conj(c) d_a],  d_Q_j = sum_s conj(F^-1[a]) g,  d_a <- d_a + F[conj(Q_j) g],  d_a <- conj(H_j) d_a.

Chen, Ren, Liu, Chowdhury, Waller, Optica 7, 394 (2020).
"""

from __future__ import annotations

from fieldrx.models.multislice import PotentialSlices


class MultiLayerBorn(PotentialSlices):
    """Multi-layer Born model; parameters as of `MultiSlice`."""

    name, march = "mlb", "Mlb"
