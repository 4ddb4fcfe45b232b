"""Stacks of images in TIFF files, ImageJ's and OME's included."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile

from fieldrx.errors import InputError, one_line
from fieldrx.io.checks import check_stack, crop, window
from fieldrx.io.files import check_file

_BROKEN_TIFF = re.compile("offset|corrupt|truncat|reshape|missing|failed", re.IGNORECASE)


@contextmanager
def _open_tiff(path):
    """Open a TIFF; what tifffile raises or only logs about broken files becomes one `InputError`."""
    path = check_file(path, "a TIFF file")
    complaints = []

    def collect(record):
        complaints.append(record.getMessage())
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(collect)
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file can make a parser raise anything
        hint = "pip install imagecodecs" if "imagecodecs" in str(error) else "copy or export it again"
        raise InputError(f"{path}: cannot be read as TIFF ({one_line(error)}); {hint}") from None
    finally:
        logger.removeFilter(collect)
    broken = [c for c in complaints if _BROKEN_TIFF.search(c)]
    if broken:
        raise InputError(
            f"{path}: damaged or truncated TIFF ({one_line(broken[0])}); copy or export it again"
        )


def read_tiff(path: Path, region: Sequence[int] | None) -> np.ndarray:
    """All pages (n, y, x) of a TIFF, cut to a region."""
    with _open_tiff(path) as tif:
        pages = _tiff_pages(tif, path)
        if pages is None:
            return crop(_drop_single_axes(tif.series[0].asarray()), region, path)
        check_stack((len(pages), *pages[0].shape), np.dtype(pages[0].dtype), path)
        rows, cols = window(pages[0].shape, region, path)
        shape = len(pages), rows.stop - rows.start, cols.stop - cols.start
        stack = np.empty(shape, pages[0].dtype)
        for k, page in enumerate(pages):
            stack[k] = page.asarray()[rows, cols]
    return stack


def _tiff_pages(tif, path):
    """The pages to read one by one; None when the images are not stored as one page each."""
    series = tif.series
    # stacks of 3 or 4 images are often stored as if they were colour planes (axes SYX): these are grey
    if any(s.axes.endswith("S") and s.shape[-1] > 1 for s in series):
        raise InputError(f"{path}: colour images (axes {series[0].axes}); expected grey ones: convert them")
    if len(series) > 1:
        pages = list(tif.pages)
        shapes = sorted({tuple(p.shape) for p in pages})
        if len(shapes) > 1 or len({p.dtype for p in pages}) > 1:
            raise InputError(
                f"{path}: its pages differ in shape or type ({', '.join(map(str, shapes))}); "
                "expected one stack: export the images alone"
            )
        return pages
    shape, pages = series[0].shape, list(series[0].pages)
    stacked = len([n for n in shape[:-2] if n > 1]) <= 1 and len(pages) == np.prod(shape[:-2], dtype=int)
    if stacked and all(p is not None and tuple(p.shape) == tuple(shape[-2:]) for p in pages):
        return pages
    return None


def _drop_single_axes(array: np.ndarray) -> np.ndarray:
    """Take out leading axes of length 1, so that (1, 1, n, y, x) is (n, y, x)."""
    lead = tuple(k for k in range(array.ndim - 2) if array.shape[k] == 1)
    return array.squeeze(lead)
