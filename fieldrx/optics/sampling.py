"""Whether pixels, slices and light fit the optics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldrx.optics.illumination import Illumination
from fieldrx.optics.microscope import Microscope
from fieldrx.provenance import Provenance

_RESONANT = 0.07  # of half a wavelength, within which the distance of slices is one


def sampling_notes(microscope: Microscope, illumination: Illumination, dz: float | None = None) -> list[str]:
    """Where the sampling or the light does not fit the optics, and what follows from it.

    Parameters
    ----------
    microscope : Microscope
    illumination : Illumination
    dz : float, optional
        Distance of the slices [um], when known.

    Returns
    -------
    list of str
        One sentence per finding; empty when all is well.

    Raises
    ------
    InputError
        If a source is steeper than any wave in the medium.
    """
    illumination.refuse_steep(microscope)
    na = np.linalg.norm(illumination.sources_na, axis=1)
    bright = illumination.bright(microscope)
    notes = []
    if not bright.all():
        notes.append(
            f"{int((~bright).sum())} of {len(na)} sources lie outside the pupil (NA up to {na.max():.3f} > "
            f"{microscope.objective_na:g}): dark field, which bpm, ssnp and mlb use and born and rytov cannot"
        )
    steepest, band = na[bright].max(initial=0.0), lateral_band(microscope, illumination)
    nyquist = 0.5 / microscope.pixel_size_um
    if band > nyquist:
        notes.append(
            f"pixels of {microscope.pixel_size_um:.3g} um sample up to {nyquist:.3g} cycles/um, the images "
            f"hold up to {band:.3g}: details finer than {1 / nyquist:.3g} um alias or are lost "
            f"(pixels of {0.5 / band:.3g} um would keep them)"
        )
    return notes if dz is None else notes + _slice_notes(microscope, steepest, dz)


def condenser_notes(illumination: Illumination, deepest_um: float) -> list[str]:
    """Whether the sources of a condenser stand for it at the depth of a sample.

    Parameters
    ----------
    illumination : Illumination
    deepest_um : float
        Greatest distance of a slice from the plane in focus [um].

    Returns
    -------
    list of str
        A sentence where they do not; else empty.
    """
    within = illumination.within_um
    if within is None or deepest_um <= within:
        return []
    return [
        f"few sources stand for the condenser within {within:.4g} um of the plane in focus, slices reach "
        f"{deepest_um:.4g} um: set depth_um = {deepest_um:.4g} in [illumination]"
    ]


def lateral_band(microscope: Microscope, illumination: Illumination, dark_field: bool = False) -> float:
    """Highest lateral frequency that images tell of a sample, (NA + NA of the light) / lambda [cycles/um].

    Parameters
    ----------
    microscope : Microscope
    illumination : Illumination
    dark_field : bool
        Whether images lit from outside the pupil alone count; their light is the steepest.
    """
    counts = illumination.bright(microscope)
    if dark_field:
        counts |= illumination.pattern[illumination.dark(microscope)].any(axis=0)
    steepest = np.linalg.norm(illumination.sources_na[counts], axis=1).max(initial=0.0)
    return (microscope.objective_na + steepest) / microscope.wavelength_um


@dataclass(frozen=True)
class Resolution:
    """What the optics tell apart, and by which apertures.

    Parameters
    ----------
    axial_um, lateral_um : float
        Half the shortest periods along the light and across it [um].
    objective_na, light_na : float
        Of the objective, and of the steepest light that counts.
    """

    axial_um: float
    lateral_um: float
    objective_na: float
    light_na: float

    @classmethod
    def of(cls, microscope: Microscope, illumination: Illumination, dark_field: bool = False) -> Resolution:
        """That of a microscope and its light; parameters as of `lateral_band`.

        Across the light the half period is lambda / 2 (NA + NA_light).  Along it, it is that of light which
        turns from the axis to the edge of the pupil, whichever side it comes from.
        """
        band = lateral_band(microscope, illumination, dark_field)
        axial = 2 * (microscope.axial_frequency(0.0) - microscope.axial_frequency(microscope.cutoff**2))
        light = band * microscope.wavelength_um - microscope.objective_na
        return cls(float(0.5 / axial), float(0.5 / band), microscope.objective_na, float(light))

    @classmethod
    def recorded(cls, provenance: Provenance) -> Resolution | None:
        """That of a fit, as it wrote it down; None where it did not."""
        told = provenance.origin.get("resolution")
        names = {"axial_um", "lateral_um", "objective_na", "light_na"}
        if not isinstance(told, dict) or set(told) != names:
            return None
        if not all(isinstance(number, float | int) for number in told.values()):
            return None
        return cls(**told)

    @property
    def half_periods_um(self) -> np.ndarray:
        """Along z, y and x [um]."""
        return np.array([self.axial_um, self.lateral_um, self.lateral_um])

    @property
    def words(self) -> str:
        """A sentence."""
        return (
            f"the optics resolve half periods of {self.lateral_um:.3g} um across the light and "
            f"{self.axial_um:.3g} um along it, by NA {self.objective_na:.3g} of the objective and "
            f"{self.light_na:.3g} of the light"
        )


def _slice_notes(microscope, steepest, dz):
    """The same of the slices' distance, under light of at most the NA `steepest`."""
    notes, ball = [], microscope.medium_index / microscope.wavelength_um
    rate = microscope.axial_frequency(0.0) - microscope.axial_frequency(
        max(microscope.cutoff, steepest / microscope.wavelength_um) ** 2
    )
    if dz * rate > 0.5:
        notes.append(
            f"slices {dz:.3g} um apart undersample the axial resolution of these optics "
            f"({1 / max(rate, 1e-12 * ball):.3g} um): use a depth step below {0.5 / rate:.3g} um"
        )
    if (clear := clear_of_resonance(microscope, dz)) != dz:
        notes.append(
            f"slices {dz:.3g} um apart are half a wavelength in the medium: to ssnp they are a mirror, "
            f"whose reflections add up; use a depth step of {clear:.3g} um, or --model bpm"
        )
    return notes


def clear_of_resonance(microscope: Microscope, dz: float) -> float:
    """A slice distance that is not half a wavelength in the medium, nor near it.

    Slices that far apart are a Bragg mirror, and the model `ssnp`, which knows light that goes back, makes it
    one.

    Parameters
    ----------
    microscope : Microscope
    dz : float
        Distance [um].

    Returns
    -------
    float
        The same, or a smaller one [um].
    """
    half = 0.5 * microscope.wavelength_um / microscope.medium_index
    return (1 - 2 * _RESONANT) * half if abs(dz / half - 1) < _RESONANT else dz
