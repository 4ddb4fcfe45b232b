"""What a fit is asked, with everything that was left open chosen once, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fieldrx.acquisition import Acquisition, require_images
from fieldrx.automatic import choose_depth, choose_model
from fieldrx.backends.operators import Operators
from fieldrx.errors import InputError, expect
from fieldrx.field import Network
from fieldrx.field.choices import default_encoding, encoding_note, make_preset
from fieldrx.field.encodings import Encoding
from fieldrx.fit.memory import Extent, check_fit, check_room
from fieldrx.fit.options import Options, Schedule, settings
from fieldrx.losses import Loss, make_loss
from fieldrx.models import Optics, grid_for, grid_spacing, is_multislice
from fieldrx.optics import Grid
from fieldrx.parallel import world
from fieldrx.priors import Priors
from fieldrx.refinement import parse_refine


@dataclass(frozen=True)
class Problem:
    """One fit, as it was asked and as it was understood.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    model : str
    grid : Grid
        On which the model works.
    train, held : array of int
        Images that are fitted, and those held out.
    priors : Priors
    schedule : Schedule
    loss : Loss
    encoding : Encoding
    network : Network
    kinds : tuple of str
        What of the optics is corrected during the fit, without "background".
    background : bool
        Whether a smooth factor of every image is found too.
    optics : Optics or None
        To start from, where not the acquisition's.
    precision : str
        Of the network's matrix products.
    choices : tuple of str
        What of the arguments was "auto", and why it is what it is now: the depth.
    notes : tuple of str
        What else was chosen, and why.
    """

    acquisition: Acquisition
    depth: Sequence[float]
    model: str
    grid: Grid
    train: np.ndarray
    held: np.ndarray
    priors: Priors
    schedule: Schedule
    loss: Loss
    encoding: Encoding
    network: Network
    kinds: tuple[str, ...]
    background: bool
    optics: Optics | None
    precision: str
    choices: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def multislice(self) -> bool:
        """Whether light may scatter more than once."""
        return is_multislice(self.model)

    @property
    def extent(self) -> Extent:
        """What its memory depends on."""
        acq, train = self.acquisition, self.train
        size = -(-self.schedule.images_per_step(len(train)) // world().size)  # of one rank
        waves = size * int((acq.illumination.pattern[train] != 0).sum(axis=1).max())
        shape, n_params = acq.stack.shape[1:], self.encoding.n_params + self.network.n_params
        place = acq.microscope, shape, self.depth, self.model, self.grid.spacing_um[1]
        return Extent(*place, acq.n_images, n_params, (size, waves))

    @property
    def dark(self) -> np.ndarray:
        """Which images of the acquisition are lit from outside the pupil alone, bool of shape (n,)."""
        return ~self.acquisition.lit

    def bright(self, images: np.ndarray) -> np.ndarray:
        """Those of some images that are in bright field."""
        return images[~self.dark[images]]

    @property
    def geometry(self) -> tuple:
        """Grid, microscope, illumination and shape of the images: what a model of light is made from."""
        acq = self.acquisition
        return self.grid, acq.microscope, acq.illumination, acq.image_shape

    def arguments(self) -> dict:
        """JSON values that say what was asked; a checkpoint serves only the same."""
        return {
            "acquisition": self.acquisition.fingerprint(),
            "model": self.model,
            "depth": [float(d) for d in self.depth],
            "grid": self.grid.to_dict(),
            "encoding": self.encoding.to_dict(),
            "network": self.network.to_dict(),
            "priors": asdict(self.priors),
            "loss": self.loss.to_dict(),
            "schedule": asdict(self.schedule),
            "holdout": self.held.tolist(),
            "refine": list(self.kinds),
            "background": self.background,
            "optics_start": None if self.optics is None else self.optics.to_dict(),
            "precision": self.precision,
        }


def pose(
    acquisition: Acquisition, depth: Sequence[float] | str, model: str, options: Options, backend: Operators
) -> Problem:
    """Choose what was left open, and refuse what makes no sense or does not fit into memory.

    Parameters and errors as of `understand`, which looks at no memory but to choose a model.
    """
    problem = understand(acquisition, depth, model, options, backend)
    check_fit(problem.extent, backend)
    return problem


def understand(
    acquisition: Acquisition, depth: Sequence[float] | str, model: str, options: Options, backend: Operators
) -> Problem:
    """Choose what was left open, and refuse what makes no sense.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float) or "auto"
    model : str
        May be "auto".
    options : Options
    backend : module
        That will compute.

    Raises
    ------
    InputError
    """
    require_images(acquisition, "fit")
    if options.optics is not None:
        expect(options.optics, Optics, "optics", "fieldrx.models.Optics.of(illumination) makes one")
    bright, _ = split_images(acquisition, options.holdout, options.seed)
    heights, choices = _depth(acquisition, depth, bright)
    model, chosen = settle_model(acquisition, heights, model, bright, backend)
    train, held = split_images(acquisition, options.holdout, options.seed, is_multislice(model))
    light = acquisition.illumination.select(np.union1d(train, held))
    grid, spaced = _grid(options, acquisition, light, model, heights)
    priors, schedule = settings(model, options.priors, options.schedule)
    loss, estimated = make_loss(options.loss, acquisition, train)
    kinds = parse_refine(options.refine) if options.refine else ()
    background = acquisition.levelled if options.background is None else options.background
    encoding, network, drawn = _architecture(options, grid, acquisition.microscope, light)
    return Problem(
        acquisition=acquisition,
        depth=heights,
        model=model,
        grid=grid,
        train=train,
        held=held,
        priors=priors,
        schedule=schedule,
        loss=loss,
        encoding=encoding,
        network=network,
        kinds=tuple(kind for kind in kinds if kind != "background"),
        background=bool(background) or "background" in kinds,
        optics=options.optics,
        precision=backend.choose_precision(encoding, network, options.precision),
        choices=choices,
        notes=tuple(
            note
            for note in (chosen, _alone(train, held), _unused(acquisition, model), spaced, estimated, drawn)
            if note
        ),
    )


def _depth(acquisition, depth, images):
    """The depth range, and why where it was chosen, in a tuple."""
    if not isinstance(depth, str):
        return depth, ()
    if depth != "auto":
        raise InputError(f'depth is "{depth}"; expected (z0, z1, dz) in um, or "auto"')
    depth, why = choose_depth(acquisition, images)
    return depth, (why,)


def settle_model(
    acquisition: Acquisition, depth: Sequence[float], model: str, images: np.ndarray, backend: Operators
) -> tuple[str, str]:
    """The name of the model, and a note where it was "auto" and is chosen here.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    model : str
    images : array of int
        Those that may be looked at.
    backend : Operators
        Whose memory must hold the fit.

    Raises
    ------
    InputError
        If a model is to be chosen, and no fit has room.
    """
    if model != "auto":
        return model, ""
    check_room(acquisition, depth, backend)
    model, why = choose_model(acquisition, depth, images, bool(acquisition.dark_field.any()))
    return model, f"model {model}: {why}"


def _alone(train, held):
    """A note where one image is all that there is."""
    if len(train) > 1 or len(held):
        return ""
    return (
        "one image, lit from one side, tells no depth, and none is left to hold out: nothing tests this field"
    )


def _unused(acquisition, model):
    """A note where a model cannot predict images in dark field."""
    count = 0 if is_multislice(model) else int(acquisition.dark_field.sum())
    if not count:
        return ""
    return f"{count} dark-field images are left out: {model} cannot predict them; --model bpm or ssnp can"


def _grid(options, acquisition, light, model, depth):
    """The model's grid under the light of the fit, and a note where its voxels were chosen and are not the
    pixels."""
    scope, spacing = acquisition.microscope, options.grid_um
    chosen = spacing is None
    if chosen:
        spacing = grid_spacing(scope, light, dark_field=True)
    grid = grid_for(model, acquisition.stack.shape[1:], scope, depth, spacing)
    if not chosen or np.isclose(grid.spacing_um[1], scope.pixel_size_um):
        return grid, ""
    return grid, (
        f"voxels are {grid.spacing_um[1]:.3g} um wide, not the pixels' {scope.pixel_size_um:.3g}: the optics "
        f"carry half periods of {spacing:.3g} um (--grid-um for others)"
    )


def _architecture(options, grid, scope, light):
    """Encoding and network, and a note where the encoding was chosen."""
    encoding, network = options.encoding, options.network
    if encoding is not None and not hasattr(encoding, "n_features"):
        raise InputError(
            f"encoding is {f'{encoding!r}'[:60]}; expected one of fieldrx.field, as Hash or Fourier"
        )
    if network is not None:
        expect(network, Network, "network", "fieldrx.field.Network(encoding.n_features, width=32) makes one")
    if options.preset is not None:
        if encoding or network:
            raise InputError("give a preset, or an encoding and a network of your own, not both")
        encoding, network = make_preset(options.preset, options.absorption)
    chosen = encoding is None
    encoding = encoding or default_encoding(grid, scope, light, dark_field=True)
    outputs = 2 if options.absorption else 1
    network = network or Network(encoding.n_features, width=32, depth=2, n_outputs=outputs)
    if network.n_outputs > 2:
        raise InputError(f"the network has {network.n_outputs} outputs; expected 1 or 2 (Re, Im)")
    return (
        encoding,
        network,
        encoding_note(encoding, network, grid, scope, light, dark_field=True) if chosen else "",
    )


def split_images(
    acquisition: Acquisition, share: float | None = None, seed: int = 0, dark_field: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the images to train on and of those to hold out.

    The acquisition's own ``holdout`` wins; otherwise a `share` (default 0.1, at least
    one of three images or more) is drawn with `seed`, of bright and of dark field alike.
    Images without a valid pixel are in neither, nor, without `dark_field`, those lit only from outside the
    pupil.
    """
    bright = np.flatnonzero(acquisition.usable)
    if len(bright) == 0:
        raise InputError("no image can be used: every one is masked or dark field")
    parts = [bright, np.flatnonzero(acquisition.dark_field)] if dark_field else [bright]
    if len(acquisition.holdout):
        held = np.intersect1d(np.concatenate(parts), acquisition.holdout)
    else:
        share = 0.1 if share is None else float(share)
        if not 0 <= share < 1:
            raise InputError(f"holdout is {share:g}; expected a share from 0 to below 1")
        rng, drawn = np.random.default_rng(seed), []
        for part in parts:
            count = max(round(share * len(part)), 1) if share > 0 and len(part) > 2 else 0
            drawn.append(rng.permutation(part)[:count])
        held = np.sort(np.concatenate(drawn))
    train = np.setdiff1d(np.concatenate(parts), held)
    if not np.isin(train, bright).any():
        raise InputError("all usable images are held out: nothing is left to fit; lower --holdout")
    return train, held
