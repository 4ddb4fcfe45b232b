"""Refining the optics while the field is fitted: single directions, intensities, defocus, aberrations.

The board as a whole is aligned by `fieldrx.alignment`.

Now and then the fit corrects the optics theta by a damped Gauss-Newton step on the training images, in which
the sample may change as well: an unfinished field has adapted to the wrong optics and would hold them fast.
With residual r = measured - predicted signal, columns J = d signal / d theta, and H the linear map from the
sample's changes to all images (`fieldrx.tikhonov`), the best changes are eliminated (variable projection:
Golub & Pereyra, SIAM J. Numer. Anal. 10, 413 (1973)):

    (J^H P J / v + D) step = J^H P r / v - D (theta - theta_0),
    P = 1 - H (H^H H + tau)^-1 H^H = tau (H H^H + tau)^-1,      D = diag(1 / width^2),

where `width` says how far a parameter may be expected from where it started and v is the variance of the
residual per independent number, raised where a field's misfit is not the white noise that this supposes.  P
is one small matrix per lateral frequency.  So this runs on spectra: of images that fade to 0 at their
borders, and without frequencies at the edge of a pupil, whose light comes and goes while directions move.
Columns of single scattering have a closed form (`Born.sensitivities`).  Multi-slice models are differenced:
one march more per column in the compiled engine costs a fraction of the plain engine's gradient.

What an image cannot tell is not refined.  All directions shifted together, with the sample sheared, make the
same images, so the mean shift stays that of the table (`fieldrx calibrate` finds it from the pupil's edge);
all images dimmed together are a volume that absorbs, so the mean gain stays what it was;
piston, tilt and defocus among the Zernike terms are shifts of the sample, and stay out.  The focus itself is
such a shift, along z: it moves only as far as the depth range and the priors tell where the sample is.
Held-out images are not looked at: their directions move with the board, an affine map fitted to the others,
their gain stays.

A correction that makes the held-out error worse by a tenth is taken back, and said: less than that the field
may still make good, once it has adapted; the field and optics that are kept are those of the lowest held-out
error.  Fits that start from the closed form are corrected there first, but for their directions: a closed
form, of which the missing frequencies make a smear, tells nothing of them.  Where intensities are refined
this error leaves out the brightness of each held-out image, which nothing predicts and which would hide the
rest.
"""

from fieldrx.models.corrections import Optics
from fieldrx.refinement.kinds import ELSEWHERE, KINDS, ZERNIKE, parse_refine
from fieldrx.refinement.refinement import EVERY, FIRST, LAST, Refinement

__all__ = [
    "ELSEWHERE",
    "EVERY",
    "FIRST",
    "KINDS",
    "LAST",
    "ZERNIKE",
    "Optics",
    "Refinement",
    "parse_refine",
]
