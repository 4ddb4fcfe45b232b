"""The field that comes out of a fit, with everything that says how it came to be."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from fieldrx._version import __version__
from fieldrx.backends import describe_device, to_host
from fieldrx.field import NeuralField
from fieldrx.optics import Resolution
from fieldrx.provenance import Provenance

if TYPE_CHECKING:
    from fieldrx.fit.run import Fit


def field_of(fit: Fit, interrupted: bool) -> NeuralField:
    """The best field of a fit so far.

    Parameters
    ----------
    fit : Fit
    interrupted : bool
        Whether it was stopped.
    """
    state, grid, acq = fit.state, fit.grid, fit.acquisition
    heights, pixel = grid.axis(0), acq.microscope.pixel_size_um
    region = [(heights[0], heights[-1])] + [(0.0, (n - 1) * pixel) for n in acq.stack.shape[1:]]
    history = {name: np.array(values, np.float64) for name, values in state.history.items()}
    return NeuralField(
        fit.encoding,
        fit.network,
        to_host(state.best_params),
        grid.bounds_um,
        np.array(region),
        grid.spacing_um,
        state.output_scale,
        acq.microscope.medium_index,
        _provenance(fit, interrupted),
        history,
    )


def _provenance(fit, interrupted):
    state, acq, correction = fit.state, fit.acquisition, fit.correction
    known = correction.refinement is not None or correction.edge != "hard"
    light = acq.illumination.select(np.union1d(fit.train, fit.held))
    resolution = Resolution.of(acq.microscope, light, dark_field=True)
    return Provenance(
        fieldrx=__version__,
        numpy=np.__version__,
        device=describe_device(fit.backend),
        name=acq.name,
        microscope=acq.microscope.to_dict(),
        **fit.arguments,
        steps_done=state.step,
        best_step=state.best_step,
        seconds=round(state.seconds, 1),
        nrmse_holdout=None if not np.isfinite(state.best_error) else state.best_error,
        nrmse_closed_form=fit.closed_form_error,
        interrupted=interrupted,
        diverged=fit.diverged,
        notes=fit.notes,
        optics=correction.optics(state.best_optics).to_dict() if known else None,
        origin=fit.origin | {"resolution": asdict(resolution)},
    )
