"""Measuring objects: cells and beads found by their index, with volume, surface, dry mass, index and place.

=================  =========================================================================
`segmentation`     where the objects are, parted where they touch
`body`             the shape of one as the images tell it, and what the missing cone leaves open
`objects`          the numbers, with standard deviations from an ensemble
`files`            the table, and labels for napari
=================  =========================================================================
"""

import sys
from types import ModuleType
from typing import Any

from fieldrx.measure.files import write_labels, write_table
from fieldrx.measure.objects import NAMES, Measurement, measure
from fieldrx.measure.segmentation import segment

__all__ = ["NAMES", "Measurement", "measure", "segment", "write_labels", "write_table"]


class _Room(ModuleType):
    """This package, which has the name of its function in `fieldrx` and is called as that."""

    def __call__(self, *args: Any, **options: Any) -> Measurement:
        return measure(*args, **options)


sys.modules[__name__].__class__ = _Room
