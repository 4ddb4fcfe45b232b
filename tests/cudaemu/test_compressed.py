"""Compressed fields on the emulated GPU, against the same on the CPU."""

import numpy as np
import pytest
import tiny

from fieldrx import compress, load_field
from fieldrx.backends import is_on_device


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_values_are_those_of_the_cpu(gpu, n_outputs, tmp_path):
    import cupy

    whole = tiny.field(n_outputs=n_outputs)
    small = compress(whole)
    made_there = compress(whole.to("cuda"))
    assert made_there.coded.step == pytest.approx(small.coded.step, rel=0.02)
    points = np.random.default_rng(0).uniform(*whole.region_um.T, (200, 3))
    expected = small.contrast(points)
    for found in (small.to("cuda").contrast(points), small.contrast(cupy.asarray(points)).get()):
        assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
    small.to("cuda").save(tmp_path / "again.npz")
    again = load_field(tmp_path / "again.npz")
    assert np.array_equal(again.coded.stream, small.coded.stream)
    assert is_on_device(small.to("cuda").params)
