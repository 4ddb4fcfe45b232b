"""TensorFlow's checkpoints (tensor bundles), without TensorFlow.

A bundle is NAME.index and NAME.data-00000-of-00001, or several of the latter.  The index is a table of
LevelDB: blocks of keys, each stored as what it does not share with the key before it, and a footer that says
where the block of blocks lies.  Its values are protocol buffers (``tensor_bundle.proto``): type, shape, place
and checksum of every tensor.  https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io.files import check_file

_MAGIC = 0xDB4775248B80FB57
_FOOTER, _TRAILER = 48, 5
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # types.proto
_MOST_BYTES = 1 << 26  # of an index; those of networks have kilobytes


class Tensor(NamedTuple):
    """Where a tensor of a bundle lies."""

    type: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


class _Damaged(Exception):
    """What is wrong with the bytes, in words."""


def read_index(path: str | os.PathLike) -> tuple[dict[str, Tensor], int]:
    """The tensors that a bundle lists.

    Parameters
    ----------
    path : path-like
        NAME.index.

    Returns
    -------
    tensors : dict of Tensor
        By name.
    n_shards : int
        Files that hold their numbers.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no index of a checkpoint.
    """
    path = check_file(path, "the .index of a TensorFlow checkpoint")
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes are no index of a checkpoint; give its .index")
    try:
        entries = dict(_table(path.read_bytes()))
        header = _message(entries.pop(b"", b""))
        if _number(header, 2):
            raise _Damaged("its numbers are big-endian")
        return {name.decode(): _tensor(value) for name, value in entries.items()}, _number(header, 1)
    except (_Damaged, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: no intact index of a TensorFlow checkpoint ({error}); copy it again"
        ) from None


def read_tensor(index: str | os.PathLike, name: str, tensor: Tensor, n_shards: int) -> np.ndarray:
    """The numbers of one tensor of a bundle.

    Parameters
    ----------
    index : path-like
        NAME.index.
    name : str
        For errors.
    tensor : Tensor
    n_shards : int

    Returns
    -------
    ndarray, of the tensor's shape and type

    Raises
    ------
    InputError
        If the file of numbers is missing, too short or damaged, or the type is not of numbers.
    """
    data = Path(index).with_suffix(f".data-{tensor.shard:05d}-of-{n_shards:05d}")
    check_file(data, f"the numbers of {index}")
    if tensor.type not in _TYPES:
        raise InputError(f'{index}: "{name}" has type {tensor.type} of TensorFlow; expected numbers')
    dtype = np.dtype(_TYPES[tensor.type])
    if tensor.size != dtype.itemsize * int(np.prod(tensor.shape, dtype=object)):
        raise InputError(f'{index}: "{name}" has {tensor.size} bytes for shape {tensor.shape}; copy it again')
    if tensor.offset + tensor.size > data.stat().st_size:
        raise InputError(f'{data}: ends before "{name}" does; copy it again, whole')
    with open(data, "rb") as file:
        file.seek(tensor.offset)
        raw = file.read(tensor.size)
    if _masked(_crc32c(raw)) != tensor.checksum:
        raise InputError(f'{data}: "{name}" is damaged (its checksum differs); copy it again')
    return np.frombuffer(raw, dtype).reshape(tensor.shape)


def _tensor(value: bytes) -> Tensor:
    fields = _message(value)
    shape = _message(_bytes(fields, 2))
    dims = tuple(_number(_message(dim), 1) for dim in shape.get(2, []) if isinstance(dim, bytes))
    if 7 in fields:
        raise _Damaged("a tensor is stored in slices")
    return Tensor(_number(fields, 1), dims, *(_number(fields, key) for key in (3, 4, 5, 6)))


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All keys and values of a LevelDB table."""
    if len(data) < _FOOTER or struct.unpack_from("<Q", data, len(data) - 8)[0] != _MAGIC:
        raise _Damaged("its footer is missing")
    footer = data[-_FOOTER:]
    _, at = _handle(footer, 0)  # of the meta index, which TensorFlow leaves empty
    root, _ = _handle(footer, at)
    for _, handle in _block(data, root):
        yield from _block(data, _handle(handle, 0)[0])


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Offset and length of a block, and where the handle ends."""
    offset, at = _varint(data, at)
    length, at = _varint(data, at)
    return (offset, length), at


def _block(data: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block."""
    offset, length = handle
    end = offset + length
    if length < 4 or end + _TRAILER > len(data) - _FOOTER:
        raise _Damaged("a block lies beyond its end")
    kind, checksum = struct.unpack_from("<BI", data, end)
    if _masked(_crc32c(data[offset : end + 1])) != checksum:
        raise _Damaged("a checksum differs")
    if kind:
        raise _Damaged(f"its blocks are compressed, by method {kind}")
    block = data[offset:end]
    (restarts,) = struct.unpack_from("<I", block, length - 4)
    last, at, key = length - 4 - 4 * restarts, 0, b""
    while at < last:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        size, at = _varint(block, at)
        if shared > len(key) or at + own + size > last:
            raise _Damaged("an entry leaves its block")
        key = key[:shared] + block[at : at + own]
        at += own + size
        yield key, block[at - size : at]


def _message(data: bytes) -> dict[int, list[int | bytes]]:
    """Fields of a protocol buffer by their numbers: whole numbers, and bytes."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(tag & 7)
            if tag & 7 == 2:
                size, at = _varint(data, at)
            if size is None or at + size > len(data):
                raise _Damaged("an entry is cut off")
            raw, at = data[at : at + size], at + size
            value = raw if tag & 7 == 2 else int.from_bytes(raw, "little")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(fields: dict[int, list[int | bytes]], key: int) -> int:
    value = fields.get(key, [0])[-1]
    if not isinstance(value, int):
        raise _Damaged(f"field {key} of an entry is no number")
    return value


def _bytes(fields: dict[int, list[int | bytes]], key: int) -> bytes:
    value = fields.get(key, [b""])[-1]
    if not isinstance(value, bytes):
        raise _Damaged(f"field {key} of an entry is a number")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise _Damaged("a number is cut off")


@lru_cache(1)
def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


def _crc32c(data: bytes) -> int:
    """Castagnoli's checksum."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(crc: int) -> int:
    """As LevelDB stores a checksum."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
