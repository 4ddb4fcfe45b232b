"""From an acquisition to a field without a question: directions, depth, model, sign, fit.

Every choice is made by the library's own functions and kept with its evidence.  Directions are judged by
short fits, as a sample is what they must explain: those of the table, or those that the spectra tell where a
thin slice prefers them; the better of them as they are, or aligned with the field (`fieldrx.alignment`).
The depth is narrowed to what a short fit occupies, and further while unseen images are told more surely.

One thing is left that the images do not tell: light hardly differs between a sample denser than its medium
and a less dense one, mirrored along z, lit from the opposite sides.  Short fits that hold the sample for
denser, with the light as given and reversed, are compared, and longer ones where these tell too little.
Where the light as given ends far worse, either it is reversed or the sample is less dense, and the user is
asked; where it ends a little worse the light is taken as reversed, and the verdict says so.
"""

from fieldrx.workflow.outcome import CONTRASTS, Outcome, run
from fieldrx.workflow.sign import Undecided
from fieldrx.workflow.trials import Choice

__all__ = ["CONTRASTS", "Choice", "Outcome", "Undecided", "run"]
