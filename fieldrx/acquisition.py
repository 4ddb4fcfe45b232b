"""An acquisition: normalised intensity images and the optics that made them.

TOML, beside the images; every file name is relative to the TOML file.  Unknown keys are errors.

=================  ====================  ==========================================================
table              key                   meaning
=================  ====================  ==========================================================
(top)              name, notes           text, both optional; the name is else taken from the file
[microscope]       wavelength_um         vacuum wavelength [um]
\\                  objective_na          numerical aperture of the objective
\\                  medium_index          refractive index of the medium
\\                  pixel_size_um         pixel in the sample [um]; or the next two
\\                  camera_pixel_um       pixel of the camera [um], together with
\\                  magnification         from sample to camera
[images]           files                 what `fieldrx.io.read_images` reads
\\                  region                [y0, y1, x0, x1] in pixels, ends excluded; the images, and
\\                                        a background or dark image, are cut to it when they are
\\                                        read: nothing outside is used, and y = x = 0 is the first
\\                                        pixel of the region
\\                  holdout               numbers of images kept for evaluation, from 0
\\                  background            number, one number per image, "smooth", "mean", "median", or
\\                                        an image file as in ``files``: see `fieldrx.background`
\\                  fixed_pattern, gain   true to divide out dust that stays put, and to level lamps that
\\                                        flicker: see `fieldrx.background`; by default false
\\                  dark                  number or image file: the camera without light
\\                  saturation            counts from which a pixel is saturated
\\                  missing               the value that marks a missing pixel
[illumination]     kind                  "table", "led-grid" or "led-ring"
\\                  directions            "travel", the default: the numbers say where the light travels to;
\\                                        "led-position": they say where the LED stands, seen along the
\\                                        optical axis, so that its light travels towards (-y, -x).  The
\\                                        wrong one turns a dense sample into a hole
kind "table"       table                 csv file, see `read_table`
kind "led-grid"    pitch_um              distance of neighbouring LEDs [um]
\\                  distance_um           from the board to the sample [um]
\\                  centre                [row, col] on the optical axis, may be fractions
\\                  axes                  what runs along the image's y and x: two of "row", "-row",
\\                                        "col", "-col"; by default ["row", "col"]
\\                  leds                  [[row, col], ...] of each image; or
\\                  shape                 [rows, cols]: all LEDs, row by row, from (0, 0); or
\\                                        neither, when ``files`` is a pattern of {row} and {col}
kind "led-ring"    count                 number of LEDs and of images
\\                  na                    numerical aperture of the ring
\\                  start_deg             angle of the first LED, from +x towards +y; by default 0
\\                  clockwise             as seen on a displayed image; by default true
=================  ====================  ==========================================================

.npz or .h5 (datasets or attributes at the root):

==============================  ====================================================================
key                             meaning
==============================  ====================================================================
images                          (n, y, x), any real type
illumination_na                 (n, 2) as (na_y, na_x), one source per image; or the next two
sources_na, pattern             (s, 2) and (n, s): weights of the sources in each image
wavelength_um, objective_na,    numbers
medium_index, pixel_size_um
background                      optional: number, (n,), (y, x) or (n, y, x)
dark, saturation, missing       optional, as above
mask                            optional: (n, y, x), true where a pixel is valid
checksum                        optional: number that tells these images from others
levelled                        optional: true where each image was divided by its own level before
holdout                         optional: numbers of images
name, notes                     optional: text
==============================  ====================================================================
"""

from __future__ import annotations

import csv
import tomllib
import zlib
from dataclasses import InitVar, dataclass, replace
from pathlib import Path

import numpy as np

from fieldrx.background import (
    ESTIMATES,
    estimated,
    normalise,
    saturation_level,
    typical_level,
    valid_pixels,
)
from fieldrx.brief import times
from fieldrx.errors import InputError
from fieldrx.io import (
    NoSuchFile,
    check_file,
    check_keys,
    in_file,
    list_images,
    load_hdf5,
    load_npz,
    nearest,
    one_line,
    read_images,
    save_npz,
)
from fieldrx.optics import Illumination, Microscope

_SCALARS = ("wavelength_um", "objective_na", "medium_index", "pixel_size_um")
_WHICH_IMAGES = ("required", "named", "optional")  # that a reader insists on
_NUMBER, _TEXT, _LIST = "a number", "text", "a list"

_TOP = {"name": (_TEXT,), "notes": (_TEXT,)}
_MICROSCOPE = dict.fromkeys((*_SCALARS, "camera_pixel_um", "magnification"), (_NUMBER,))
_IMAGES = {
    "files": (_TEXT, _LIST),
    "region": (_LIST,),
    "holdout": (_LIST,),
    "background": (_NUMBER, _TEXT, _LIST),
    "dark": (_NUMBER, _TEXT),
    "saturation": (_NUMBER,),
    "missing": (_NUMBER,),
    "fixed_pattern": ("true or false",),
    "gain": ("true or false",),
}
_ILLUMINATION = {
    "table": {"table": (_TEXT,)},
    "led-grid": {
        "pitch_um": (_NUMBER,),
        "distance_um": (_NUMBER,),
        "centre": (_LIST,),
        "axes": (_LIST,),
        "leds": (_LIST,),
        "shape": (_LIST,),
    },
    "led-ring": {
        "count": (_NUMBER,),
        "na": (_NUMBER,),
        "start_deg": (_NUMBER,),
        "clockwise": ("true or false",),
    },
}

_FAR = 5.0  # typical intensity, or one over it, from which images are not over their background
_TRAVEL, _POSITION = "travel", "led-position"
_DIM = 0.35  # share of the median brightness below which an image at the pupil's edge is dark field
_NEAR_EDGE = 0.8  # share of the objective's aperture that counts as near the edge


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Normalised images with their optics.

    Parameters
    ----------
    images : ndarray, shape (n, y, x), or None
        Intensities over the background, 1 without a sample; kept as float32.  None for optics alone.
        Counts of a camera go through `Acquisition.from_raw`.
    illumination : Illumination
        n rows of weights, one per image.
    microscope : Microscope
    mask : ndarray of bool, shape (n, y, x), optional
        True where a pixel is valid; None when all are.  Invalid pixels become 1, whatever they hold.
    holdout : sequence of int
        Images kept for evaluation; stored sorted, each once.
    name : str
    notes : sequence of str
        Remarks, and what the reader estimated or masked.
    checksum : int, optional
        Tells these images from others; of the images as they were read, before normalisation, whose last
        digits differ between machines.
    levelled : bool
        Whether every image was divided by its own level, so that the lamps' brightness does not show.
    normalised : bool
        That the images are known to be over their background, whatever they look like.

    Raises
    ------
    InputError
        If shapes or counts disagree, a valid pixel is not finite, no image is left to fit, or the images look
        like the counts of a camera.
    """

    images: np.ndarray | None
    illumination: Illumination
    microscope: Microscope
    mask: np.ndarray | None = None
    holdout: np.ndarray = ()
    name: str = ""
    notes: tuple[str, ...] = ()
    checksum: int | None = None
    levelled: bool = False
    normalised: InitVar[bool] = False

    def __post_init__(self, normalised):
        images, n = self.images, self.illumination.n_images
        if images is not None:
            images = _as_stack(images, n)
        mask = _check_mask(self.mask, images)
        if images is not None:
            if not normalised:
                _check_level(images, mask, self.lit)
            images = images.astype(np.float32, copy=False)
        if images is not None:
            images = _without_junk(images, mask)
            bad = images.size - sum(int(np.count_nonzero(np.isfinite(image))) for image in images)
            if bad:
                raise InputError(
                    f"images hold {bad} values that are not finite; Acquisition.from_raw masks them"
                )
            object.__setattr__(self, "images", images)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "holdout", _check_holdout(self.holdout, n))
        object.__setattr__(self, "notes", tuple(str(note) for note in self.notes))
        if self.checksum is None and self.images is not None:
            object.__setattr__(self, "checksum", _checksum(self.images))

    @classmethod
    def from_raw(
        cls,
        images,
        illumination: Illumination,
        microscope: Microscope,
        background=None,
        holdout=(),
        saturation=None,
        *,
        dark=0.0,
        missing=None,
        mask=None,
        fixed_pattern=False,
        gain=False,
        name="",
        notes=(),
        checksum=None,
        levelled=False,
    ) -> Acquisition:
        """Normalise camera images and mask saturated, missing and non-finite pixels.

        Parameters
        ----------
        images : ndarray, shape (n, y, x), or (y, x) for one image
            Counts of any real type; not changed.
        background, dark, saturation, missing, mask, fixed_pattern, gain
            As in `fieldrx.background.normalise`.
        illumination, microscope, holdout, name, notes, checksum, levelled
            As in the class; estimated backgrounds and `gain` make it levelled, whatever it was.
        """
        images = _as_stack(images, illumination.n_images)
        checksum = _checksum(images) if checksum is None else checksum
        mask = _check_mask(mask, images)
        saturation = saturation_level(images) if saturation is None else saturation
        valid = valid_pixels(images, saturation, missing, mask)
        dim = _dim_images(images, valid, illumination, microscope)
        valid[dim] = False
        levelled = levelled or gain or estimated(images, background, valid)
        if dim.size:
            mask = np.ones(images.shape, bool) if mask is None else mask.copy()
            mask[dim] = False
            notes = (
                *notes,
                f"images {', '.join(map(str, dim))} are masked: below {_DIM:.0%} of the others' brightness "
                "and lit from near the pupil's edge, so the unscattered light missed the pupil (dark field)",
            )
        images, mask, remarks = normalise(
            images, background, dark, saturation, missing, mask, fixed_pattern, gain
        )
        notes = (*notes, *remarks)
        known = checksum, levelled, True
        return cls(images, illumination, microscope, mask, holdout, name, notes, *known)

    @property
    def n_images(self) -> int:
        """Number of images, of rows of the illumination's pattern."""
        return self.illumination.n_images

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """(y, x) in pixels; None without images."""
        return None if self.images is None else self.images.shape[1:]

    @property
    def usable(self) -> np.ndarray:
        """Which images have a valid pixel and a source inside the pupil, bool of shape (n,)."""
        return self.lit if self.mask is None else self.lit & self.mask.any(axis=(1, 2))

    @property
    def lit(self) -> np.ndarray:
        """Which images have a source inside the pupil, bool of shape (n,)."""
        return self.illumination.pattern[:, self.illumination.bright(self.microscope)].any(axis=1)

    def select(self, images) -> Acquisition:
        """Some of the images, in the order given, with their light; those held out keep their part."""
        images = np.asarray(images)
        return replace(
            self,
            images=None if self.images is None else self.images[images],
            illumination=self.illumination.select(images),
            mask=None if self.mask is None else self.mask[images],
            holdout=np.flatnonzero(np.isin(images, self.holdout)),
            checksum=None,
            normalised=True,
        )

    def fingerprint(self) -> dict:
        """What tells one acquisition from another: JSON values with a checksum of images and of optics."""
        light = self.illumination
        return {
            "images": self.checksum,
            "optics": {**self.microscope.to_dict(), "light": _checksum(light.sources_na, light.pattern)},
        }

    def show(self, images=None):
        """A matplotlib figure of images and of the directions of light; see ``fieldrx.plot``."""
        from fieldrx.plot import show_acquisition

        return show_acquisition(self, images)

    def __repr__(self):
        scope, shape = self.microscope, self.image_shape
        images = f"{self.n_images} images" + (f" of {times(shape)} pixels" if shape else ", absent")
        return (
            f"Acquisition({self.name or 'unnamed'}: {images}, {scope.pixel_size_um:.4g} um each; wavelength "
            f"{scope.wavelength_um:g} um, NA {scope.objective_na:g}, medium {scope.medium_index:g}; "
            f"{self.illumination.n_sources} sources, {len(self.holdout)} images held out)"
        )

    def _repr_html_(self):
        from fieldrx.plot import acquisition_html

        return acquisition_html(self)

    def save(self, path) -> None:
        """Write an acquisition .npz that reads back as the same acquisition.

        The images are stored normalised with background 1, masked pixels as `mask`.
        """
        if Path(path).suffix.lower() != ".npz":
            raise InputError(f"{path}: an acquisition is saved as .npz; choose a name with that ending")
        arrays = {**self.microscope.to_dict(), "holdout": self.holdout}
        arrays |= {"name": self.name, "notes": np.array(self.notes, dtype=np.str_)}
        sources, pattern = self.illumination.sources_na, self.illumination.pattern
        if np.array_equal(pattern, np.eye(len(sources))):
            arrays["illumination_na"] = sources
        else:
            arrays |= {"sources_na": sources, "pattern": pattern}
        if self.images is not None:
            arrays |= {"images": self.images, "background": 1.0, "checksum": self.checksum}
            arrays |= {"levelled": self.levelled}
        if self.mask is not None:
            arrays["mask"] = self.mask
        save_npz(path, **arrays)


def _checksum(*arrays) -> int:
    crc = 0
    for array in arrays:
        crc = zlib.crc32(b"" if array is None else np.ascontiguousarray(array), crc)
    return crc


def _as_stack(images, n) -> np.ndarray:
    """Images as (n, y, x), or an error that says what came."""
    images = np.asarray(images)
    if images.ndim == 2 and n == 1:
        images = images[None]
    if images.dtype.kind not in "iuf":
        hint = ": store the intensities abs(field)**2" if images.dtype.kind == "c" else ""
        raise InputError(
            f"images have type {images.dtype}; expected integers or floating-point numbers{hint}"
        )
    if images.ndim != 3 or 0 in images.shape:
        raise InputError(f"images have shape {images.shape}; expected (n_images, y, x) with n_images = {n}")
    if len(images) != n:
        turn = "; the last axis fits: np.moveaxis(images, -1, 0)" if images.shape[-1] == n else ""
        raise InputError(
            f"the illumination describes {n} images, but images has shape {images.shape}, {len(images)} "
            f"images: give one row of the illumination per image{turn}"
        )
    return images


def _check_level(images, mask, lit) -> None:
    """Refuse counts of a camera, and signals around 0, where intensities over the background are expected."""
    step = tuple(-(-n // 64) for n in images.shape[1:])  # few pixels tell
    few = (slice(None), *(slice(None, None, k) for k in step))
    valid = np.isfinite(images[few]) if mask is None else mask[few] & np.isfinite(images[few])
    some = np.flatnonzero(lit & valid.any(axis=(1, 2)))  # dark field is dark without a sample
    levels = np.array([np.median(images[few][k][valid[k]]) for k in some])
    far = (levels > _FAR) | (levels < 1 / _FAR)
    if images.dtype.kind in "iu" or far.sum() > 0.5 * len(levels):
        typical = f"a typical pixel of {np.median(levels):.4g}" if len(levels) else "no valid pixel"
        raise InputError(
            f"images of type {images.dtype} have {typical}; expected intensities over the background, 1 "
            "without a sample: Acquisition.from_raw normalises counts"
        )


def _dim_images(images, valid, illumination: Illumination, microscope: Microscope) -> np.ndarray:
    """Images whose unscattered light must have missed the pupil although their table says otherwise.

    LEDs at the pupil's edge fall outside it when the board sits slightly off; what is left is scattered
    light alone.  Asked only of images of one source each, where brightness can be compared.
    """
    pattern, na = illumination.pattern, np.linalg.norm(illumination.sources_na, axis=1)
    some = np.flatnonzero(valid.any(axis=(1, 2)))
    if len(some) < 4 or (np.count_nonzero(pattern, axis=1) != 1).any():
        return np.empty(0, int)
    level = np.array([typical_level(images[k], valid[k]) for k in some]) / pattern[some].sum(axis=1)
    near_edge = na[pattern[some].argmax(axis=1)] > _NEAR_EDGE * microscope.objective_na
    return some[near_edge & (level < _DIM * np.median(level))]


def _check_mask(mask, images) -> np.ndarray | None:
    if mask is None:
        return None
    mask = np.asarray(mask)
    if images is None or mask.shape != images.shape:
        shape = None if images is None else images.shape
        raise InputError(f"mask has shape {mask.shape} for images of shape {shape}; expected the same shape")
    if mask.dtype.kind not in "biu":
        raise InputError(f"mask has type {mask.dtype}; expected true (or 1) where a pixel is valid")
    mask = mask.astype(bool, copy=False)
    return None if mask.all() else mask


def _without_junk(images, mask) -> np.ndarray:
    """The images with 1 where they are masked, so that spectra see nothing there; a copy if any change."""
    if mask is None:
        return images
    junk = ~mask & (images != 1)
    return np.where(junk, np.float32(1), images) if junk.any() else images


def _check_holdout(holdout, n) -> np.ndarray:
    holdout = np.asarray(holdout)
    if holdout.size == 0:
        return np.empty(0, np.int64)
    if holdout.dtype.kind not in "iu" or holdout.ndim != 1:
        raise InputError(
            f"holdout has type {holdout.dtype} and shape {holdout.shape}; expected a list of image numbers "
            "such as [3, 17]"
        )
    outside = holdout[(holdout < 0) | (holdout >= n)]
    if outside.size:
        raise InputError(
            f"holdout names image {outside[0]}, but the {n} images are numbered 0 to {n - 1}; correct it"
        )
    holdout = np.unique(holdout).astype(np.int64)
    if len(holdout) == n:
        raise InputError(f"holdout names all {n} images; leave some to reconstruct from")
    return holdout


# ---------------------------------------------------------------------------------------------
# Reading


def read_acquisition(path, images="required") -> Acquisition:
    """Read an acquisition from .toml, .npz or .h5; the tables above list the keys.

    Parameters
    ----------
    path : path-like
    images : {"required", "named", "optional"}
        With "named" a file that names no images gives an `Acquisition` with ``images=None``: the optics
        alone.  With "optional" so does one whose image files are not there.

    Raises
    ------
    InputError
        One line: what was expected, what came, in which file, and what to do.
    """
    if images not in _WHICH_IMAGES:
        raise ValueError(f"images is {images!r}; expected one of {', '.join(_WHICH_IMAGES)}")
    path = check_file(path, "an acquisition (.toml, .npz or .h5)")
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return _read_toml(path, images)
    if suffix == ".npz":
        return _from_arrays(load_npz(path, "acquisition"), path, images != "required")
    if suffix in (".h5", ".hdf5"):
        return _from_arrays(load_hdf5(path), path, images != "required")
    raise InputError(f"{path}: unknown ending; an acquisition is a .toml, .npz or .h5 file")


def _from_arrays(arrays, path, optional) -> Acquisition:
    check_keys(arrays, _SCALARS, path, "acquisition")
    if not optional:
        check_keys(arrays, ("images",), path, "acquisition")
    with in_file(path):
        microscope = Microscope(**{name: _scalar(arrays, name) for name in _SCALARS})
        images = arrays.get("images")
        n = len(images) if images is not None and images.ndim == 3 else None
        illumination = _illumination_of(arrays, n)
        notes = [str(note) for note in np.atleast_1d(arrays.get("notes", []))]
        common = {
            "holdout": arrays.get("holdout", ()),
            "name": str(arrays.get("name", path.stem)),
            "notes": notes,
        }
        if images is None:
            return Acquisition(None, illumination, microscope, **common)
        return Acquisition.from_raw(
            images,
            illumination,
            microscope,
            background=arrays.get("background"),
            saturation=_scalar(arrays, "saturation"),
            dark=arrays.get("dark", 0.0),
            missing=_scalar(arrays, "missing"),
            mask=arrays.get("mask"),
            checksum=int(arrays["checksum"]) if "checksum" in arrays else None,
            levelled=bool(_scalar(arrays, "levelled")),
            **common,
        )


def _scalar(arrays, name) -> float | None:
    if name not in arrays:
        return None
    value = arrays[name]
    if value.size != 1 or value.dtype.kind not in "biuf":
        raise InputError(f"{name} has shape {value.shape} and type {value.dtype}; expected one number")
    return float(value.reshape(()))


def _illumination_of(arrays, n) -> Illumination:
    """Illumination of a .npz: one direction per image, or sources with a pattern."""
    names = [name for name in ("illumination_na", "sources_na") if name in arrays]
    if len(names) != 1 or ("pattern" in arrays and names != ["sources_na"]):
        present = ", ".join(k for k in ("illumination_na", "sources_na", "pattern") if k in arrays) or "none"
        raise InputError(
            "expected either illumination_na (n_images, 2), or sources_na (n_sources, 2) with pattern "
            f"(n_images, n_sources); it holds {present} of them"
        )
    directions, pattern = arrays[names[0]], arrays.get("pattern")
    for name, value in ((names[0], directions), ("pattern", pattern)):
        if value is not None and value.dtype.kind not in "iuf":
            raise InputError(f"{name} has type {value.dtype}; expected real numbers")
    rows = directions if pattern is None else pattern
    if n is not None and rows.ndim == 2 and len(rows) != n:
        name = names[0] if pattern is None else "pattern"
        raise InputError(
            f"{name} has {len(rows)} rows for {n} images; give one row per image"
            + (", or sources_na and pattern for several sources in one image" if pattern is None else "")
        )
    return Illumination(directions, pattern)


# ---------------------------------------------------------------------------------------------
# TOML


def _read_toml(path, wanted) -> Acquisition:
    content, required = _parse_toml(path), wanted == "required"
    check_keys(content, ("microscope", "illumination", *["images"] * required), path, "acquisition")
    _check_table(content["microscope"], _MICROSCOPE, "microscope", path)
    table = _check_table(content.get("images", {}), _IMAGES, "images", path)
    if required and "files" not in table:
        raise InputError(f'{path}: [images] lacks "files"; name the image file, such as files = "stack.tif"')
    with in_file(path):
        microscope = _microscope_of(content["microscope"])
        region = _whole_numbers(table["region"], "region", 4) if "region" in table else None
    images = _toml_images(table, path.parent, region, wanted == "optional")
    illumination = _toml_illumination(content["illumination"], table, images, path)
    common = {
        "holdout": table.get("holdout", ()),
        "name": content.get("name") or _name_of(path),
        "notes": [content["notes"]] if content.get("notes") else [],
    }
    common["notes"] += _assumed_directions(content["illumination"])
    with in_file(path):
        if images is None:
            return Acquisition(None, illumination, microscope, **common)
        return Acquisition.from_raw(
            images,
            illumination,
            microscope,
            background=_frames_of(table.get("background"), path.parent, region),
            saturation=table.get("saturation"),
            dark=_frames_of(table.get("dark", 0.0), path.parent, region),
            missing=table.get("missing"),
            fixed_pattern=table.get("fixed_pattern", False),
            gain=table.get("gain", False),
            **common,
        )


def _parse_toml(path) -> dict:
    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {one_line(error)}; correct that line") from None
    known = {**_TOP, "microscope": (), "images": (), "illumination": ()}
    for name, value in content.items():
        if name not in known:
            raise InputError(
                f'{path}: unknown {"table" if isinstance(value, dict) else "key"} "{name}"; expected '
                f"[microscope], [images] and [illumination]{nearest(name, known)}"
            )
        if name in _TOP:
            _check_type(value, _TOP[name], name, path)
        elif not isinstance(value, dict):
            raise InputError(f"{path}: {name} is {value!r}; expected a table [{name}]")
    return content


def _check_table(table, known, name, path) -> dict:
    """Refuse unknown keys and wrong types."""
    for key, value in table.items():
        if key not in known:
            raise InputError(
                f'{path}: unknown key "{key}" in [{name}]; known are {", ".join(known)}{nearest(key, known)}'
            )
        _check_type(value, known[key], f"[{name}] {key}", path)
    return table


def _check_type(value, kinds, name, path) -> None:
    python = {_NUMBER: (int, float), _TEXT: (str,), _LIST: (list,), "true or false": (bool,)}
    right = any(isinstance(value, python[kind]) for kind in kinds)
    if not right or (isinstance(value, bool) and _NUMBER in kinds):
        raise InputError(f"{path}: {name} is {value!r}; expected {' or '.join(kinds)}")


def _need(table, key, name):
    if key not in table:
        raise InputError(f'[{name}] lacks "{key}"; present: {", ".join(table) or "nothing"}')
    return table[key]


def _microscope_of(table) -> Microscope:
    values = {k: _need(table, k, "microscope") for k in _SCALARS[:3]}
    camera = [k for k in ("camera_pixel_um", "magnification") if k in table]
    if "pixel_size_um" in table:
        if camera:
            raise InputError(
                f"[microscope] has both pixel_size_um and {camera[0]}; keep pixel_size_um, or "
                "camera_pixel_um and magnification"
            )
        return Microscope(pixel_size_um=table["pixel_size_um"], **values)
    if len(camera) < 2:
        raise InputError(
            '[microscope] lacks "pixel_size_um", or both "camera_pixel_um" and "magnification"; '
            f"present: {', '.join(table)}"
        )
    if not table["magnification"] > 0:
        raise InputError(f"magnification is {table['magnification']}; expected a positive number")
    return Microscope(pixel_size_um=table["camera_pixel_um"] / table["magnification"], **values)


def _toml_images(table, folder, region, optional):
    if "files" not in table:
        return None
    try:
        return read_images(table["files"], folder, region)
    except NoSuchFile:
        if not optional:
            raise
        return None


def _frames_of(value, folder, region):
    """A background or dark as TOML gives it: numbers, a word, or an image file."""
    if not isinstance(value, str) or value in ESTIMATES:
        return value
    return read_images(value, folder, region)


def _name_of(path) -> str:
    return path.resolve().parent.name if path.stem == "acquisition" else path.stem


def _whole_numbers(value, name, count) -> list[int]:
    if len(value) != count or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        raise InputError(f"{name} is {value!r}; expected {count} whole numbers")
    return value


# ---------------------------------------------------------------------------------------------
# Illumination


def _toml_illumination(table, images_table, images, path) -> Illumination:
    """The illumination of every image; `images` is None for optics alone."""
    light = _light_as_given(table, images_table, images, path)
    if table.get("directions", _TRAVEL) == _TRAVEL:
        return light
    return replace(light, sources_na=0.0 - light.sources_na)


def _assumed_directions(table) -> list[str]:
    """What to say of an LED board that does not tell which way its light goes: many think of places."""
    if table["kind"] == "table" or "directions" in table:
        return []
    return [
        f"[illumination] does not say what its {table['kind']} means: taken as directions of travel of the "
        f'light; if it says where the LEDs stand, set directions = "{_POSITION}", else "{_TRAVEL}"'
    ]


def _light_as_given(table, images_table, images, path) -> Illumination:
    """The illumination with the signs of the file."""
    n = None if images is None else len(images)
    with in_file(path):
        kind = _need(table, "kind", "illumination")
        if kind not in _ILLUMINATION:
            raise InputError(
                f"[illumination] kind is {kind!r}; expected one of {', '.join(_ILLUMINATION)}"
                + nearest(kind, _ILLUMINATION)
            )
        known = {"kind": (_TEXT,), "directions": (_TEXT,), **_ILLUMINATION[kind]}
        _check_table(table, known, "illumination", path)
        if (directions := table.get("directions", _TRAVEL)) not in (_TRAVEL, _POSITION):
            raise InputError(
                f'[illumination] directions is {directions!r}; expected "{_TRAVEL}" (the numbers say where '
                f'the light travels to) or "{_POSITION}" (where the LED stands)'
            )
        if kind == "led-ring":
            return _ring_of(table, n)
        files = images_table.get("files")
        if kind == "led-grid":
            return _grid_of(table, n, files, path.parent)
        source = _need(table, "table", "illumination")
    return read_table(path.parent / source, n, _file_names(files, path.parent))


def _file_names(files, folder) -> list[str] | None:
    """Names of the files of one image each; None for a stack or when they are not there."""
    if files is None or (isinstance(files, str) and "{" not in files):
        return None
    try:
        return [p.name for p in list_images(files, folder)[0]]
    except NoSuchFile:
        return None


def _ring_of(table, n) -> Illumination:
    count, na = _need(table, "count", "illumination"), _need(table, "na", "illumination")
    if not isinstance(count, int):
        raise InputError(f"[illumination] count is {count!r}; expected a whole number")
    if n is not None and count != n:
        raise InputError(f"[illumination] count is {count} for {n} images; a ring has one LED per image")
    return Illumination.led_ring(count, na, table.get("start_deg", 0.0), table.get("clockwise", True))


def _grid_of(table, n, files, folder) -> Illumination:
    pitch, distance = _need(table, "pitch_um", "illumination"), _need(table, "distance_um", "illumination")
    for name, value in (("pitch_um", pitch), ("distance_um", distance)):
        if not value > 0:
            raise InputError(f"[illumination] {name} is {value}; expected a positive length in um")
    centre = _numbers_in(_need(table, "centre", "illumination"), "centre", (2,))
    leds = _leds_of(table, files, folder)
    if n is not None and len(leds) != n:
        raise InputError(f"[illumination] names {len(leds)} LEDs for {n} images; name one LED per image")
    return Illumination.led_grid(leds, pitch, distance, centre, table.get("axes", ["row", "col"]))


def _leds_of(table, files, folder) -> np.ndarray:
    """Row and column of the LED of each image, shape (n, 2)."""
    pattern = isinstance(files, str) and "{" in files
    ways = [key for key in ("leds", "shape") if key in table] + (["the pattern of files"] if pattern else [])
    if len(ways) != 1:
        raise InputError(
            f"[illumination] says which LED lit each image by {' and '.join(ways) or 'nothing'}; expected "
            "one of leds = [[row, col], ...], shape = [rows, cols], or {row} and {col} in [images] files"
        )
    if "leds" in table:
        return _numbers_in(table["leds"], "leds", (len(table["leds"]), 2))
    if "shape" in table:
        rows, cols = _whole_numbers(table["shape"], "shape", 2)
        if min(rows, cols) < 1:
            raise InputError(f"[illumination] shape is {[rows, cols]}; expected two positive whole numbers")
        return np.argwhere(np.ones((rows, cols), bool))
    return list_images(files, folder)[1]


def _numbers_in(value, name, shape) -> np.ndarray:
    """A list of TOML as numbers of one shape."""
    try:
        array = np.array(value)
    except ValueError:  # lists of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf" or array.shape != shape or array.size == 0:
        came = f"{value!r:.60}"
        raise InputError(f"[illumination] {name} is {came}; expected numbers of shape {shape} as (row, col)")
    return array.astype(float)


def read_table(path, n_images=None, files=None) -> Illumination:
    """Read the directions of all sources from a csv file.

    The first line names the columns: ``image`` or ``page`` (numbers from 0) or ``file`` (the name of
    the image's file), ``na_y``, ``na_x`` and, optionally, ``weight``; other columns are ignored, as are
    empty lines and lines that begin with #.  Several rows for one image are sources that shine
    together; rows of equal direction share one source.

    Parameters
    ----------
    path : path-like
    n_images : int, optional
        How many images there are; by default as many as the table names.
    files : sequence of str, optional
        File names of the images in their order, for the column ``file``.

    Raises
    ------
    InputError
        If a column is missing, a cell is not a finite number, or an image has no row.
    """
    path = check_file(path, "a csv table of the illumination")
    rows = _csv_rows(path)
    columns = list(rows[0][1])
    which = next((c for c in ("image", "page", "file") if c in columns), None)
    absent = [c for c in ("na_y", "na_x") if c not in columns]
    if which is None or absent:
        lacks = absent[0] if absent else "image"
        raise InputError(
            f"{path}: lacks the column {lacks}; expected image (or page, or file), na_y, na_x and perhaps "
            f"weight, separated by commas; it has {', '.join(columns)}"
        )
    if which == "file" and files is None:
        if n_images is not None:
            raise InputError(
                f"{path}: column file needs [images] files as a pattern or list; use column image"
            )
        files = list(dict.fromkeys(row["file"] for _, row in rows))
    sources, entries = {}, []
    for where, row in rows:
        if which == "file":
            image = _file_number(row["file"], files, path, where)
        else:
            image = _image_number(row, which, n_images, path, where)
        direction = _cell(row, "na_y", path, where), _cell(row, "na_x", path, where)
        weight = _cell(row, "weight", path, where) if "weight" in row else 1.0
        entries.append((image, sources.setdefault(direction, len(sources)), weight))
    return _from_entries(entries, list(sources), n_images, path)


def _csv_rows(path) -> list[tuple[str, dict[str, str]]]:
    """Rows as dictionaries, each with the words for where it stands."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({one_line(error)}); save it as csv in UTF-8") from None
    kept = [(k, line) for k, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    if len(kept) < 2:
        raise InputError(f"{path}: expected a line of column names and one row per image; it has no rows")
    cells = [[cell.strip() for cell in row] for row in csv.reader(line for _, line in kept)]
    rows = []
    for row, ((line, _), values) in enumerate(zip(kept[1:], cells[1:], strict=True), 1):
        where = f"row {row} (line {line})"
        if len(values) != len(cells[0]):
            raise InputError(
                f"{path}, {where}: has {len(values)} cells for {len(cells[0])} columns; complete the row"
            )
        rows.append((where, dict(zip(cells[0], values, strict=True))))
    return rows


def _cell(row, column, path, where) -> float:
    try:
        number = float(row[column])
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise InputError(
            f'{path}, {where}, column {column}: "{row[column]}" is not a finite number; correct it'
        )
    return number


def _image_number(row, column, n_images, path, where) -> int:
    number = _cell(row, column, path, where)
    if number != int(number) or number < 0 or (n_images is not None and number >= n_images):
        last = "" if n_images is None else f" to {n_images - 1}, as there are {n_images} images"
        raise InputError(
            f"{path}, {where}, column {column}: {row[column]} is no image; images are numbered from 0{last}"
        )
    return int(number)


def _file_number(name, files, path, where) -> int:
    names = list(files)
    if Path(name).name not in names:
        raise InputError(f"{path}, {where}, column file: no image is called {name}{nearest(name, names)}")
    return names.index(Path(name).name)


def _from_entries(entries, sources, n_images, path) -> Illumination:
    """Illumination of (image, source, weight) entries; the directions are `sources`."""
    images, columns, weights = (np.array(v) for v in zip(*entries, strict=True))
    n = int(images.max()) + 1 if n_images is None else n_images
    missing = np.setdiff1d(np.arange(n), images)
    if missing.size:
        raise InputError(
            f"{path}: has no row for {missing.size} of {n} images (first: image {missing[0]}); give every "
            "image at least one row, numbered from 0"
        )
    pattern = np.zeros((n, len(sources)))
    np.add.at(pattern, (images, columns), weights)
    with in_file(path):
        return Illumination(sources, pattern)
