"""What a fit minimises, and its gradient with respect to the predicted images.

    |I_predicted - I_measured|^2 / |I_measured - 1|^2  +  priors

for Rytov with log I in both norms; other losses are in `fieldrx.losses`.  The sum runs over the valid pixels
of the training images; where the background was estimated from the images, a smooth factor of each takes what
is left of it, see `fieldrx.shading`.  The priors are added where the field's outputs are at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fieldrx.backends import module_of
from fieldrx.backends.operators import Operators
from fieldrx.comparison import MeasuredImages
from fieldrx.errors import InputError
from fieldrx.fit.problem import Problem
from fieldrx.losses import SquaredError
from fieldrx.models import ForwardModel, Rytov
from fieldrx.parallel import Communicator, share_of
from fieldrx.shading import smooth_factor, smooth_term


class Objective:
    """The data term of a fit, and its images on the device.

    Parameters
    ----------
    problem : Problem
    backend : module
        That computes.
    model : ForwardModel
        Only what it compares counts, I - 1 or log I, not its optics.
    ranks, sharing : Communicator
        Ranks that share the images of every step, and those that share the planes of the grid.

    Raises
    ------
    InputError
        If the images hold no signal.
    """

    def __init__(
        self,
        problem: Problem,
        backend: Operators,
        model: ForwardModel,
        ranks: Communicator,
        sharing: Communicator,
    ):
        acq = problem.acquisition
        self.backend, self.model, self.train = backend, model, problem.train
        self.ranks, self.sharing = ranks, sharing
        self.loss, self.background = problem.loss, problem.background
        mask = None if acq.mask is None else backend.asarray(acq.mask)
        self.dark = problem.dark
        self.bright = problem.bright(self.train)
        self.pairs = MeasuredImages(backend.asarray(acq.images), mask, self.background, self.dark)
        self.empty = self._empty_losses(acq.n_images)
        self.norm = float(self.empty[self.train].sum())

    def own(self, images: np.ndarray) -> np.ndarray:
        """Those of some images that this rank works on."""
        return images[share_of(len(images), self.ranks.rank, self.ranks.size)]

    def of_batch(
        self, model: ForwardModel, contrast: np.ndarray, batch: np.ndarray
    ) -> tuple[Any, Callable[[], np.ndarray]]:
        """Loss of a batch over that of an empty sample, and what gives its gradient.

        Parameters
        ----------
        model : ForwardModel
            With its present optics.
        contrast : complex array, shape ``model.grid.shape``
        batch : array of int
            Images, which the ranks share.

        Returns
        -------
        float, or float64 array of shape () on the device
        callable
            Gives the gradient with respect to the contrast: by all images, on this rank's planes; or, where
            planes are not shared, by its own images.
        """
        own = self.own(batch)
        if not len(own):
            nothing = module_of(contrast).zeros_like(contrast)
            return self.ranks.sum(0.0), lambda: self.sharing.planes_sum(nothing)
        predicted, pullback = self.loss.predict(model, contrast, own)
        value, residual = self.data_term(predicted, own, len(batch))
        return self.ranks.sum(value), lambda: self.sharing.planes_sum(pullback(residual))

    def data_term(self, predicted: np.ndarray, images: np.ndarray, count: int | None = None) -> tuple:
        """Loss of images over that of an empty sample, and its gradient with respect to their prediction.

        Of a batch of `count` images it is what these add to it.
        """
        measured, valid = self.measured(images)
        share = len(self.train) / (count or len(images)) / self.norm
        if not self.background:
            return self._loss_and_gradient(predicted, measured, valid, share)
        shaded, slope, penalty = self._shaded(predicted, measured, valid, images)
        value, gradient = self._loss_and_gradient(shaded, measured, valid, share)
        return value + share * penalty, gradient * slope

    def measured(self, images: Sequence[int] | np.ndarray) -> tuple:
        """What the loss compares with, and the pixels that count."""
        if isinstance(self.loss, SquaredError) and isinstance(self.model, Rytov):
            return self._signals(images, self.model)
        return self.backend.measured(self.pairs.images, self.pairs.mask, images, 1 - self.loss.empty)

    def signal(self, images: np.ndarray, model: ForwardModel) -> np.ndarray:
        """Measured signal of some images as a model sees it, 0 where it is undefined."""
        return self._signals(images, model)[0]

    def _signals(self, images, model):
        """Measured signals of some images, 0 where they are masked or undefined, and where they are not."""
        images = self.backend.asarray(images)
        values = model.signal(self.pairs.images[images])
        valid = np.isfinite(values)
        if self.pairs.mask is not None:
            valid &= self.pairs.mask[images]
        return np.where(valid, values, np.float32(0)), valid

    def _loss_and_gradient(self, predicted, measured, valid, share):
        if isinstance(self.loss, SquaredError):  # fused on every device
            return self.backend.squared_error(predicted, measured, valid, share)
        value, gradient = self.loss.value_and_gradient(predicted, measured, valid)
        return share * value, gradient * np.float32(share)

    def _shaded(self, predicted, measured, valid, images):
        """A prediction times the smooth surface that is left of the background, the slope of that, and the
        surface's own penalty; where no pixel counts, as in dark field, the surface is 1.

        The loss compares intensities, or I - 1, or, of Rytov's model, log I.
        """
        valid = valid & self.backend.asarray(~self.dark[images])[:, None, None]
        if isinstance(self.loss, SquaredError) and isinstance(self.model, Rytov):
            surface, penalty = smooth_term(predicted, measured, valid)
            return predicted + surface, np.float32(1), penalty
        offset = np.float32(1 - self.loss.empty)
        factor, penalty = smooth_factor(predicted + offset, measured + offset, valid)
        penalty = penalty if isinstance(self.loss, SquaredError) else 0.0
        return (predicted + offset) * factor - offset, factor, penalty

    def _empty_losses(self, n_images):
        """Loss of an empty sample for every training image, 0 for others, shape (n_images,)."""
        losses = np.zeros(n_images)
        for k in self.own(self.train):
            measured, valid = self.measured([k])
            level = np.array(not self.dark[k], np.float32)  # of an empty field
            empty = module_of(measured).full_like(measured, float(self.loss.measured(self.model, level)))
            penalty = 0.0
            if self.background:
                empty, _, penalty = self._shaded(empty, measured, valid, np.array([k]))
            losses[k] = float(self.loss.value_and_gradient(empty, measured, valid)[0]) + float(penalty)
        losses = self.ranks.sum(losses)
        if not losses.any():
            raise InputError("the images hold no signal: every valid pixel is exactly 1, the empty field")
        return losses
