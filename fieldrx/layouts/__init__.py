"""Layouts in which others keep their images: recognised, and described as an acquisition.toml.

=============  ==================================================================================
`listing`      what a folder or file holds, by names and shapes alone
`draft`        an acquisition.toml in the making: keys, where each value comes from, what is missing
`settings`     keys that the user gives
`tomography`   High-Throughput-IDT, annular IDT, DeCAF
`ptychography` FPM-INR, PtyLab, UConn, Waller lab
`images`       folders of images with numbers in their names, stacks with metadata
`writing`      the file, and the picture beside it
=============  ==================================================================================

A layout is a function from a `Listing` to a `Draft`, or to None where it is another; a new one is a line in
`LAYOUTS`.  Files are read by the readers that acquisitions have: a draft names variables in data files.
"""

from __future__ import annotations

from collections.abc import Callable

from fieldrx.errors import InputError
from fieldrx.layouts.draft import Draft, Key
from fieldrx.layouts.images import image_stack, led_images
from fieldrx.layouts.listing import Listing, list_files
from fieldrx.layouts.ptychography import fpm_inr, ptylab, uconn, waller
from fieldrx.layouts.settings import apply_settings, try_settings
from fieldrx.layouts.tomography import annular_idt, decaf, high_throughput_idt
from fieldrx.layouts.writing import check_targets, usual_target, write_draft, write_picture

__all__ = [
    "LAYOUTS",
    "Draft",
    "Key",
    "Listing",
    "apply_settings",
    "check_targets",
    "list_files",
    "recognise",
    "try_settings",
    "usual_target",
    "write_draft",
    "write_picture",
]

# The first that recognises a listing describes it: the particular before the general.
LAYOUTS: dict[str, Callable[[Listing], Draft | None]] = {
    "DeCAF": decaf,
    "annular IDT": annular_idt,
    "FPM-INR": fpm_inr,
    "PtyLab": ptylab,
    "UConn": uconn,
    "Waller lab": waller,
    "High-Throughput-IDT": high_throughput_idt,
    "images with LED numbers": led_images,
    "TIFF stack (OME, ImageJ, Micro-Manager)": image_stack,
}


def recognise(listing: Listing) -> Draft:
    """The draft of the first layout that a listing has.

    Raises
    ------
    InputError
        If it has none, or holds several sets of images.
    """
    for layout in LAYOUTS.values():
        draft = layout(listing)
        if draft is not None:
            return draft
    raise InputError(
        f"{listing.where} has no known layout ({listing.summary()}); expected one of {', '.join(LAYOUTS)}: "
        "give the file or folder of the images, or write acquisition.toml by hand"
    )
