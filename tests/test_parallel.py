"""Ranks: shares, what the environment tells, and fits whose images and planes several ranks share."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from ranks import on_ranks

from fieldrx import parallel
from fieldrx.ensemble import make_ensemble
from fieldrx.errors import InputError
from fieldrx.fit import run
from fieldrx.io import save_npz
from fieldrx.parallel import Alone, Slab, launched, over_ranks, share_of, world
from fieldrx.parallel.mpi import device_of
from fieldrx.priors import Priors
from fieldrx.resources import total
from fieldrx.tikhonov import tikhonov

# Of the field; the last bits of a gradient that no image asks for steer Adam, whose steps have one size.
SAME = 1e-4


@pytest.mark.parametrize("count", [0, 1, 5, 12, 13])
@pytest.mark.parametrize("size", [1, 2, 5, 17])
def test_shares_are_even_and_leave_nothing_out(count, size):
    shares = [range(count)[share_of(count, rank, size)] for rank in range(size)]
    assert [k for share in shares for k in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for rank, share in enumerate(shares):
        slab = Slab.of(count, rank, size)
        wide = range(count)[slab.wide]
        assert list(wide[slab.inner]) == list(share)
        if share:
            beside = {share[0] - 1, share[-1] + 1} & set(range(count))
            assert set(wide) - set(share) == beside


@pytest.mark.parametrize(
    ("environment", "rank", "size"),
    [
        ({}, 0, 1),
        ({"PMI_RANK": "2", "PMI_SIZE": "4"}, 2, 4),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, 1, 2),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8"}, 3, 8),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, 0, 1),  # the script of a job is one process
        ({"PMI_RANK": "2", "PMI_SIZE": "4", "FIELDRX_ALONE": "1"}, 0, 1),
        ({"PMI_RANK": "2", "PMI_SIZE": "4", "FIELDRX_ALONE": "0"}, 2, 4),
        ({"PMI_RANK": "", "PMI_SIZE": "four"}, 0, 1),
    ],
)
def test_launchers(environment, rank, size):
    found = launched(environment)
    assert (found.rank, found.size) == (rank, size)


def test_gpus_go_round():
    assert [device_of(["0", "1", "3"], place) for place in range(4)] == ["0", "1", "3", "0"]


@pytest.mark.parametrize("size", [2, 5, 7])
def test_slabs_make_up_the_priors(size):
    outputs = np.random.default_rng(1).normal(size=(2, 6, 5, 4)).astype(np.float32)
    priors = Priors(tv=0.7, tv_absorption=0.4, nonnegative=2.0, nonnegative_absorption=0.5, nonpositive=0.3)
    how = (0.5, 0.25, 0.3), 0.25
    whole, gradient = priors.value_and_gradient(outputs, *how)
    slabs = [Slab.of(6, rank, size) for rank in range(size)]
    parts = [priors.value_and_gradient(outputs[:, slab.wide], *how, slab) for slab in slabs]
    np.testing.assert_allclose(sum(value for value, _ in parts), whole, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts], axis=1), gradient)


# ---- items ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_items_are_worked_on_once_and_alone(size):
    def work():
        return over_ranks(lambda k: (k * k, world().size), 5)

    assert on_ranks(size, work) == [[(k * k, 1) for k in range(5)]] * size


@pytest.mark.parametrize("error", [InputError("item 3 is bad"), KeyboardInterrupt()])
def test_all_ranks_raise_what_one_item_raised(error):
    def work():
        def item(k):
            if k == 3:
                raise error
            return k

        with pytest.raises(type(error)):
            over_ranks(item, 5)
        return True

    assert on_ranks(2, work) == [True, True]


def test_what_the_first_rank_alone_can_read():
    def work():
        with pytest.raises(InputError, match="not there"):
            parallel.by_first(lambda: (_ for _ in ()).throw(InputError("not there")))
        return parallel.by_first(lambda: world().rank)

    assert on_ranks(3, work) == [0, 0, 0]


def test_words_of_items():
    words = on_ranks(3, lambda: parallel.items_words(2, "members"))
    assert words == ["2 members over 3 ranks, each by one rank alone; 1 of the ranks have none"] * 3
    assert parallel.items_words(2, "members") == ""


# ---- one fit --------------------------------------------------------------------------------------------


CASES = {
    "born, taught": ("born", {}),
    "born, batches": ("born", {"schedule": tiny.schedule(steps=6, batch=2, coarse=0.5)}),
    "rytov, huber": ("rytov", {"loss": "huber"}),
    "ssnp": ("ssnp", {"schedule": tiny.schedule(steps=6, batch=3, warm_steps=0, coarse=0.5)}),
    "bpm, smooth factor": ("bpm", {"background": True, "schedule": tiny.schedule(warm_steps=0)}),
    "born, refined": ("born", {"refine": "intensity,defocus", "schedule": tiny.schedule(steps=12)}),
    "ssnp, board": ("ssnp", {"refine": "board", "schedule": tiny.schedule(steps=12, warm_steps=0)}),
    "sign": ("born", {"priors": {"nonpositive": 3.0, "nonnegative": 0.0}, "absorption": False}),
}


def values(field):
    return field.volume(spacing=0.25).contrast


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("size", "planes"), [(2, "shared"), (4, "shared"), (2, "whole")])
def test_ranks_fit_the_same_field(case, size, planes, monkeypatch):
    if planes == "whole":  # as on GPUs
        monkeypatch.setattr(run, "planes_shared_by", lambda ranks, backend: Alone())
    model, options = CASES[case]
    if not options.get("absorption", True):
        options = options | {"network": replace(tiny.NETWORK, n_outputs=1)}
    acq = tiny.acquisition("born" if model == "rytov" else model)

    def work():
        fit = tiny.fit(acq, model, **options)
        return fit.run(), fit

    alone, fit = work()
    together = on_ranks(size, work)
    for other, its in together:
        np.testing.assert_array_equal(other.params, together[0][0].params)  # of all ranks, to the last bit
        np.testing.assert_array_equal(its.state.m, together[0][1].state.m)
        assert other.history["seconds"].tolist() == together[0][0].history["seconds"].tolist()
    field = together[0][0]
    assert field.provenance.best_step == alone.provenance.best_step
    for name in ("loss", "prior", "error", "holdout"):
        np.testing.assert_allclose(field.history[name], alone.history[name], rtol=2e-5)
    difference = np.linalg.norm(values(field) - values(alone)) / np.linalg.norm(values(alone))
    assert difference < SAME
    if fit.state.optics is not None:
        np.testing.assert_allclose(together[0][1].state.optics, fit.state.optics, rtol=1e-4, atol=1e-6)


def test_more_ranks_than_images_and_planes_is_said():
    def work():
        fit = tiny.fit(schedule=tiny.schedule(steps=2))
        return fit.run(), fit.notes

    (field, notes), *_ = on_ranks(6, work)
    few = "there are too few images of a step and planes for all of them"
    assert notes == [f"6 ranks share 5 images of a step and 5 planes; {few}"]
    np.testing.assert_allclose(
        field.history["loss"], tiny.fit(schedule=tiny.schedule(steps=2)).run().history["loss"], rtol=1e-5
    )


def test_ranks_with_other_images_are_refused():
    def work():
        acq = tiny.acquisition()
        part = acq if world().rank == 0 else acq.select(np.arange(5))
        with pytest.raises(InputError, match=r"rank 1 has images of shape \(5, 24, 20\), rank 0 of \(6,"):
            tiny.fit(part)
        return True

    assert all(on_ranks(2, work))


def test_a_budget_ends_on_all_ranks_at_one_step():
    def work():
        return tiny.fit(schedule=tiny.schedule(budget_s=2.0)).run()

    first, second = on_ranks(2, work)
    assert first.provenance.steps_done == second.provenance.steps_done > 0
    np.testing.assert_array_equal(first.params, second.params)


def test_one_rank_that_is_asked_to_stop_stops_all():
    def work():
        fit = tiny.fit(schedule=tiny.schedule(steps=50))

        def callback(progress):
            if world().rank == 1 and progress.stage == "fit" and progress.done == 3:
                fit._stop.ask()

        fit.callback = callback
        return fit.run()

    for field in on_ranks(2, work):
        assert field.provenance.interrupted
        assert field.provenance.steps_done == 3


@pytest.mark.parametrize(("before", "after"), [(2, 3), (1, 2), (3, 1)])
def test_a_checkpoint_goes_on_with_another_number_of_ranks(tmp_path, before, after):
    path = tmp_path / "c.npz"

    def begin():
        fit = tiny.fit(schedule=tiny.schedule(steps=8))
        fit.start()
        for _ in range(4):
            fit.step()
        fit.save(path)

    def go_on():
        return tiny.fit(schedule=tiny.schedule(steps=8)).run(path, resume=True)

    on_ranks(before, begin)
    field = on_ranks(after, go_on)[0]
    whole = tiny.fit(schedule=tiny.schedule(steps=8)).run()
    np.testing.assert_allclose(field.history["loss"], whole.history["loss"], rtol=1e-5)
    assert np.linalg.norm(values(field) - values(whole)) < SAME * np.linalg.norm(values(whole))


def test_a_bad_checkpoint_is_refused_by_all(tmp_path):
    path = tmp_path / "c.npz"
    save_npz(path, arguments=np.array("no json"))

    def work():
        with pytest.raises(InputError):
            tiny.fit().run(path, resume=True)
        return True

    assert all(on_ranks(2, work))


def test_only_the_first_rank_writes(tmp_path):
    def work():
        path = tmp_path / "c.npz"
        save_npz(path, rank=np.array(world().rank))

    on_ranks(3, work)
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]
    assert np.load(tmp_path / "c.npz")["rank"] == 0


@pytest.mark.slow
def test_members_are_the_same_on_any_number_of_ranks():
    acq = tiny.acquisition()
    field = tiny.fit(acq).run()

    def work():
        return make_ensemble(field, acq, members=3, steps=3, twin=False)

    alone = work()
    for made in on_ranks(2, work):
        for member, other in zip(made.members, alone.members, strict=True):
            np.testing.assert_array_equal(member.params, other.params)
        assert made.factor == alone.factor


def test_ranks_share_the_memory_of_a_machine(monkeypatch):
    from fieldrx.backends import cpu

    need = total(tiny.fit().problem.extent.needs)
    monkeypatch.setattr(cpu, "memory_limit", lambda: (4.4 * need, "this machine has"))

    def work():
        tiny.fit()  # fits even so
        with pytest.raises(InputError, match=r"for each of 4 ranks this machine has 0\.\d: "):
            tiny.fit(grid_um=0.016)
        return True

    assert all(on_ranks(4, work))


def test_the_closed_form_is_the_same_on_any_number_of_ranks():
    fit = tiny.fit()
    signal, images = fit.objective.signal(fit.train, fit.model), fit.train

    def work():
        return tikhonov(fit.model, signal, images)

    contrast, best = work()
    for other, found in on_ranks(3, work):
        np.testing.assert_array_equal(other, contrast)
        assert found == best
