"""Saving a field from napari: its layer, as the field itself, as a web page, or as a volume or picture.

napari finds this writer through the manifest ``napari.yaml``; nothing here imports it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.render import render
from fieldrx.viewer import write_viewer


def write_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write the field of a layer: .npz the field, .html its page, else what `fieldrx.render.render` writes.

    Parameters
    ----------
    path : str
    data : array
        Of the layer; not used, since the field knows more.
    attributes : dict
        Of the layer, with what :func:`fieldrx.napari_reader.field_layers` put into its metadata.

    Returns
    -------
    list of str
        What was written.

    Raises
    ------
    InputError
        If the layer is of no field, or the ending unknown.
    """
    known = attributes.get("metadata", {})
    field, ending = known.get("fieldrx"), Path(path).suffix.lower()
    if not isinstance(field, NeuralField):
        name = attributes.get("name", "this layer")
        raise InputError(f"{name} is of no field of fieldrx: save a layer that was read or fitted as one")
    if ending == ".npz":
        field.save(path)
    elif ending in (".html", ".htm"):
        write_viewer(field, path, field.provenance.name or Path(path).stem)
    else:
        render(field, path, quantity=known["quantity"])
    return [path]
