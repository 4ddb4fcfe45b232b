"""What a fit will take: said before it is allocated, against what there is, with settings that would fit."""

import re
from dataclasses import replace

import numpy as np
import pytest
import tiny
from click.testing import CliRunner

from fieldrx import Fit, InputError, Microscope
from fieldrx import plan as plan_module
from fieldrx.backends import cpu
from fieldrx.cli import main
from fieldrx.fit import fit_needs
from fieldrx.fit.memory import Extent, check_fit
from fieldrx.optics import parse_depth
from fieldrx.plan import duration, plan
from fieldrx.resources import free_memory, total

SCOPE = Microscope(0.532, 0.5, 1.33, 0.25)
SMALL = {"encoding": tiny.ENCODING, "network": tiny.NETWORK}


def extent(**changes):
    return replace(Extent(SCOPE, (512, 768), (-10.0, 10.0, 0.2), "born", 0.25, 64, 4_000_000), **changes)


# ---- settings that would fit ---------------------------------------------------------------------


@pytest.mark.parametrize("model", ["born", "ssnp"])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
def test_settings_that_are_told_fit_and_hardly_larger_ones_do_not(model, share):
    whole = extent(model=model)
    have = share * total(whole.needs)
    found = " ".join(whole.fitting(have))
    depth = parse_depth(re.search(r"--depth (\S+)", found)[1])
    rows, columns = map(int, re.search(r"a region of (\d+) x (\d+) pixels", found).groups())
    assert depth[:2] == (-10, 10) and columns == rows * 3 // 2
    for smaller in (replace(whole, depth=depth), replace(whole, image_shape=(rows, columns))):
        assert 0.6 * have < total(smaller.needs) <= have
    if model == "born":  # of which no buffer comes and goes with the size
        finer = replace(whole, depth=(-10, 10, 0.97 * depth[2]))
        assert total(finer.needs) > 0.99 * have


def test_where_no_distance_of_slices_fits_a_shorter_range_does():
    whole = extent(depth=(-500.0, 900.0, 0.5), image_shape=(64, 64), n_images=4, n_params=0)
    have = 2.0**30
    (found,) = (word for word in whole.fitting(have) if word.startswith("--depth"))
    z0, z1, dz = parse_depth(found.removeprefix("--depth "))
    assert dz == 0.5 and -500 < z0 < 200 < z1 < 900 and z0 + z1 == pytest.approx(400)
    assert total(replace(whole, depth=(z0, z1, dz)).needs) <= have


def test_what_fits_in_no_way_says_so(monkeypatch):
    monkeypatch.setattr(cpu, "memory_limit", lambda: (1000, "this machine has"))
    with pytest.raises(InputError, match=r"need about .*: no depth and no region of these images would fit$"):
        check_fit(extent(), cpu)


def test_a_fit_and_its_plan_know_one_memory():
    fit = tiny.fit(model="ssnp")
    made = plan(tiny.acquisition(), tiny.DEPTH, "ssnp", schedule=tiny.schedule(), measure=False, **SMALL)
    n_params = tiny.ENCODING.n_params + tiny.NETWORK.n_params
    assert made.needs == fit.problem.extent.needs == fit_needs(fit.grid.shape, 6, n_params, "ssnp", (5, 5))
    told = dict(made.rows())
    assert f"{fit.grid.shape[0]} x {fit.grid.shape[1]} x" in told["model"] and told["time"] == "not measured"


# ---- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "thick", "coarse"), [("born", 0, 30), ("ssnp", 20, 10)])
def test_time_is_a_constant_and_a_share_of_the_voxels(monkeypatch, model, thick, coarse):
    """Of stages that take 1 s and 1 us a voxel, 2 s and 2 us, and so on."""

    def times(problem, backend, side):
        voxels = 40.0 * side**2
        return {"voxels": voxels} | {
            name: k * (1 + 1e-6 * voxels) for k, name in enumerate(plan_module._STAGES, 1)
        }

    monkeypatch.setattr(plan_module, "_times", times)
    schedule = {"steps": 100, "coarse": 0.3, "thick": 0.2, "warm_steps": 7, "evaluate_every": 15}
    made = plan(tiny.acquisition(), tiny.DEPTH, model, schedule=schedule, **SMALL)
    piece = 1 + 1e-6 * float(np.prod(made.problem.grid.shape))
    pieces = [1, 2 * 7, 3 * thick, 4 * coarse, 5 * 70, 6 * 7]
    assert list(made.seconds.values()) == pytest.approx([piece * count for count in pieces])
    assert made.time.startswith(f"about {duration(piece * sum(pieces))}: closed form 1")


@pytest.mark.parametrize("model", ["born", "bpm"])
def test_time_is_measured_with_the_fit_itself(model):
    schedule = {"steps": 30, "patience": 0}
    made = plan(tiny.acquisition(), tiny.DEPTH, model, schedule=schedule, **SMALL)
    assert not made.unmeasured and (made.seconds["warm start"] > 0) == (model == "born")
    assert min(made.seconds.values()) >= 0 and made.seconds["fine steps"] > 0
    took = Fit(tiny.acquisition(), tiny.DEPTH, model, schedule=schedule, **SMALL).run().provenance.seconds
    assert 0.1 * took < sum(made.seconds.values()) < 10 * took + 1  # on a machine that does other things, too


def test_what_cannot_be_measured_says_why():
    acq = tiny.acquisition()
    mask = np.ones(acq.images.shape, bool)
    mask[:, 4:20, 4:16] = False  # all that a small square would see
    made = plan(replace(acq, mask=mask), tiny.DEPTH, "born", schedule=tiny.schedule(), **SMALL)
    assert made.seconds == {} and "every one is masked" in made.time
    made = plan(acq, tiny.DEPTH, "born", schedule={"budget_s": 90}, **SMALL)
    assert made.seconds == {} and made.time == "90 s, as was asked"


def test_durations():
    assert [duration(s) for s in (0.123, 7, 99, 100, 3600, 6000, 36000)] == [
        "0.12 s", "7 s", "99 s", "2 min", "60 min", "1.7 h", "10.0 h",
    ]  # fmt: skip


# ---- what is free --------------------------------------------------------------------------------


def test_free_memory_counts_machine_cgroups_and_what_the_process_has(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert free_memory(tmp_path) is None
    write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    assert free_memory(tmp_path) == 4000 << 10
    write("proc/self/status", "Name:\tpython\nVmRSS:\t     500 kB\n")
    assert free_memory(tmp_path) == 4500 << 10
    write("proc/self/cgroup", "0::/job\n")
    write("sys/fs/cgroup/job/memory.max", "max\n")
    write("sys/fs/cgroup/job/memory.current", "100\n")
    assert free_memory(tmp_path) == 4500 << 10
    write("sys/fs/cgroup/job/memory.max", f"{3000 << 10}\n")
    write("sys/fs/cgroup/job/memory.current", f"{2600 << 10}\n")
    write("sys/fs/cgroup/job/memory.stat", f"anon 5\ninactive_file {1000 << 10}\n")
    assert free_memory(tmp_path) == (3000 - 2600 + 1000 + 500) << 10


# ---- the command line ----------------------------------------------------------------------------


def test_the_command_tells_all_and_refuses_what_has_no_room(tmp_path, monkeypatch):
    path = tmp_path / "acq.npz"
    tiny.acquisition().save(path)
    words = ["plan", str(path), "--depth", "-1:1:0.5", "--model", "born", "--steps", "20"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "device" in done.stdout and re.search(r"^time +about .* s", done.stdout, re.MULTILINE)
    for need in ("images", "the field's weights", "closed form", "compiled code and the rest"):
        assert f"{need}: " in done.stdout
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "450")
    done = CliRunner().invoke(main, [*words[:3], "-30:30:0.1", "--model", "ssnp"])
    assert done.exit_code == 2 and "SLURM_MEM_PER_NODE allows 450 MiB" in done.stdout
    assert re.search(r"SLURM_MEM_PER_NODE allows 0\.4: --depth \S+.* would fit, or ask for more", done.stderr)
    assert len(done.stderr.splitlines()) == 1 and "not measured" in done.stdout


def test_a_fit_says_its_memory_when_it_begins(tmp_path):
    path = tmp_path / "acq.npz"
    tiny.acquisition().save(path)
    words = [
        "reconstruct",
        str(path),
        "-o",
        str(tmp_path / "f.npz"),
        "--depth",
        "-1:1:0.5",
        "--model",
        "born",
    ]
    done = CliRunner().invoke(main, [*words, "--steps", "2"])
    assert re.search(r"^memory: about \d+ MiB; .* GiB.*; most of it for ", done.stderr, re.MULTILINE)
