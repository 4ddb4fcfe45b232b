"""Beam propagation: every slice delays the wave, which then travels on.

Forward, from slice j to j + 1, with s the envelope, f = kz / 2 pi and f_s = f(nu_s):

    v_j     = exp(i phi_j n0 k0 / kz(nu_s)) s_j,      phi_j = k0 dz_j delta_j
    s_{j+1} = F^-1[ H_j F[v_j] ],                     H_j(nu) = exp(2 pi i [f(nu + nu_s) - f_s] gap_j)

The factor n0 k0 / kz(nu_s) = 1 / cos(theta_s) is the length of a tilted ray within the slice.

Backward, with gradients as d/dRe + i d/dIm so that dL = Re sum conj(d_v) dv: exp is holomorphic, hence
d_phi = sum_s conj(i / cos(theta_s) v) d_v, d_s = conj(exp(...)) d_v and d_v_j = F^-1[conj(H_j) F[d_s_{j+1}]].
The source enters through H, d f / d nu_s = -(nu + nu_s) / f, and through cos(theta_s).

Van Roey, van der Donk, Lagasse, J. Opt. Soc. Am. 71, 803 (1981); Kamilov et al., Optica 2, 517 (2015).
"""

from __future__ import annotations

from functools import cached_property

from fieldrx.backends import of
from fieldrx.models.multislice import MultiSlice


class BeamPropagation(MultiSlice):
    """Beam propagation method; parameters as of `MultiSlice`."""

    name, march = "bpm", "Bpm"

    @cached_property
    def _phases_at(self):
        return {}  # by backend and precision

    def _slices(self, contrast):
        return self._phases(contrast) * contrast

    def _slices_vjp(self, contrast, d_slices):
        return self._phases(d_slices) * d_slices

    def _phases(self, contrast):
        """k0 dz of every slice, to multiply a volume of the contrast's precision; brought there once."""
        place = of(contrast), contrast.real.dtype
        if place not in self._phases_at:
            phases = (self.microscope.wavenumber * self.thickness).astype(contrast.real.dtype)
            self._phases_at[place] = of(contrast).asarray(phases[:, None, None])
        return self._phases_at[place]
