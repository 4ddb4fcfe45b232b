"""Recorded launches: what graphs replay is what would be queued one by one, whatever has changed since."""

import gc
from itertools import chain
from pathlib import Path

import fake_cupy
import numpy as np
import pytest

from fieldrx.models import SSNP, BeamPropagation, MultiLayerBorn, multislice
from fieldrx.optics import Grid, Illumination, Microscope

KINDS = [BeamPropagation, SSNP, MultiLayerBorn]
SCOPE = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.18)
GRID = Grid((4, 15, 12), (0.31, 0.18, 0.18), (-0.6, -3 * 0.18, -2 * 0.18))
IMAGE = (9, 8)
LIGHT = Illumination([(0.0, 0.0), (0.31, -0.22), (-0.5, 0.11), (0.2, 0.55), (0.05, 0.6), (-0.1, 0.2)])
BATCHES = [[0, 1, 2], [3, 1, 5], [4, 0, 3], [2, 5, 1], [1, 2, 4]]
WHOLE_FITS = True  # one order of threads


def model(kind=BeamPropagation, light=LIGHT, **options):
    return kind(GRID, SCOPE, light, IMAGE, **options)


def given(seed):
    """A contrast, and a gradient of three images."""
    import cupy

    rng = np.random.default_rng(seed)
    c = 0.03 * (rng.normal(size=GRID.shape) + 0.2j * np.abs(rng.normal(size=GRID.shape)))
    return cupy.asarray(c.astype("c8")), cupy.asarray(rng.normal(size=(3, *IMAGE)).astype("f4"))


def steps(model, batches=BATCHES):
    """Images and gradient of one batch after the other, each at a contrast of its own."""
    for seed, batch in enumerate(batches):
        contrast, d_images = given(seed)
        images, pullback = model.forward_and_pullback(contrast, batch)
        yield images, pullback(d_images)


def on_host(results):
    return [[array.get() for array in pair] for pair in results]


def graphs(gpu):
    return sum(work.kind == "graph" for work in gpu.work)


@pytest.fixture
def plainly(gpu, monkeypatch):
    """Results of steps of a model whose launches are queued one by one."""

    def run(*arguments, **options):
        with monkeypatch.context() as patch:
            patch.setenv("FIELDRX_CUDA_GRAPHS", "0")
            found = on_host(steps(model(*arguments, **options)))
        assert graphs(gpu) == 0
        return found

    return run


def same(found, expected):
    """To the last bit: nothing here is added up in an order of its own."""
    both = zip(chain(*found), chain(*expected), strict=True)
    return all(np.array_equal(*pair) for pair in both)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", ["store", "recompute"])
def test_replayed_steps_equal_plain_ones(gpu, plainly, kind, memory):
    """Other sources, shares and slices every time; results stay what they are while others are made."""
    expected = plainly(kind, memory=memory)
    assert same(on_host(list(steps(model(kind, memory=memory)))), expected)
    assert graphs(gpu) == 2 * (len(BATCHES) - 1)  # the first step is queued, the second one captured too


def test_marches_in_each_others_place(gpu, plainly):
    """Two are under way at once with the same geometry: the one that lost its arrays marches again."""
    expected, one = plainly(), model()
    on_host(steps(one, BATCHES[:2]))
    (first, d_first), (second, d_second) = given(0), given(1)
    images, back = one.forward_and_pullback(first, BATCHES[0])
    others, back_other = one.forward_and_pullback(second, BATCHES[1])
    gradients = [back(d_first), back_other(d_second), back(d_first)]
    assert same(on_host([(images, gradients[0]), (others, gradients[1])]), expected[:2])
    assert np.array_equal(gradients[2].get(), expected[0][1])


def test_groups_of_sources(gpu, monkeypatch, plainly):
    monkeypatch.setattr(multislice, "_LANES", 2)
    pattern = np.random.default_rng(0).uniform(size=(6, 6)) * (np.arange(6) != np.arange(6)[:, None])
    light = Illumination(LIGHT.sources_na, pattern)
    expected = plainly(light=light)
    assert same(on_host(steps(model(light=light))), expected)
    assert graphs(gpu) > len(BATCHES)


def test_the_table_of_transfer_functions_changes_under_a_graph(gpu, monkeypatch, plainly):
    from fieldrx.backends.cuda import refocus

    expected = plainly()
    monkeypatch.setattr(refocus, "_TABLES", 3)
    monkeypatch.setattr(refocus, "_WAVES", 3)  # room for those of one batch: the next one's take their places
    one = model()
    on_host(steps(one, BATCHES[:2]))
    contrast, d_images = given(3)
    images, pullback = one.forward_and_pullback(contrast, BATCHES[3])
    one.forward(contrast, BATCHES[4])  # before the way back
    assert graphs(gpu) == 3
    assert same(on_host([(images, pullback(d_images))]), expected[3:4])
    camera = next(iter(one._refocus.values())).parts[0]
    camera._make_room(camera.table.shape[1] + 40)  # as for a larger one: launches hold the table that was
    assert same(on_host(steps(one)), expected)
    images, pullback = one.forward_and_pullback(contrast, BATCHES[3])
    camera._make_room(camera.table.shape[1] + 40)
    assert same(on_host([(images, pullback(d_images))]), expected[3:4])


def held_by(part):
    """The allocations that some object of ours holds, by address, and their bytes."""
    if isinstance(part, fake_cupy.ndarray):
        block = fake_cupy._block(part._host)
        return {block.ctypes.data: block.nbytes - 1536}  # less the canaries and what aligns
    ours = type(part).__module__.startswith("fieldrx.backends.cuda") and hasattr(part, "__dict__")
    part = vars(part) if ours else part
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ()
    return {address: size for each in parts for address, size in held_by(each).items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", ["store", "recompute"])
def test_a_passage_takes_as_much_as_it_says(gpu, kind, memory):
    from fieldrx.backends.cuda import passage

    one = model(kind, memory=memory)
    on_host(steps(one, BATCHES[:1]))
    (found,) = next(iter(passage._passages.values())).values()
    held = sum(held_by(found).values())
    assert 0.6 * found.n_bytes < held < found.n_bytes + 4096  # with what it is told of its sources


def test_passages_are_bounded_and_end_with_their_model(gpu, monkeypatch, plainly):
    from fieldrx.backends.cuda import passage

    expected, one = plainly(), model()
    on_host(steps(one))
    size = passage._held()
    monkeypatch.setattr(passage, "_MOST", size)
    other = model(SSNP)
    on_host(steps(other))  # takes the room of the first, as long as it needs no more
    assert 0 < passage._held() <= size and not passage._passages[next(iter(one._refocus.values())).parts[0]]
    assert same(on_host(steps(one)), expected)
    gc.disable()
    try:
        del one, other
        assert passage._held() == 0  # at once, not when cycles are looked for
    finally:
        gc.enable()
    monkeypatch.setattr(passage, "_MOST", size - 1)
    made = graphs(gpu)
    assert same(on_host(steps(model())), expected)
    assert graphs(gpu) == made and passage._held() == 0


def test_what_cannot_be_recorded_is_queued_and_said_once(gpu, monkeypatch, plainly):
    """Where CuPy or the driver refuse."""
    import cupy

    expected = plainly()

    def refuse(self, mode=None):
        raise fake_cupy.CUDARuntimeError("cudaErrorNotSupported: operation not supported")

    monkeypatch.setattr(cupy.cuda.Stream, "begin_capture", refuse)
    with pytest.warns(RuntimeWarning, match="no CUDA graph .*NotSupported.*one by one") as said:
        assert same(on_host(steps(model())), expected)
        on_host(steps(model(SSNP)))
    assert len(said) == 1 and graphs(gpu) == 0


def _forgets_the_last(graph, stream=None):
    for action in graph.actions[:-1]:
        action()


def _does_nothing(graph, stream=None):
    """As if its launches had gone to another stream than the one that was captured."""


@pytest.mark.parametrize("launch", [_forgets_the_last, _does_nothing])
def test_a_graph_that_gives_other_results_is_not_used(gpu, monkeypatch, plainly, launch):
    import cupy

    expected = plainly()
    monkeypatch.setattr(cupy.cuda.Graph, "launch", launch)
    with pytest.warns(RuntimeWarning, match="no CUDA graph .*other results.*one by one") as said:
        assert same(on_host(steps(model())), expected)
    assert len(said) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda cupy, a, host: cupy.empty(3),
        lambda cupy, a, host: cupy.zeros(3),
        lambda cupy, a, host: a + 1,
        lambda cupy, a, host: a.copy(),
        lambda cupy, a, host: cupy.asarray(host),
        lambda cupy, a, host: a.set(host),
        lambda cupy, a, host: a.get(),
        lambda cupy, a, host: float(a[0]),
        lambda cupy, a, host: cupy.RawKernel('extern "C" __global__ void f() {}', "f"),
        lambda cupy, a, host: __import__("cupyx.scipy.fft").scipy.fft.get_fft_plan(a.astype("c8")),
    ],
)
def test_nothing_else_happens_while_launches_are_recorded(gpu, wrong):
    import cupy

    from fieldrx.backends.cuda import recorded

    host = np.ones(3, np.float32)
    a, out = cupy.asarray(host), cupy.zeros(3, np.float32)

    def queue():
        out[...] = a
        wrong(cupy, a, host)

    record = recorded.Recorded()
    record(queue, out)
    out.fill(0)
    with pytest.warns(RuntimeWarning, match="not permitted when stream is capturing"):
        record(queue, out)
    assert graphs(gpu) == 0 and out.get().tolist() == [1, 1, 1]  # queued all the same
    assert not recorded.graphs_wanted()  # nor tried again


def test_a_graph_holds_pointers_and_numbers(gpu):
    """The stand-in's: what an array holds counts when a graph is launched, a number when it was captured."""
    import cupy

    from fieldrx.backends.cuda.loss import launch

    rows, number = cupy.zeros(1, np.int32), 1
    images, valid = cupy.asarray(np.arange(4, dtype="f4").reshape(4, 1)), cupy.zeros((1, 1), bool)
    results, stream = [cupy.zeros((1, 1), np.float32)], cupy.cuda.Stream(non_blocking=True)
    values = results[0]

    def queue():
        given = images, valid, np.int32(0), rows, np.int32(1), np.float32(number), *results, valid
        launch("loss.cu", "measured", (1, 1), (128,), given)

    with stream:
        queue()
        values.fill(7)
        stream.begin_capture()
        queue()
        graph = stream.end_capture()
    assert values.get() == 7 and not stream.is_capturing()
    number = 2
    rows.fill(3)
    graph.launch()
    assert values.get() == 2 and gpu.launches == ["measured"] * 2
    del values, results[:]
    with pytest.raises(fake_cupy.EmulationError, match="has been freed"):
        graph.launch()


@pytest.mark.parametrize("name", ["bpm", "mlb", "ssnp"])
def test_calls_of_a_step(name, monkeypatch):
    """A step of a fit, whose launches are some hundred, is at most 40 calls from the host."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "scripts"))
    import count_launches

    monkeypatch.setattr(count_launches, "SHAPE", (43, 48, 48))
    works, _ = count_launches.step(name)
    inside = sum(len(work.works) for work in works)
    assert len(works) <= 40 and inside > 200, (len(works), inside)
