"""The zoo of simulated acquisitions, small: its files open, and the truth is where it says."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fieldrx
from fieldrx.models import Born
from fieldrx.volume import read_volume

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

import zoo
from zoo_members import MEMBERS, Board, Ring, Spoils

SHRINK = 6
BY_NAME = {m.name: m for m in MEMBERS}
SMALL = ["stranger", "dpc-cell", "npz-rings2-cell", "empty", "board9-dark-field", "fullwave-bead-clean"]


def test_names_are_unique():
    assert len(BY_NAME) == len(MEMBERS) >= 26
    assert len({m.seed for m in MEMBERS}) == len(MEMBERS)


def test_default_sets_leave_out_what_is_aside():
    assert "stranger2" not in {m.name for m in zoo.chosen()}
    assert [m.name for m in zoo.chosen(["stranger2"])] == ["stranger2"]
    with pytest.raises(SystemExit, match="no member nobody"):
        zoo.chosen(["nobody"])


@pytest.mark.parametrize("member", MEMBERS, ids=BY_NAME)
def test_every_description_opens(member, tmp_path):
    """With images that hold nothing, as making all of them takes long."""
    told, _ = zoo.light_of(member)
    shape = told.n_images, *zoo.pixels_of(member, SHRINK)
    counts, empty, dark, _ = zoo.expose(replace(member, spoils=replace(member.spoils, dead=())),
                                        np.ones(shape), 2)  # fmt: skip
    name = zoo.write_acquisition(tmp_path, member, told, counts, empty, dark)
    acq = fieldrx.read_acquisition(tmp_path / name)
    assert acq.images.shape == shape
    assert acq.illumination.sources_na[acq.illumination.pattern.argmax(axis=1)] == pytest.approx(
        told.sources_na[told.pattern.argmax(axis=1)], abs=1e-5
    )
    assert acq.microscope.pixel_size_um == pytest.approx(member.microscope.pixel_size_um)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_made_twice_alike_and_in_the_frame(name, tmp_path):
    member = BY_NAME[name]
    if member.full_wave:
        member = replace(member, rig=Ring(1, 0.6))
    truth = zoo.make(member, tmp_path / "one", SHRINK)
    zoo.make(member, tmp_path / "two", SHRINK)
    for path in (tmp_path / "one").iterdir():
        if path.suffix != ".npz":  # archives hold the time
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    volume, again = (read_volume(tmp_path / k / "truth.npz") for k in ("one", "two"))
    assert np.array_equal(volume.contrast, again.contrast)
    bounds, pixel = volume.grid.bounds_um, member.microscope.pixel_size_um
    assert (bounds[1:, 0] >= -0.501 * pixel).all()
    assert (bounds[1:, 1] <= (np.array(truth["image_shape"]) - 0.499) * pixel).all()
    assert bounds[0, 0] <= truth["depth_um"][0] + 0.5
    assert bounds[0, 1] >= truth["depth_um"][1] - 0.5
    assert fieldrx.read_acquisition(tmp_path / "one" / truth["acquisition"]).n_images == truth["n_images"]


def test_images_are_those_of_the_truth():
    """A weak sample's images, without noise, are Born's of the volume that is written."""
    member = replace(BY_NAME["board5-cell-clean"], contrast=1e-4, rig=Board(3, 3, 4000, 65_000, step=4),
                     spoils=Spoils((500, 300), turn_deg=5), height_um=12.0)  # fmt: skip
    scene, (_, true), shape = (
        zoo.scene_of(member, SHRINK),
        zoo.light_of(member),
        zoo.pixels_of(member, SHRINK),
    )
    images, _ = zoo.intensities(member, scene, true, shape)
    volume = zoo.truth_of(scene, member, shape)
    optics = fieldrx.Acquisition(None, true, member.microscope)
    expected = fieldrx.simulate(volume, optics, Born.name, shape).images
    assert np.linalg.norm(images - expected) < 0.15 * np.linalg.norm(expected - 1)


def test_spoils_move_directions_as_they_say():
    na = np.array([[0.0, 0.3], [0.2, 0.0]])
    assert Spoils().true_na(na, 7e4) == pytest.approx(na)
    assert Spoils(turn_deg=90).true_na(na, 7e4) == pytest.approx(
        np.array([[0.3, 0.0], [0.0, -0.2]]), abs=1e-12
    )
    assert Spoils(reversed=True).true_na(na, 7e4) == pytest.approx(-na)
    assert Spoils(mirrored=True).true_na(na, 7e4) == pytest.approx(na * [1, -1])
    shifted = Spoils((700, 0)).true_na([[0.0, 0.0]], 7e4)
    assert shifted == pytest.approx(np.array([[0.01, 0.0]]), abs=1e-5)
