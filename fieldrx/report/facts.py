"""What a report speaks of, computed once for all sections."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import to_host
from fieldrx.band import Band, supported_band
from fieldrx.ensemble import Ensemble
from fieldrx.ensemble.twin import SAMPLE
from fieldrx.evaluation import amplitude_numbers, compare, verdict_of
from fieldrx.field import NeuralField
from fieldrx.totals import Totals, sign_of, totals_of
from fieldrx.volume import Volume

_PLANE_PIXELS = 320
_TOTALS = ("dry_mass_pg", "dry_mass_interval_pg", "volume_um3", "volume_interval_um3", "prior_share")


class Facts:
    """A field and its images, compared.

    Parameters
    ----------
    field : NeuralField
    acquisition : Acquisition
        With the images it was fitted to.
    ensemble : Ensemble or None
        Made from the field.
    device : str
        Where images are predicted.

    Attributes
    ----------
    field, acquisition, ensemble
        As given.
    compared : Comparison
        Predicted beside measured images.
    usable, held, train : int arrays
        Images in bright field that count; those of them that the fit did not see, and those that it saw.
    dark, dark_held : int arrays
        Images in dark field that count, and those of them that the fit did not see.
    fitted : int array
        Images that the fit saw, in bright and dark field.
    light : Illumination
        As refined, where the fit did that.
    volume : Volume
        The field on its voxels.
    top : float
        The largest contrast of the index, but for outliers.
    sample : bool array, shape (nz, ny, nx)
        Voxels that belong to the sample.
    centre_um : float array, shape (3,)
        Its centre of mass, as (z, y, x).
    band : Band
        What the fitted images can tell.
    tapered : float array, shape (nz, ny, nx)
        The contrast, falling to 0 at the volume's faces.
    totals : Totals
    std : float array, shape (nz, ny, nx), or None
        Standard deviation of the index, where there is an ensemble.
    folds : dict or None
        Its cross-validation, where there is one.
    numbers : dict
        The main numbers, JSON-ready.
    """

    def __init__(
        self,
        field: NeuralField,
        acquisition: Acquisition,
        ensemble: Ensemble | None,
        device: str,
    ):
        self.field, self.acquisition, self.ensemble = field, acquisition, ensemble
        self.folds = None if ensemble is None else ensemble.calibration.get("folds")
        self.compared = compare(field, acquisition, device=device)
        self.held, self.usable = self.compared.held, self.compared.usable
        self.train = np.setdiff1d(self.usable, self.held)
        self.dark, self.dark_held = self.compared.dark, self.compared.dark_held
        self.fitted = np.union1d(self.train, np.setdiff1d(self.dark, self.dark_held))
        self.light = self.compared.model.illumination
        self.volume = field.volume()
        index = self.volume.contrast.real
        self.top = max(float(np.quantile(index, 0.9995)), 1e-12)
        self.sample = index > SAMPLE * self.top
        self.centre_um = self._centre()
        self.band = supported_band(self.volume.grid, acquisition.microscope, self.light, self.fitted)
        self.tapered = index * _taper(index.shape)
        self.std = None if ensemble is None else ensemble.on_axes(*self.volume.grid.axes)[1].real
        self.totals = _totals(self.volume, self.band, ensemble)
        self.numbers = self._numbers()

    def _centre(self):
        """Centre of mass of what the field holds [um]."""
        weight = np.maximum(self.volume.contrast.real, 0).astype(np.float64) * self.sample
        total = weight.sum()
        if total == 0:
            return self.field.region_um.mean(axis=1)
        others = ((1, 2), (0, 2), (0, 1))
        axes = self.volume.grid.axes
        return np.array([float(weight.sum(axis=o) @ a / total) for o, a in zip(others, axes, strict=True)])

    def _numbers(self):
        noise = self.compared.noise
        numbers = {
            "nrmse_train": self.compared.error(self.train)[0] if len(self.train) else None,
            "noise_sigma": noise.sigma,
            "noise_floor": noise.share,
            "noise_floor_method": noise.method,
            "amplitude_error": amplitude_numbers(self.compared),
            **_reach(self.tapered, self.band),
        }
        if len(self.held):
            error, noise = self.compared.error(self.held)[0], self.compared.noise_of(self.held)
            numbers |= {"nrmse_holdout": error, "noise_floor_holdout": noise.share}
            numbers["verdict"] = verdict_of(self.compared)
        if self.ensemble is not None and self.std is not None:
            inside = self.std[self.sample]
            numbers["std_in_sample"] = float(np.median(inside)) if inside.size else None
            numbers["factor"] = self.ensemble.factor
        numbers |= {name: getattr(self.totals, name) for name in _TOTALS}
        numbers["contrast_sign"] = sign_of(self.volume.contrast.real)
        return numbers

    def planes(self, on_axes: Callable[..., np.ndarray]) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """The three planes through the centre.

        Parameters
        ----------
        on_axes : callable
            Gives real values on the grid of three axes z, y, x [um].

        Returns
        -------
        list of (str, array, array)
            What the plane shows, its values, and its height and width [um].
        """
        lengths = np.maximum(np.ptp(self.field.region_um, axis=1), 1e-9)
        step = lengths.max() / _PLANE_PIXELS
        z, y, x = (
            np.linspace(lo, hi, max(round(n / step), 2))
            for (lo, hi), n in zip(self.field.region_um, lengths, strict=True)
        )
        cz, cy, cx = ([c] for c in self.centre_um)
        across, along = "across the light (y down, x right)", "along the light (z down, {} right)"
        return [
            (f"{across}, z = {cz[0]:.2f} um", on_axes(cz, y, x)[0], lengths[1:]),
            (f"{along.format('x')}, y = {cy[0]:.2f} um", on_axes(z, cy, x)[:, 0], lengths[::2]),
            (f"{along.format('y')}, x = {cx[0]:.2f} um", on_axes(z, y, cx)[:, :, 0], lengths[:2]),
        ]


def _reach(tapered: np.ndarray, band: Band) -> dict[str, float]:
    """Half periods that the optics resolve [um], and where the power of a contrast lies."""
    grid, supported = band.grid, band.supported
    nu_z = np.abs(np.fft.fftfreq(grid.shape[0], grid.spacing_um[0]))
    nu_y, nu_x = grid.frequencies()
    lateral = np.hypot(nu_y[:, None], nu_x[None])
    reach_z = float(nu_z[supported.any(axis=(1, 2))].max())
    reach = float(lateral[supported.any(axis=0)].max())
    beyond = (lateral[None] > reach) | (nu_z[:, None, None] > reach_z)
    power = np.abs(np.fft.fftn(tapered)) ** 2
    total = max(float(power.sum()), 1e-300)
    return {
        "resolution_lateral_um": 0.5 / reach,
        "resolution_axial_um": 0.5 / max(reach_z, 1e-12),
        "share_inside_band": float(power[supported].sum()) / total,
        "share_in_gap": float(power[~supported & ~beyond].sum()) / total,
        "share_beyond_reach": float(power[beyond & ~supported].sum()) / total,
    }


def _totals(volume: Volume, band: Band, ensemble: Ensemble | None) -> Totals:
    """Sums over the sample, with intervals that the members of an ensemble widen."""
    members, factor = [], 1.0
    if ensemble is not None:
        axes, factor = volume.grid.axes, ensemble.factor
        members = [to_host(member.on_axes(*axes)).real for member in ensemble.members]
    return totals_of(volume.contrast.real, band, members, max(factor, 1.0))


def _taper(shape):
    """1 inside, falling to 0 over a tenth of every side, so that a volume's cut edges make no spectrum."""
    edges = []
    for n in shape:
        width = max(n // 10, 1)
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(width) + 0.5) / width)
        edges.append(np.concatenate([ramp, np.ones(max(n - 2 * width, 0)), ramp[::-1]])[:n])
    return (edges[0][:, None, None] * edges[1][:, None] * edges[2]).astype(np.float32)
