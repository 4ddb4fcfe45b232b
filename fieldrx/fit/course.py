"""The course of a fit: which images, on which pixels, with which features a step works.  Pure functions.

Coarse to fine: for a first share of the steps the field is evaluated on every second pixel, a quarter of
the cost; Fourier interpolation brings it to the model's grid.  Every step shifts the points at which the
field is evaluated by a random part of a pixel, and Fourier interpolation shifts the result back, so that
the images teach the field everywhere and not at the pixels' centres alone: zooming in shows no lattice.

Multi-slice models begin with the images of the least tilted light, whose phase wraps least.
"""

from __future__ import annotations

import numpy as np

from fieldrx.fit.problem import Problem


def coarseness(problem: Problem, share: float) -> tuple[int, np.ndarray | None]:
    """Stride of the field's grid and gain of its features (None: all on) at a share of the fit.

    A warm start has taught all features already: only a fit from nothing fades them in.
    """
    schedule = problem.schedule
    if share >= schedule.coarse:
        return 1, None
    if schedule.warm_steps:
        return 2, None
    octaves = np.asarray(problem.encoding.octave_of_feature(), float)
    open_octaves = 1 + (octaves.max() + 1) * min(1.0, share / (0.7 * schedule.coarse))
    return 2, np.clip(open_octaves - octaves, 0, 1).astype(np.float32)


def shift(seed: int, step: int) -> np.ndarray:
    """Where the field is evaluated at a step: parts of a (coarse) pixel along y and x."""
    return np.random.default_rng((seed, step)).uniform(-0.5, 0.5, 2)


def pool(problem: Problem, share: float) -> np.ndarray:
    """Images to draw from: all for a linear model, else those of the least tilted light first."""
    train = problem.train
    if not problem.multislice or share >= problem.schedule.tilted_from:
        return train
    illumination = problem.acquisition.illumination
    tilt = illumination.pattern @ np.linalg.norm(illumination.sources_na, axis=1)
    tilt = (tilt / illumination.pattern.sum(axis=1))[train]
    return train[tilt <= np.median(tilt)]


def batch(problem: Problem, step: int, share: float, setbacks: int = 0) -> np.ndarray:
    """Images of a step: consecutive parts of a shuffled order, shuffled anew every round."""
    images, schedule = pool(problem, share), problem.schedule
    size = schedule.images_per_step(len(images))
    if size == len(images):
        return images
    per_round = -(-len(images) // size)
    again = (setbacks,) if setbacks else ()
    rng = np.random.default_rng((schedule.seed, step // per_round, *again))
    order = rng.permutation(images)
    first = (step % per_round) * size
    return np.sort(order[first : first + size])
