"""A report of a reconstruction: one HTML file with pictures, numbers and settings that opens offline.

It says what was measured and what was not, how well the field predicts images that it never saw, beside
the noise, what the optics can tell at all, and, given an ensemble, how uncertain the values are.

==============  =============================================================================
`facts`         what is computed, once, for all sections
`images`        sections on measured and predicted images
`sample`        sections on the field, and on what the optics can tell of it
`trust`         the summary, error bars, and words
`course`        sections on how the fit went, and how to repeat it
`parts`         what sections are made of
`page`          the page
`frame`         the page of a mosaic: errors over a whole frame
``*.html``      what is said, in pieces with ``{values}``; ``page.html`` and ``style.css`` the page itself
==============  =============================================================================
"""

from fieldrx.report.frame import write_frame_report
from fieldrx.report.page import write_report

__all__ = ["write_frame_report", "write_report"]
