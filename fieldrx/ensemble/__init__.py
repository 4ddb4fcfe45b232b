"""How uncertain a field is: an ensemble of fields that the same images would also allow.

Every member goes on from the field with a restarted, large step size, on a part of the training images
and in another order: it wanders off along all that the images leave open and settles again (restarts that
make an ensemble cheap: Huang et al., ICLR 2017).  Where members differ, the images do not decide.

Their spread s has the right shape more than the right size, since all members share the field's past, its
priors and its model of light.  The size comes from what can be tested without the sample's truth:

    std^2 = (factor s)^2 + hidden^2 + (relative |n - n0|)^2 .

`factor` is the larger of two. One makes pixels of images that neither the field nor a member has seen lie
within 2 sqrt(sigma^2 + factor^2 s_I^2) of the mean of the members' predictions as often as a normal
distribution does, with sigma the noise floor and s_I the spread of the predictions. The other is the
twin's: images that the field itself would give, with noise as strong, are fitted from nothing as the field
was (a parametric bootstrap: Efron, Ann. Statist. 7, 1 (1979)); there the truth is the field, and what the
fit misses of it inside the band, the slow and smooth parts above all that leave little trace in any one
image, must lie within the bars. A wrong model of light, wrong directions or a wrong background the twin does
not have; they show in unseen images, which the field then misses by more than the twin misses its own, and
by as much more the field is taken to be wrong (`fieldrx.ensemble.twin.misfit`): the twin's factor is
multiplied by that. `hidden` is what the images could not have shown even so: a wave inside the band whose
trace is no stronger than the residual's spectrum stays unseen (`fieldrx.band.Band.hidden`). `relative` is
for what all members share, errors of the model and of the optics: where unseen images are missed by a share
of their signal beyond their noise, the same share of what the sample has inside the band is doubted
(`fieldrx.ensemble.twin.systematic`). What no image shows, frequencies outside the supported band, no residual
can test: there the spread shows what is left open and is no error bar.

An ensemble file is one .npz without pickles: ``format`` ("fieldrx-ensemble"), ``version``, ``factor``,
``hidden``, ``relative`` (0 where missing), ``calibration`` and ``provenance`` (JSON text), and every member's
arrays (`fieldrx.field.neural_field`) behind a prefix ``member_K_``.
"""

from fieldrx.ensemble.calibration import calibrate
from fieldrx.ensemble.data import FORMAT, VERSION, Ensemble, load_ensemble
from fieldrx.ensemble.make import MEMBERS, STEPS, make_ensemble

__all__ = [
    "FORMAT",
    "MEMBERS",
    "STEPS",
    "VERSION",
    "Ensemble",
    "calibrate",
    "load_ensemble",
    "make_ensemble",
]
