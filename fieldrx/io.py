"""File formats in and out: archives, images, volumes.

Every reader turns a mistake in a file into one `InputError` line that names the file; every writer
goes through `atomic_path`, so that a kill never leaves half a file.

==========================  ====================================================================
images, as `read_images`    what is read
==========================  ====================================================================
``stack.tif``               every page of a TIFF, also ImageJ and OME stacks
``img_y{row}_x{col}.tif``   one TIFF per image, ordered by row, then column
``["a.tif", "b.tif"]``      one TIFF per image, in this order
``stack.npy``               a NumPy array (n, y, x)
``data.h5:/images``         a dataset (n, y, x): the FIRST axis counts images
``data.mat:/I_Raw``         a MATLAB array (y, x, n), v5 or v7.3: the LAST axis counts images
==========================  ====================================================================

An array of two axes is one image (y, x).
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import secrets
import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from fieldrx.brief import times
from fieldrx.errors import InputError
from fieldrx.optics import Grid, check_contrast

_INSIDE = re.compile(r"(?P<file>.+\.(?:h5|hdf5|mat))(?::(?P<name>.*))?", re.IGNORECASE)
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_BROKEN_TIFF = re.compile("offset|corrupt|truncat|reshape|missing|failed", re.IGNORECASE)


# ---------------------------------------------------------------------------------------------
# Words for errors


class NoSuchFile(InputError):
    """A file that was named is not there."""


def one_line(error) -> str:
    """The text of an exception without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def nearest(name, known) -> str:
    """'; did you mean "x"?' when a known name is close, else nothing."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


@contextmanager
def in_file(path):
    """Put the file's name in front of an `InputError` raised inside."""
    try:
        yield
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from None


def open_folder(folder) -> Path:
    """The folder, made if it is not there.

    Raises
    ------
    InputError
        If it is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the results")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_file(path, what: str) -> Path:
    """The path of an existing, readable file.

    Raises
    ------
    InputError
        If nothing is there, or a folder, or the file may not be read.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected {what}: give a file inside it")
    if not path.is_file():
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NoSuchFile(f"{path}: no such file; expected {what}, check the path{nearest(path.name, names)}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it; change its mode (chmod +r) or its owner")
    return path


# ---------------------------------------------------------------------------------------------
# Whole files or nothing


@contextmanager
def atomic_path(path):
    """Write a file whole or not at all.

    Gives a temporary name in the same folder (with the same ending); when the block ends well the
    file is synced to disk and renamed.  On any exception, an interrupt included, the temporary file
    is removed and the old file stays as it was.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    pathlib.Path
        Where to write.

    Raises
    ------
    InputError
        If `path` is a folder or a device, or its folder is missing or may not be written.
    OSError
        Of the system, a full disk for instance, with the name of the file.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file to write")
    if target.exists() and not target.is_file():
        raise InputError(f"{path} is not a regular file; give the name of a file to write")
    if not target.parent.is_dir():
        raise InputError(f"{path}: the folder {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: the folder {target.parent} is not writable; choose another one")
    temporary = target.with_name(f".{secrets.token_hex(4)}-{target.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise named(error, path) from None
    finally:
        temporary.unlink(missing_ok=True)


def named(error: OSError, path) -> OSError:
    """What the system said about a file that was being written, with its final name."""
    return OSError(error.errno, error.strerror or one_line(error), str(path))


def save_npz(path, *, compressed=False, **arrays) -> None:
    """Write arrays to one .npz, atomically and never pickled.

    Parameters
    ----------
    path : path-like
        Taken as it is: no ending is added.
    compressed : bool
        Deflate the arrays: smaller and slower.
    **arrays : array_like
        Numbers or text; objects are refused.
    """
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    for name, value in arrays.items():
        if value.dtype.hasobject:
            raise TypeError(f"{name} holds Python objects; only numbers and text are stored")
    write = np.savez_compressed if compressed else np.savez
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        write(file, **arrays)


def load_npz(path, what: str, required=()) -> dict[str, np.ndarray]:
    """Read all arrays of one .npz, never unpickling.

    Parameters
    ----------
    path : path-like
    what : str
        What the file should hold, for errors: "acquisition", "volume", "field".
    required : sequence of str
        Names that must be there.

    Raises
    ------
    InputError
        If the file is missing, not a .npz, truncated, holds Python objects, or lacks a name.
    """
    path = check_file(path, f"a fieldrx {what} (.npz)")
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{path}: not a .npz archive, or cut short; expected a fieldrx {what}: write or copy it again"
        )
    arrays = {}
    # opened here, because numpy leaves the file open when the archive's directory is damaged
    with _broken_archive(path, what), open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        for name in archive.files:
            arrays[name] = _load_array(archive, name, path)
    check_keys(arrays, required, path, what)
    return arrays


def check_keys(arrays, required, path, what: str) -> None:
    """Raise an `InputError` naming what is missing and what is there."""
    for name in required:
        if name not in arrays:
            present = ", ".join(sorted(arrays)) or "nothing"
            raise InputError(f'{path}: lacks "{name}", which a fieldrx {what} needs; it holds {present}')


@contextmanager
def _broken_archive(path, what):
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: damaged archive ({one_line(error)}); write or copy the {what} again"
        ) from None


def _load_array(archive, name, path) -> np.ndarray:
    try:
        value = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise InputError(
            f'{path}: "{name}" is an array of Python objects, which fieldrx never unpickles; '
            "save it as a plain array of numbers or text"
        ) from None
    if not isinstance(value, np.ndarray):
        raise InputError(f'{path}: "{name}" is not a NumPy array; write the file with numpy.savez')
    return value


# ---------------------------------------------------------------------------------------------
# Images in


def read_images(source, folder=".", region=None) -> np.ndarray:
    """Read a stack of images as it is stored; the table above says what `source` may be.

    Parameters
    ----------
    source : str or sequence of str
        File, file pattern, "file:dataset" or list of files.
    folder : path-like
        Where relative names start.
    region : (int, int, int, int), optional
        Rows y0 to y1 and columns x0 to x1 (ends excluded) to keep; only these are held in memory.

    Returns
    -------
    ndarray, shape (n, y, x)
        In the stored integer or floating-point type.

    Raises
    ------
    InputError
        If a file is missing or damaged, shapes differ, the images are complex or in colour, or the
        region leaves them.
    """
    if not isinstance(source, (str, os.PathLike)) or "{" in str(source):
        paths, _ = list_images(source, folder)
        return _read_singles(paths, region)
    path, name = _split_source(source, folder)
    if set("*?") & set(path.name) and not path.exists():
        raise NoSuchFile(
            f"{path}: no such file, and * and ? are no wildcards here; write "
            'files = "img_y{row}_x{col}.tif" with {row} and {col} for numbers, or a list of names'
        )
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path, region)
    if suffix == ".mat":
        return _read_mat(path, name, region)
    if suffix in (".h5", ".hdf5"):
        return _read_hdf5_images(path, name, region)
    return _read_tiff(path, region)


def list_images(source, folder=".") -> tuple[list[Path], np.ndarray | None]:
    """The files of a pattern or list, one per image, and the LED that each name tells.

    Parameters
    ----------
    source : str or sequence of str
        A pattern whose file name holds {row} and {col} (whole numbers), or a list of files.
    folder : path-like
        Where relative names start.

    Returns
    -------
    paths : list of pathlib.Path
        A pattern's are ordered by row, then column.
    leds : int ndarray of shape (n, 2) as (row, col), or None for a list
    """
    if not isinstance(source, (str, os.PathLike)):
        if len(source) == 0 or not all(isinstance(s, (str, os.PathLike)) for s in source):
            raise InputError(f"files is {list(source)!r}; expected at least one file name, all of them text")
        return [Path(folder, s) for s in source], None
    pattern = Path(folder, source)
    regex = _pattern_regex(pattern)
    if not pattern.parent.is_dir():
        raise NoSuchFile(f"{pattern}: the folder {pattern.parent} does not exist; check the pattern")
    found = {}
    for path in sorted(pattern.parent.iterdir()):
        match = regex.fullmatch(path.name)
        if match:
            led = int(match["row"]), int(match["col"])
            if led in found:
                raise InputError(
                    f"{pattern}: {found[led].name} and {path.name} both show LED {led}; keep one of them"
                )
            found[led] = path
    if not found:
        raise NoSuchFile(
            f"{pattern}: no file matches; expected names such as "
            f"{pattern.name.replace('{row}', '12').replace('{col}', '7')}, check the pattern and the folder"
        )
    leds = sorted(found)
    return [found[led] for led in leds], np.array(leds)


def _pattern_regex(pattern: Path) -> re.Pattern:
    names = re.findall(r"{(.*?)}", str(pattern))
    if sorted(names) != ["col", "row"] or re.findall(r"{(.*?)}", pattern.name) != names:
        raise InputError(f"{pattern}: a pattern holds {{row}} and {{col}} once each, in the file's name")
    escaped = re.escape(pattern.name)
    for name in names:
        escaped = escaped.replace(re.escape(f"{{{name}}}"), rf"(?P<{name}>-?\d+)")
    return re.compile(escaped)


def _split_source(source, folder) -> tuple[Path, str | None]:
    match = _INSIDE.fullmatch(str(source))
    if match is None:
        return Path(folder, source), None
    return Path(folder, match["file"]), match["name"]


def _window(image_shape, region, path) -> tuple[slice, slice]:
    """Row and column slices of a region, checked against the image."""
    ny, nx = image_shape
    if region is None:
        return slice(0, ny), slice(0, nx)
    y0, y1, x0, x1 = region
    if not (0 <= y0 < y1 <= ny and 0 <= x0 < x1 <= nx):
        raise InputError(
            f"{path}: region [y0, y1, x0, x1] = {[y0, y1, x0, x1]} is empty or leaves the images of "
            f"{ny} x {nx} pixels (y x x); expected 0 <= y0 < y1 <= {ny} and 0 <= x0 < x1 <= {nx}"
        )
    return slice(y0, y1), slice(x0, x1)


def _check_stack(shape, dtype, path) -> None:
    """Refuse what is not a stack of grey intensity images."""
    if dtype.kind == "c" or (dtype.names and set(dtype.names) == {"real", "imag"}):
        raise InputError(f"{path}: the images are complex; expected intensities: store abs(field)**2")
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: the images have type {dtype}; expected integers or floating-point numbers")
    if len(shape) not in (2, 3):
        raise InputError(f"{path}: the images have shape {tuple(shape)}; expected (n_images, y, x) or (y, x)")
    if 0 in shape:
        raise InputError(f"{path}: the images have shape {tuple(shape)}: no pixels; write the file again")


def _crop(array, region, path) -> np.ndarray:
    """Cut (n, y, x) or (y, x) to the region, as an array of three axes that owns its pixels."""
    _check_stack(array.shape, array.dtype, path)
    rows, cols = _window(array.shape[-2:], region, path)
    cropped = np.ascontiguousarray(array[..., rows, cols])
    return cropped if cropped.ndim == 3 else cropped[None]


def _read_singles(paths, region) -> np.ndarray:
    """One image per file, all of one shape and type."""
    stack = None
    for k, path in enumerate(paths):
        image = _read_npy(path, region) if path.suffix.lower() == ".npy" else _read_tiff(path, region)
        if len(image) != 1:
            raise InputError(
                f"{path}: holds {len(image)} images; expected one image in each of several files"
            )
        if stack is None:
            stack = np.empty((len(paths), *image.shape[1:]), image.dtype)
        if image.shape[1:] != stack.shape[1:] or image.dtype != stack.dtype:
            raise InputError(
                f"{path}: image of {image.shape[1]} x {image.shape[2]} pixels and type {image.dtype}, but "
                f"{paths[0].name} has {stack.shape[1]} x {stack.shape[2]} and {stack.dtype}; "
                "leave out what is not part of the stack"
            )
        stack[k] = image[0]
    return stack


def _read_npy(path, region) -> np.ndarray:
    path = check_file(path, "a NumPy array (.npy)")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a readable .npy file ({one_line(error)}); write it again") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"{path}: is a .npz archive under another name; rename it or use numpy.save")
    return np.array(_crop(array, region, path))


# ---------------------------------------------------------------------------------------------
# TIFF


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


def _read_tiff(path, region) -> np.ndarray:
    with _open_tiff(path) as tif:
        pages = _tiff_pages(tif, path)
        if pages is None:
            return _crop(_drop_single_axes(tif.series[0].asarray()), region, path)
        _check_stack((len(pages), *pages[0].shape), np.dtype(pages[0].dtype), path)
        rows, cols = _window(pages[0].shape, region, path)
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


def _drop_single_axes(array) -> np.ndarray:
    """Take out leading axes of length 1, so that (1, 1, n, y, x) is (n, y, x)."""
    lead = tuple(k for k in range(array.ndim - 2) if array.shape[k] == 1)
    return array.squeeze(lead)


# ---------------------------------------------------------------------------------------------
# HDF5 and MATLAB


@contextmanager
def _open_hdf5(path):
    path = check_file(path, "an HDF5 file")
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: reading HDF5 needs h5py; pip install fieldrx[io]") from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{path}: not an HDF5 file, or damaged ({one_line(error)}); copy or export it again"
        ) from None


def load_hdf5(path) -> dict[str, np.ndarray]:
    """Read the datasets and attributes at the root of an HDF5 file; a dataset wins over an attribute.

    Raises
    ------
    InputError
        If the file is missing or damaged, or h5py is not installed.
    """
    with _open_hdf5(path) as file:
        arrays = {name: _plain(value) for name, value in file.attrs.items()}
        arrays |= {name: _plain(item[()]) for name, item in file.items() if hasattr(item, "dtype")}
    return arrays


def _plain(value) -> np.ndarray:
    """HDF5 text comes as bytes or objects; NumPy text is what the rest of fieldrx knows."""
    array = np.asarray(value)
    if array.dtype.kind in "SO":
        decoded = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel()]
        return np.array(decoded, dtype=np.str_).reshape(array.shape)
    return array


def _dataset(file, name, path):
    """The dataset called `name`, or an error that lists what there is."""
    found = []
    file.visititems(lambda key, item: found.append(key) if hasattr(item, "dtype") else None)
    wanted = (name or "").strip("/")
    if wanted not in found:
        came = f'has no dataset "{wanted}"' if wanted else "needs the name of a dataset"
        names = ", ".join(n for n in found if not n.startswith("#")) or "(none)"
        raise InputError(f"{path} {came}; expected {Path(path).name}:/NAME with NAME one of: {names}")
    return file[wanted]


def _read_hdf5_images(path, name, region) -> np.ndarray:
    with _open_hdf5(path) as file:
        data = _dataset(file, name, path)
        _check_stack(data.shape, data.dtype, path)
        rows, cols = _window(data.shape[-2:], region, path)
        images = data[..., rows, cols]
    return images if images.ndim == 3 else images[None]


def _read_mat(path, name, region) -> np.ndarray:
    """MATLAB images (y, x, n) as (n, y, x)."""
    import scipy.io  # here: other files need not wait for it

    path = check_file(path, "a MATLAB file")
    with open(path, "rb") as file:
        head = file.read(520)
    if _HDF5_MAGIC in (head[:8], head[512:]):
        return _read_mat_v73(path, name, region)
    wanted = (name or "").strip("/")
    try:
        found = [v[0] for v in scipy.io.whosmat(path)]
        array = scipy.io.loadmat(path, variable_names=[wanted])[wanted] if wanted in found else None
    except Exception as error:  # a damaged file can make a parser raise anything
        raise InputError(
            f"{path}: cannot be read as MATLAB file ({one_line(error)}); save it again"
        ) from None
    if array is None:
        raise InputError(
            f'{path} has no variable "{wanted}"; expected {path.name}:/NAME with NAME one of: '
            f"{', '.join(found) or '(none)'}"
        )
    if not isinstance(array, np.ndarray):
        raise InputError(f'{path}: "{wanted}" is a {type(array).__name__}; save it as a full array')
    return _crop(np.moveaxis(array, -1, 0) if array.ndim == 3 else array, region, path)


def _read_mat_v73(path, name, region) -> np.ndarray:
    """HDF5 holds MATLAB's axes reversed: (y, x, n) is stored as (n, x, y)."""
    with _open_hdf5(path) as file:
        data = _dataset(file, name, path)
        _check_stack(data.shape, data.dtype, path)
        rows, cols = _window(data.shape[:-3:-1], region, path)
        images = np.ascontiguousarray(data[..., cols, rows].swapaxes(-1, -2))
    return images if images.ndim == 3 else images[None]


# ---------------------------------------------------------------------------------------------
# Volumes


@dataclass(frozen=True, eq=False)
class Volume:
    """Index contrast on a regular grid; outside it the contrast is 0.

    Parameters
    ----------
    contrast : ndarray, shape (z, y, x)
        n - n0, real or complex; half precision and integers become float32.
    spacing_um : float or (float, float, float)
        Distance of neighbouring voxels (dz, dy, dx) [um]; one number for all three.
    origin_um : (float, float, float)
        Centre of voxel (0, 0, 0) as (z, y, x) in the frame of the images [um].
    medium_index : float
        n0.

    Raises
    ------
    InputError
        If a shape is wrong, a value is not finite or not positive where it must be, or the contrast looks
        like the index itself.
    """

    contrast: np.ndarray
    spacing_um: tuple[float, float, float]
    origin_um: tuple[float, float, float]
    medium_index: float

    def __post_init__(self):
        contrast = np.asarray(self.contrast)
        if contrast.dtype.kind not in "iufc" or contrast.ndim != 3 or contrast.size == 0:
            raise InputError(
                f"contrast has shape {contrast.shape} and type {contrast.dtype}; expected numbers (z, y, x)"
            )
        if contrast.dtype.kind in "iu" or contrast.dtype.itemsize < 4:
            contrast = contrast.astype(np.float32)
        bad = contrast.size - np.count_nonzero(np.isfinite(contrast))
        if bad:
            raise InputError(f"contrast holds {bad} values that are not finite; set them to 0 (medium)")
        spacing = _three_numbers(self.spacing_um, "spacing_um")
        index = float(_numbers(self.medium_index, "medium_index", (1,))[0])
        if not min(spacing) > 0 or not index > 0:
            raise InputError(f"spacing_um {spacing} and medium_index {index:g} must be positive")
        check_contrast(contrast, index)
        object.__setattr__(self, "contrast", contrast)
        object.__setattr__(self, "spacing_um", spacing)
        object.__setattr__(self, "origin_um", _three_numbers(self.origin_um, "origin_um", alone=False))
        object.__setattr__(self, "medium_index", index)

    def __repr__(self):
        spacing, origin = (", ".join(f"{v:.4g}" for v in vs) for vs in (self.spacing_um, self.origin_um))
        return (
            f"Volume({self.contrast.dtype} contrast of {times(self.contrast.shape)} voxels (z, y, x), "
            f"{spacing} um apart, the first at {origin} um; medium {self.medium_index:g})"
        )

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return Grid(self.contrast.shape, self.spacing_um, self.origin_um)

    def on_axes(self, z, y, x) -> np.ndarray:
        """Linearly interpolated contrast on the grid of three axes [um]; falls to 0 outside the volume.

        Returns
        -------
        ndarray, shape (len(z), len(y), len(x))
        """
        out = self.contrast
        for axis, wanted in enumerate((z, y, x)):
            place = (np.atleast_1d(wanted) - self.origin_um[axis]) / self.spacing_um[axis]
            low = np.floor(place).astype(int)
            shape = [-1 if k == axis else 1 for k in range(3)]
            parts = []
            for node, weight in ((low, 1 - (place - low)), (low + 1, place - low)):
                inside = (node >= 0) & (node < out.shape[axis])
                weight = (weight * inside).astype(np.float32).reshape(shape)
                parts.append(weight * out.take(node.clip(0, out.shape[axis] - 1), axis))
            out = parts[0] + parts[1]
        return out


def _numbers(value, name, sizes) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.size not in sizes or not np.isfinite(array).all():
        raise InputError(
            f"{name} is {array.tolist()!r}; expected {' or '.join(map(str, sizes))} finite number(s)"
        )
    return array.astype(float).ravel()


def _three_numbers(value, name, alone=True) -> tuple[float, float, float]:
    numbers = _numbers(value, name, (1, 3) if alone else (3,))
    return tuple(float(v) for v in np.broadcast_to(numbers, 3))


def read_volume(path) -> Volume:
    """Read a volume .npz: contrast, spacing_um, origin_um, medium_index.

    Raises
    ------
    InputError
        If the file is missing or damaged, lacks a key, or a value is wrong.
    """
    arrays = load_npz(path, "volume", ("contrast", "spacing_um", "origin_um", "medium_index"))
    with in_file(path):
        return Volume(
            arrays["contrast"], arrays["spacing_um"], arrays["origin_um"], arrays["medium_index"]
        )  # fmt: skip


def write_volume(path, volume: Volume, *, compressed=False) -> None:
    """Write a volume .npz atomically, the contrast in its own precision."""
    save_npz(
        path, compressed=compressed, contrast=volume.contrast, spacing_um=np.array(volume.spacing_um),
        origin_um=np.array(volume.origin_um), medium_index=volume.medium_index,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------
# PNG


def write_png(path, image, limits=None) -> None:
    """Write an 8-bit PNG without any imaging library.

    Parameters
    ----------
    path : path-like
    image : ndarray, shape (y, x) grey or (y, x, 3) red, green, blue
        uint8 is written as it is; other real numbers are scaled from `limits` to 0 ... 255.
    limits : (float, float), optional
        Values shown black and white; by default the smallest and the largest finite one.
    """
    data = png_bytes(image, limits)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(data)


def png_bytes(image, limits=None) -> bytes:
    """The contents of a PNG file; parameters as of :func:`write_png`."""
    image = np.asarray(image)
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or image.size == 0:
        raise ValueError(f"image has shape {image.shape}; expected (y, x) or (y, x, 3)")
    pixels = image if image.dtype == np.uint8 else _to_uint8(image, limits)
    ny, nx = pixels.shape[:2]
    rows = np.empty((ny, 1 + pixels.size // ny), np.uint8)
    rows[:, 0] = 2  # PNG's filter 2: each row is stored as its difference to the row above
    rows[:, 1:] = pixels.reshape(ny, -1)
    rows[1:, 1:] -= pixels.reshape(ny, -1)[:-1]
    header = struct.pack(">IIBBBBB", nx, ny, 8, 2 if image.ndim == 3 else 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _to_uint8(image, limits) -> np.ndarray:
    finite = image[np.isfinite(image)]
    if limits is None:
        limits = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    low, high = (float(v) for v in limits)
    shown = np.nan_to_num(image.astype(np.float64), nan=low, posinf=high, neginf=low).clip(low, high)
    return np.rint((shown - low) * (255 / (high - low) if high > low else 0.0)).astype(np.uint8)


def json_values(value):
    """The same for JSON: numpy's numbers and arrays as Python's, nan as null."""
    if isinstance(value, dict):
        return {str(name): json_values(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(v) for v in value]
    if hasattr(value, "tolist"):
        return json_values(value.tolist())
    return None if isinstance(value, float) and value != value else value
