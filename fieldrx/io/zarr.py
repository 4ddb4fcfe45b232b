"""Images in Zarr arrays and OME-Zarr groups, of versions 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.errors import InputError, nearest, one_line
from fieldrx.io.axes import Source, take
from fieldrx.io.choice import Choice, Stack

MARKS = (".zarray", ".zgroup", "zarr.json")


def read_zarr(path: Path, name: str | None, choice: Choice) -> Stack:
    """The chosen images of an array, or of the finest level of an OME-Zarr group."""
    try:
        import zarr
        from zarr.storage import ZipStore
    except ImportError:
        raise InputError(f"{path}: reading Zarr needs zarr; pip install fieldrx[io]") from None
    except Exception as error:  # what it is built on may be broken
        raise InputError(
            f"{path}: reading Zarr needs zarr, which cannot be imported here ({one_line(error)}); install it "
            "again"
        ) from None
    wanted = (name or "").strip("/")
    try:
        root = zarr.open(ZipStore(path, mode="r") if path.is_file() else str(path), mode="r")
        node: Any = root
        if wanted:
            node = node[wanted] if isinstance(node, zarr.Group) and wanted in node else None
        array, axes = (None, None) if node is None else _array_of(node)
        if array is None:
            inside = _arrays_in(root)
        else:
            return take(_source(array, axes, path), choice)
    except InputError:
        raise
    except Exception as error:  # codecs raise what they like
        raise InputError(
            f"{path}: cannot be read as Zarr ({type(error).__name__}: {one_line(error)}); copy or export it "
            "again"
        ) from None
    came = f'has no image "{wanted}"' if wanted else "needs the name of an array"
    raise InputError(
        f"{path} {came}; expected {path.name}:/NAME with NAME one of: {', '.join(inside) or '(none)'}"
        f"{nearest(wanted, inside)}"
    )


def _array_of(node: Any) -> tuple[Any, list[str] | None]:
    """The array of a node, and its axes where it names them; (None, None) of a group of several."""
    attributes = dict(node.attrs)
    if hasattr(node, "shape"):
        names = getattr(node.metadata, "dimension_names", None) or attributes.get("_ARRAY_DIMENSIONS")
        known = names and all(names) and {"Y", "X"} <= {str(name).upper() for name in names}
        return node, [str(name) for name in names or ()] if known else None
    about = attributes.get("ome", attributes).get("multiscales")
    if about:
        axes = about[0].get("axes") or list("tczyx")
        return node[about[0]["datasets"][0]["path"]], [a["name"] if isinstance(a, dict) else a for a in axes]
    arrays = _arrays_in(node)
    return _array_of(node[arrays[0]]) if len(arrays) == 1 else (None, None)


def _arrays_in(node: Any) -> list[str]:
    """Names of all arrays under a group."""
    if hasattr(node, "shape"):
        return []
    return sorted(name for name, item in node.members(max_depth=None) if hasattr(item, "shape"))


def _source(array: Any, axes: list[str] | None, path: Path) -> Source:
    return Source(_Indexed(array), path, axes, gaps=None if _complete(array) else _gaps(array))


def _complete(array: Any) -> bool:
    return array.nchunks_initialized >= array.nchunks


class _Indexed:
    """A Zarr array that is indexed by slices and one list, as HDF5 datasets are."""

    def __init__(self, array: Any):
        self.array, self.shape, self.dtype = array, tuple(array.shape), array.dtype

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        return np.asarray(self.array.oindex[index])


def _gaps(array: Any) -> Any:
    """Positions where all pixels are as in chunks that are not there: Zarr does not tell them apart."""

    def gaps(index, axis):
        out = np.zeros(array.shape[axis], bool)
        for k in range(*index[axis].indices(array.shape[axis])):
            part = np.asarray(array[(*index[:axis], slice(k, k + 1), *index[axis + 1 :])])
            out[k] = (part == (array.fill_value or 0)).all()
        return out

    return gaps
