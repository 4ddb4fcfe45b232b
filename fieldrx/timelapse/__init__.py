"""Films: one sample at growing times, each frame fitted from the one before.

Optics, depth, model, weights of priors and held-out images are settled by the first frame and kept.  A frame
goes on from the field of the one before in few steps (`fieldrx.timelapse.plan`), for a sample hardly changes
from frame to frame; how well it did is told by images that no frame learns from.  Between frames the contrast
is interpolated.

A film's file is one .npz without pickles: ``format`` ("fieldrx-film"), ``version``, ``times``, ``unit`` ("s"
or "frame"), ``provenance`` (JSON text), and every field's arrays (`fieldrx.field.neural_field`) behind a
prefix ``frame_K_``.
"""

from fieldrx.timelapse.data import FORMAT, VERSION, Film, Moment, load_film
from fieldrx.timelapse.fits import make_film

__all__ = ["FORMAT", "VERSION", "Film", "Moment", "load_film", "make_film"]
