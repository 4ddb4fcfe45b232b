"""How uncertain a field is: an ensemble of fields that the same images would also allow.

Every member goes on from the field with a restarted, large step size, on a part of the training images
and in another order: it wanders off along all that the images leave open and settles again (restarts that
make an ensemble cheap: Huang et al., ICLR 2017).  Where members differ, the images do not decide.

Their spread s has the right shape more than the right size, since all members share the field's past, its
priors and its model of light.  The size comes from what can be tested without the sample's truth:

    std^2 = (factor s)^2 + hidden^2 .

`factor` is the larger of two. One makes pixels of images that neither the field nor a member has seen lie
within 2 sqrt(sigma^2 + factor^2 s_I^2) of the mean of the members' predictions as often as a normal
distribution does, with sigma the noise floor and s_I the spread of the predictions. The other is the
twin's: images that the field itself would give, with noise as strong, are fitted from nothing as the field
was (a parametric bootstrap: Efron, Ann. Statist. 7, 1 (1979)); there the truth is the field, and what the
fit misses of it inside the band, the slow and smooth parts above all that leave little trace in any one
image, must lie within the bars. A wrong model of light, wrong directions or a wrong background the twin does
not have; they show in unseen images, which the field then misses by more than the twin misses its own, and
by as much more the field is taken to be wrong (`_misfit`): the twin's factor is multiplied by that. `hidden`
is what the images could not have shown even so: a wave inside the band whose trace is no stronger than the
residual's spectrum stays unseen (`fieldrx.band.Band.hidden`). What no image shows, frequencies outside the
supported band, no residual can test: there the spread shows what is left open and is no error bar.

An ensemble file is one .npz without pickles: ``format`` ("fieldrx-ensemble"), ``version``, ``factor``,
``hidden``, ``calibration`` and ``provenance`` (JSON text), and every member's arrays
(`fieldrx.field.neural_field`) behind a prefix ``member_K_``.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import erf

from fieldrx._version import __version__
from fieldrx.backends import get, module_of, to_host
from fieldrx.backends.fft import taper
from fieldrx.band import supported_band
from fieldrx.errors import InputError
from fieldrx.evaluation import same_images
from fieldrx.field import NeuralField, load_field
from fieldrx.field.neural_field import field_from_arrays
from fieldrx.fit import Fit, Schedule
from fieldrx.io import Volume, check_keys, load_npz, one_line, save_npz
from fieldrx.metrics import image_errors
from fieldrx.models import Optics, grid_for, predict
from fieldrx.noise import noise_floor
from fieldrx.priors import Priors
from fieldrx.shading import flattened

FORMAT, VERSION = "fieldrx-ensemble", 1
MEMBERS, STEPS = 6, 24
_TWIN = 7  # of the random numbers that a twin takes, beside the seed
_OMITTED = 0.25  # share of the training images that a member does not see
_RINGS = 0.1  # width of the rings over which a residual's spectrum is averaged [cycles/um], at least
_COVERED = 0.954  # share of a normal distribution within two standard deviations
_MOST = 1e3  # times the spread of the members that bars may be
_LEVELS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)  # half widths of bars that are reported, in standard deviations
_RESTART = {"coarse": 0.7, "warm_steps": 1, "tilted_from": 0.0, "patience": 0}
_RATE = 0.5  # of the field's own first step size


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Fields that the same images allow: their mean and its calibrated standard deviation.

    Parameters
    ----------
    members : sequence of NeuralField
        Two or more, of one domain and medium.
    factor : float
        What their spread is multiplied by; see the module.
    hidden : float
        Standard deviation that is added in squares, of index and of absorption.
    provenance : dict
        JSON values: how the ensemble came to be.
    calibration : dict
        JSON values: what the factor was estimated from.

    Raises
    ------
    InputError
        If there are fewer than two members, or they do not belong together.
    """

    members: tuple[NeuralField, ...]
    factor: float = 1.0
    hidden: float = 0.0
    provenance: dict = field(default_factory=dict)
    calibration: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "members", tuple(self.members))
        if len(self.members) < 2:
            raise InputError(f"{len(self.members)} members tell no spread; expected 2 or more")
        first = self.members[0]
        for other in self.members[1:]:
            if other.medium_index != first.medium_index or not np.allclose(other.bounds_um, first.bounds_um):
                raise InputError("the members of an ensemble must share their domain and medium")
        if not (np.isfinite(self.factor) and self.factor > 0 and 0 <= self.hidden < np.inf):
            raise InputError(f"factor {self.factor} and hidden {self.hidden} must be finite, not negative")

    def __repr__(self):
        return f"Ensemble({len(self.members)} times {self.members[0]!r}, spread times {self.factor:.3g})"

    def __call__(self, points):
        """Mean refractive index and its standard deviation at any points.

        Parameters
        ----------
        points : array, shape (..., 3)
            (z, y, x) [um].

        Returns
        -------
        mean, std : complex128 arrays, shape (...)
            The real part of `std` belongs to the index, the imaginary part to the absorption.  It speaks of
            what lies inside the band that the images support.  Device arrays in, device arrays out.
        """
        mean, std = self._statistics(lambda member: member.contrast(points))
        return self.medium_index + mean, std

    def on_axes(self, z, y, x):
        """Mean contrast and its standard deviation on the grid of three axes [um], complex64.

        On the device that holds `z`.
        """
        mean, std = self._statistics(lambda member: member.on_axes(z, y, x))
        return mean.astype(np.complex64), std.astype(np.complex64)

    def volume(self, spacing=None, shape=None, region=None) -> tuple[Volume, Volume]:
        """Mean contrast and its standard deviation on a grid; parameters of ``NeuralField.volume``."""
        grid = self.members[0].grid(spacing, shape, region)
        place = grid.spacing_um, grid.origin_um, self.medium_index
        mean, std = self.on_axes(*grid.axes)
        return Volume(mean, *place), Volume(std, *place)

    @property
    def medium_index(self) -> float:
        """n0."""
        return self.members[0].medium_index

    def to(self, device) -> Ensemble:
        """The same ensemble on another device: "cpu", "cuda" or "auto"."""
        return replace(self, members=[member.to(device) for member in self.members])

    def belongs_to(self, field) -> bool:
        """Whether the ensemble was made from this very field, as its provenance and domain tell."""
        first = self.members[0]
        return (
            self.provenance.get("field") == _identity(field)
            and first.medium_index == field.medium_index
            and np.allclose(first.bounds_um, field.bounds_um)
        )

    def save(self, path) -> None:
        """Write the ensemble file; an interruption leaves the old one."""
        arrays = {
            "format": np.array(FORMAT),
            "version": np.array(VERSION),
            "factor": np.array(self.factor),
            "hidden": np.array(self.hidden),
            "provenance": np.array(json.dumps(self.provenance)),
            "calibration": np.array(json.dumps(self.calibration)),
        }
        for k, member in enumerate(self.members):
            arrays |= {f"member_{k}_{name}": value for name, value in member.to_arrays().items()}
        save_npz(path, **arrays)

    def _statistics(self, values_of):
        """Mean and standard deviation of what the members say, one member at a time (Welford, 1962)."""
        mean, squares = 0.0, 0.0
        for count, member in enumerate(self.members, 1):
            value = values_of(member)
            value = module_of(value).asarray(value, np.complex128)
            change = value - mean
            mean = mean + change / count
            rest = value - mean
            squares = squares + (change.real * rest.real + 1j * change.imag * rest.imag)
        return mean, self.scaled(squares / (len(self.members) - 1))

    def scaled(self, variance):
        """Standard deviation from the variance of the members, of index (and, imaginary, absorption)."""
        real = np.sqrt(self.factor**2 * variance.real + self.hidden**2)
        if not np.iscomplexobj(variance):
            return real
        return real + 1j * np.sqrt(self.factor**2 * variance.imag + self.hidden**2)


def make_ensemble(
    field,
    acquisition,
    members=MEMBERS,
    steps=None,
    seed=0,
    callback=None,
    folds=False,
    device="auto",
    twin=True,
) -> Ensemble:
    """An ensemble around a fitted field.

    Parameters
    ----------
    field : NeuralField
        A fit with held-out images.
    acquisition : Acquisition
        The images it was fitted to.
    members : int
    steps : int, optional
        Of the optimiser, for every member; by default `STEPS`, with `folds` those of the field's fit.
    seed : int
        Of the images that members see, and of their order.
    callback : callable, optional
        Called with a `fieldrx.fit.Progress` after every step.
    folds : bool
        Cross-validation: the fitted images are dealt into as many parts as there are members, and every
        member is fitted from nothing, as the field was, without one part.  So each image is predicted by a
        field that never saw it; ``calibration["folds"]`` says how well.  Takes as many times the field's own
        fit.
    device : str
        "cpu", "cuda" or "auto".  Networks compute in the precision of the field's fit, where the device can.
    twin : bool
        Fit a twin too, which takes as long as the field did; without it bars are mostly too short.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        If the images are not the field's, none was held out, or a number does not make sense.
    """
    done = field.provenance
    if not same_images(field, acquisition):
        raise InputError("the field was fitted to other images: give the acquisition of its fit")
    held = np.asarray(done["holdout"], int)
    if not len(held):
        raise InputError("the fit held out no image, so nothing can calibrate its uncertainty: use --holdout")
    if members < 2 or (steps is not None and steps < 1):
        raise InputError(f"{members} members of {steps} steps; expected at least 2 members and 1 step")
    train = np.setdiff1d(np.flatnonzero(acquisition.usable), held)
    if folds and members > len(train):
        raise InputError(f"{len(train)} fitted images make no {members} folds: use fewer members")
    parts = np.array_split(np.random.default_rng(seed).permutation(train), members)
    fields, how = [], {"callback": callback, "device": device, "precision": _precision(field, device)}
    for k in range(members):
        if folds:
            fit = _fold(field, acquisition, np.setdiff1d(train, parts[k]), held, steps, (seed, k), **how)
        else:
            fit = _member(field, acquisition, train, steps or STEPS, (seed, k), **how)
        fields.append(_finished(fit, None if folds else field))
    raw = Ensemble(fields)
    factor, hidden, calibration = calibrate(raw, done, acquisition, held, device)
    calibration["factor_images"] = factor
    if twin:
        other = _twin(field, acquisition, train, held, (seed, _TWIN), **how)
        grid, band = _band(done, acquisition, train)
        needed, told = _against_twin(raw, field, other, grid, band, hidden)
        excess = _misfit(field, acquisition, held) / _misfit(other, acquisition, held)
        told["misfit_over_twin"] = max(excess, 1.0)
        factor, calibration = max(factor, needed * max(excess, 1.0)), calibration | told
    calibration["share_of_images"] = len(fields[0].provenance["images"]) / len(train)
    if folds:
        calibration["folds"] = _cross_validation(fields, done, acquisition, parts, device)
    provenance = {
        "fieldrx": __version__,
        "field": _identity(field),
        "steps": [member.provenance["steps_done"] for member in fields],
        "seed": seed,
    }
    return Ensemble(raw.members, factor, hidden, provenance, calibration)


def _identity(field) -> dict:
    """What tells a field from others, JSON-ready."""
    known = {name: field.provenance.get(name) for name in ("name", "acquisition", "model", "depth")}
    return known | {"params": zlib.crc32(to_host(field.params).tobytes())}


def _precision(field, device):
    """That of the field's fit; None, its only one, on a CPU, which cannot follow a GPU's."""
    return None if get(device) is get("cpu") else field.provenance.get("precision")


def _member(parent, acquisition, train, steps, seed, **how):
    """The fit of one member: some of the images, large steps."""
    done, rng = parent.provenance, np.random.default_rng(seed)
    seen = np.sort(rng.permutation(train)[: max(round((1 - _OMITTED) * len(train)), 1)])
    own = Schedule(**done["schedule"])
    schedule = replace(
        own,
        steps=steps,
        budget_s=None,
        evaluate_every=steps,
        learning_rate=_RATE * own.learning_rate,
        table_learning_rate=_RATE * own.table_learning_rate,
        seed=int(rng.integers(2**31)),
        **_RESTART,
    )
    optics = Optics.recorded(done, acquisition.illumination).select(seen)
    return _refit(parent, acquisition.select(seen), seen, schedule, holdout=0, optics=optics, **how)


def _fold(parent, acquisition, seen, held, steps, seed, **how):
    """The field's own fit, without one part of its images."""
    images = np.union1d(seen, held)
    part = replace(acquisition.select(images), holdout=np.flatnonzero(np.isin(images, held)))
    refine, start = parent.provenance["refine"] or None, parent.provenance.get("optics_start")
    optics = None if start is None else Optics.from_dict(start).select(images)
    schedule = _schedule_anew(parent, np.random.default_rng(seed), steps)
    return _refit(parent, part, seen, schedule, refine=refine, optics=optics, **how)


def _schedule_anew(parent, rng, steps=None):
    """The schedule of the field's fit from nothing, in steps whatever its budget was, with another seed."""
    own = Schedule(**parent.provenance["schedule"])
    steps = steps or (own.steps if own.budget_s is None else parent.provenance["steps_done"])
    return replace(own, steps=steps, budget_s=None, seed=int(rng.integers(2**31)))


def _finished(fit, initial=None):
    """The field of a fit that nobody interrupts."""
    found = fit.run(initial=initial)
    if found.provenance["interrupted"]:
        raise KeyboardInterrupt
    return found


def _refit(parent, part, seen, schedule, **options):
    """A fit to part of a field's images with the field's settings."""
    done = parent.provenance
    return Fit(
        part,
        done["depth"],
        done["model"],
        encoding=parent.encoding,
        network=parent.network,
        priors=Priors(**done["priors"]),
        schedule=schedule,
        loss=done["loss"],
        background=done.get("background", False),
        origin={"images": seen.tolist()},
        **options,
    )


def _twin(parent, acquisition, train, held, seed, **how):
    """The field's own fit again, from nothing, to images that the field itself would give."""
    done, rng = parent.provenance, np.random.default_rng(seed)
    optics = Optics.recorded(done, acquisition.illumination)
    images = np.union1d(train, held)
    clean = _predicted(parent, optics, images, done, acquisition, how["device"])
    sigma = np.nan_to_num(noise_floor(acquisition, images).sigma)
    noisy = np.ones_like(acquisition.images)
    noisy[images] = clean + sigma * rng.standard_normal(clean.shape, np.float32)
    schedule = _schedule_anew(parent, rng)
    other = replace(acquisition, images=noisy, holdout=held, checksum=None)
    known = optics if "optics" in done else None
    return _finished(_refit(parent, other, train, schedule, optics=known, **how))


def _misfit(field, acquisition, held):
    """What a field misses of its unseen images beyond their noise, as a share of the signal.

    Not less than a tenth of the noise, below which no difference means anything.
    """
    noise = noise_floor(acquisition, held)
    floor = noise.share if noise.measured and np.isfinite(noise.share) else 0.0
    beyond = field.provenance["nrmse_holdout"] ** 2 - floor**2
    return float(np.sqrt(max(beyond, (0.1 * floor) ** 2, 1e-12)))


def _against_twin(ensemble, field, twin, grid, band, hidden):
    """The factor that the twin's error needs, and what was found, JSON-ready."""
    place = np.ix_(
        *(
            (axis >= lo - 1e-6) & (axis <= hi + 1e-6)
            for axis, (lo, hi) in zip(grid.axes, field.region_um, strict=True)
        )
    )

    def inside(one):
        return band.inside(to_host(one.on_axes(*grid.axes)).real)

    truth = inside(field)
    error = np.abs(inside(twin) - truth)[place]
    spread = np.std([inside(member) for member in ensemble.members], axis=0, ddof=1)[place]

    def covered(factor):
        return float(np.mean(error <= 2 * np.sqrt((factor * spread) ** 2 + hidden**2)))

    factor = _smallest(lambda f: covered(f) >= _COVERED)
    norm = max(float(np.linalg.norm(truth[place])), 1e-30)
    return factor, {
        "factor_twin": factor,
        "twin_error": float(np.linalg.norm(error)) / norm,
    }


def _cross_validation(members, settings, acquisition, parts, device) -> dict:
    """How well every member predicts the part of the images that it never saw, JSON-ready.

    ``images`` and ``nrmse_per_image``, part by part; ``nrmse`` over all, ``nrmse_per_fold``, ``noise_floor``
    and whether it is measured, not a bound.
    """
    predicted = [_unseen(*both, settings, acquisition, device) for both in zip(members, parts, strict=True)]
    images, masks = np.concatenate(parts), acquisition.mask

    def errors(values, of):
        measured = _measured(settings, acquisition, of, values)
        return image_errors(values, measured, None if masks is None else masks[of])

    overall, each = errors(np.concatenate(predicted), images)
    noise = noise_floor(acquisition, images)
    return {
        "images": [part.tolist() for part in parts],
        "nrmse": overall,
        "nrmse_per_fold": [errors(p, part)[0] for p, part in zip(predicted, parts, strict=True)],
        "nrmse_per_image": each.tolist(),
        "noise_floor": noise.share,
        "noise_measured": noise.measured,
    }


def _unseen(member, images, settings, acquisition, device):
    """Images that a member never saw, predicted with the optics that it found for the others."""
    optics = Optics.recorded(settings | member.provenance, acquisition.illumination)
    optics = replace(optics, gain=np.ones(acquisition.n_images))  # nobody has seen these images' own
    return _predicted(member, optics, images, settings, acquisition, device)


def _predicted(one, optics, images, settings, acquisition, device):
    """Images of a field under some optics, on the host."""
    seen = acquisition.microscope, acquisition.illumination, acquisition.image_shape
    grid = _grid(settings, acquisition)
    model = optics.model(settings["model"], grid, *seen)
    contrast = one.on_axes(*map(get(device).asarray, grid.axes))
    return np.concatenate([to_host(part) for _, part in predict(model, contrast, images)])


def _measured(settings, acquisition, images, predicted):
    """Measured images, less what is left of their background where the fit refined that."""
    measured = acquisition.images[images]
    if not settings.get("background"):
        return measured
    return flattened(measured, predicted, None if acquisition.mask is None else acquisition.mask[images])


def _band(settings, acquisition, images):
    """The fit's grid, and the band that the fitted images support on it."""
    grid = _grid(settings, acquisition)
    return grid, supported_band(grid, acquisition.microscope, acquisition.illumination, images)


def _grid(settings, acquisition):
    """The fit's grid."""
    return grid_for(settings["model"], acquisition.image_shape, acquisition.microscope, settings["depth"])


def calibrate(ensemble, settings, acquisition, images, device="auto") -> tuple[float, float, dict]:
    """What makes the bars right for images that no member has seen; see the module.

    Parameters
    ----------
    ensemble : Ensemble
        Its own factor is not used.
    settings : dict
        Provenance of the fit.  Every member predicts with the optics of its own, where it refined them.
    acquisition : Acquisition
    images : array of int
    device : str
        "cpu", "cuda" or "auto".

    Returns
    -------
    factor, hidden : float
    calibration : dict
        ``images``, ``sigma``, ``nrmse_holdout`` of the mean; ``levels``: shares of a normal
        distribution within bars of several widths, and what was found with and without the factor,
        ``covered`` and ``covered_raw``; ``notes``: what is wrong with the bars, mostly nothing.
    """
    predicted = [_unseen(member, images, settings, acquisition, device) for member in ensemble.members]
    valid = np.ones((len(images), *acquisition.image_shape), bool)
    if acquisition.mask is not None:
        valid = acquisition.mask[images]

    spread, mean = np.std(predicted, axis=0, ddof=1)[valid], np.mean(predicted, axis=0)
    measured = _measured(settings, acquisition, images, mean)
    residual = np.abs(measured - mean)[valid]
    _, band = _band(settings, acquisition, np.setdiff1d(np.flatnonzero(acquisition.usable), images))
    hidden = band.hidden(_density((measured - mean) * valid, acquisition.microscope.pixel_size_um))
    noise = noise_floor(acquisition, images)
    # a bound from above would hide errors of the field; nan where too few pixels are valid
    sigma = noise.sigma if noise.measured and noise.sigma > 0 else 0.0

    def covered(factor, width=2.0):
        return float(np.mean(residual <= width * np.sqrt(sigma**2 + (factor * spread) ** 2)))

    notes = []
    if covered(_MOST) < _COVERED:
        notes.append(
            f"the members agree too closely for error bars: {_MOST:g} times their spread covers the residual "
            f"at {covered(_MOST):.0%} of the unseen pixels, not {_COVERED:.0%}; use more --steps"
        )
    factor = _smallest(lambda f: covered(f) >= _COVERED)
    return (
        factor,
        hidden,
        {
            "images": np.asarray(images).tolist(),
            "sigma": sigma,
            "nrmse_holdout": image_errors(mean, measured, valid)[0],
            "levels": [float(erf(width / np.sqrt(2))) for width in _LEVELS],
            "covered": [covered(factor, width) for width in _LEVELS],
            "covered_raw": [covered(1.0, width) for width in _LEVELS],
            "notes": notes,
        },
    )


def _density(residual, pixel_um):
    """Spectral density of residuals (n, y, x), averaged over rings: a function of lateral frequency."""
    ny, nx = residual.shape[1:]
    window = taper((ny, nx))
    power = (np.abs(np.fft.fft2(residual * window)) ** 2).mean(axis=0) / (window**2).sum()
    nu = np.hypot(np.fft.fftfreq(ny, pixel_um)[:, None], np.fft.fftfreq(nx, pixel_um)[None])
    width = max(_RINGS, 2 / (min(ny, nx) * pixel_um))
    ring = (nu / width).astype(int).ravel()
    count = np.bincount(ring)
    mean = np.bincount(ring, power.ravel()) / np.maximum(count, 1)
    place = width * (np.arange(len(count)) + 0.5)
    return lambda wanted: np.interp(wanted, place[count > 0], mean[count > 0])


def _smallest(enough, low=1.0, high=_MOST):
    """Smallest number between `low` and `high` from which a growing condition holds, to 0.1 %, or `high`."""
    if enough(low):
        return low
    while high / low > 1.001:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def load_field_or_ensemble(path):
    """Whichever of the two a file holds; errors as of their readers."""
    arrays = load_npz(path, "field or ensemble", ("format",))
    return load_ensemble(path) if str(arrays["format"]) == FORMAT else load_field(path)


def load_ensemble(path) -> Ensemble:
    """Read an ensemble file.

    Raises
    ------
    InputError
        If the file is missing, damaged, no ensemble, or of another version.
    """
    arrays = load_npz(path, "ensemble", ("format", "version"))
    if str(arrays["format"]) != FORMAT:
        raise InputError(f'{path} has format "{arrays["format"]}"; expected "{FORMAT}"')
    if arrays["version"].shape != () or arrays["version"].item() != VERSION:
        raise InputError(
            f"{path} is an ensemble file of version {arrays['version']}; this fieldrx reads version {VERSION}"
        )
    check_keys(arrays, ("factor", "hidden", "provenance", "calibration", "member_0_format"), path, "ensemble")
    members = []
    while f"member_{len(members)}_format" in arrays:
        prefix = f"member_{len(members)}_"
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        members.append(field_from_arrays(own, path))
    try:
        texts = (json.loads(str(arrays[name])) for name in ("provenance", "calibration"))
        return Ensemble(members, float(arrays["factor"]), float(arrays["hidden"]), *texts)
    except (ValueError, TypeError) as error:  # InputError is a ValueError
        raise InputError(f"{path} is damaged: {one_line(error)}; make it again") from None
