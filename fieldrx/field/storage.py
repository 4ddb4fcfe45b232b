"""How a field's file holds its parameters: as they are, or coded, in version 2."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from fieldrx.errors import InputError
from fieldrx.field.coded import Coded
from fieldrx.field.encodings import Encoding, encoding_from_dict
from fieldrx.field.network import Network

VERSIONS = PLAIN, NEWER = 1, 2
_PLAIN, _CODED = ("encoding", "network", "table"), ("lattice", "stream")


def needed(arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Names that a file must hold of its parameters."""
    return _CODED if any(name in arrays for name in _CODED) else _PLAIN


def current(coded: Coded | None, params: np.ndarray) -> Coded | None:
    """The code, where it is that of these parameters."""
    return coded if coded is not None and np.array_equal(coded.params(), params) else None


def stored(
    encoding: Encoding, network: Network, params: np.ndarray, coded: Coded | None, quantity: str
) -> dict[str, np.ndarray]:
    """Version, parameters, and what they mean where that is no contrast of the index, as arrays of a file."""
    plain = quantity == "contrast"
    meaning = {} if plain else {"quantity": np.array(quantity)}
    if (code := current(coded, params)) is not None:
        return {"version": np.array(NEWER), **meaning, **code.to_arrays()}
    table, weights = np.split(params, [encoding.n_params])
    return {
        "version": np.array(PLAIN if plain else NEWER),
        **meaning,
        "encoding": np.array(json.dumps(encoding.to_dict())),
        "network": np.array(json.dumps(network.to_dict())),
        "table": table,
        **network.unpack(weights),
    }


def restored(arrays: dict[str, np.ndarray]) -> tuple[Encoding, Network, np.ndarray, Coded | None]:
    """What `stored` was given.

    Raises
    ------
    InputError
        If shapes disagree or the code is damaged; beside it the errors of JSON and of missing names.
    """
    if needed(arrays) == _CODED:
        coded = Coded.from_arrays(arrays)
        return coded.encoding, coded.network, coded.params(), coded
    encoding = encoding_from_dict(json.loads(str(arrays["encoding"])))
    network = Network.from_dict(json.loads(str(arrays["network"])))
    table = arrays["table"]
    if table.dtype.kind not in "iuf":
        raise InputError(f"table is {table.dtype}; expected real numbers")
    if table.shape != (encoding.n_params,):
        raise InputError(f"table has shape {table.shape}; expected ({encoding.n_params},)")
    table = table.astype(np.float32)
    return encoding, network, np.concatenate([table, network.pack(arrays)]), None
