"""Ensembles on the emulated GPU, against the same on the CPU."""

import numpy as np
import pytest
import tiny

from fieldrx.backends import is_on_device
from fieldrx.ensemble import Ensemble, make_ensemble
from fieldrx.report import write_report

WHOLE_FITS = True

POINTS = np.array([[0.3, 2.7, 2.1], [-0.6, 1.0, 4.4], [40.0, 0.0, 0.0]])


def test_statistics_stay_on_the_device(gpu):
    import cupy

    ensemble = Ensemble([tiny.field(seed=k) for k in range(3)], 1.3, 1e-4)
    axes = (-0.5, 0.25), (0.5, 1.0, 2.5), (1.0, 3.0)
    for found, expected in (
        (ensemble(cupy.asarray(POINTS)), ensemble(POINTS)),
        (ensemble.on_axes(*(cupy.asarray(a) for a in axes)), ensemble.on_axes(*axes)),
        (ensemble.to("cuda").on_axes(*axes), ensemble.on_axes(*axes)),
    ):
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            host = one.get() if is_on_device(one) else one
            assert host == pytest.approx(other, abs=2e-5)
    assert is_on_device(ensemble(cupy.asarray(POINTS))[1])
    assert not is_on_device(ensemble.to("cuda").on_axes(*axes)[1])


@pytest.mark.slow
@pytest.mark.parametrize("folds", [False, True])
def test_members_are_trained_and_tested_there(gpu, folds):
    acq = tiny.acquisition(photons=5000)
    field = tiny.fit(acq, device="cuda", precision="float32").run()
    launched = len(gpu.launches)
    made = make_ensemble(field, acq, 2, 2, folds=folds, device="cuda")
    assert len(gpu.launches) > launched
    for member in made.members:
        assert member.provenance["device"].startswith("cuda")
        assert member.provenance["precision"] == "float32"
    host = make_ensemble(field, acq, 2, 2, folds=folds, device="cpu")
    assert {member.provenance["device"][:3] for member in host.members} == {"cpu"}
    assert made.calibration["nrmse_holdout"] == pytest.approx(host.calibration["nrmse_holdout"], rel=1e-2)


def test_a_report_predicts_images_where_it_is_told(gpu, tmp_path):
    acq = tiny.acquisition(photons=5000)
    field = tiny.fit(acq, device="cpu").run()
    launched = len(gpu.launches)
    expected = write_report(field, acq, tmp_path / "h.html", device="cpu")
    assert len(gpu.launches) == launched
    numbers = write_report(field, acq, tmp_path / "d.html", device="cuda")
    assert len(gpu.launches) > launched
    assert numbers["nrmse_holdout"] == pytest.approx(expected["nrmse_holdout"], rel=1e-3)


@pytest.mark.slow
def test_a_cpu_goes_on_from_half_precision(gpu):
    acq = tiny.acquisition(photons=5000)
    field = tiny.fit(acq, device="cuda", precision="half").run()
    assert make_ensemble(field, acq, 2, 1, device="cpu").members[0].provenance["precision"] == "float32"
