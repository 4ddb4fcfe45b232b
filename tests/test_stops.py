"""Signals and time limits stop long work, which goes on to the result that it has when nobody stops it."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import test_workflow
import tiny

from fieldrx import Acquisition, Illumination, InputError, load_field, simulate
from fieldrx.cli.ending import resumed
from fieldrx.cli.options import Duration
from fieldrx.ensemble import load_ensemble, make_ensemble
from fieldrx.fit import Parts
from fieldrx.progress import StopOnSignal, interruptible
from fieldrx.tuning import choose_tv
from fieldrx.workflow import run, trials
from fieldrx.workflow.folder import run_in

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


# ---- signals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ASKING)
def test_a_signal_is_a_wish_and_the_handlers_come_back(number):
    before = signal.getsignal(number)
    with StopOnSignal() as stop:
        assert not stop.due()
        os.kill(os.getpid(), number)
        assert stop.due() and stop.asked
    assert signal.getsignal(number) == before


def test_schedulers_ask_more_than_once_and_a_second_ctrl_c_kills():
    with StopOnSignal() as stop:
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_ctrl_c_that_is_swallowed_kills_at_the_next_piece_of_work():
    with StopOnSignal() as stop:
        stop.ask(signal.SIGINT)
        assert stop.due()
        with contextlib.suppress(KeyboardInterrupt):  # as a callback of a compiler does
            stop.ask(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.due()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_other_work_is_interrupted(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert signal.getsignal(number) == before


def test_a_time_limit_asks_a_fit_and_interrupts_other_work():
    with interruptible(2.2), StopOnSignal() as stop:  # the last second is for saving
        begun = time.monotonic()
        while not stop.due():
            time.sleep(0.01)
        assert 0.9 < time.monotonic() - begun < 1.5
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with pytest.raises(KeyboardInterrupt), interruptible(0.4):
        time.sleep(5)


def test_a_step_that_would_not_end_in_time_is_not_begun():
    with interruptible(60), StopOnSignal() as stop:
        assert not stop.due()
        time.sleep(0.2)
        assert not stop.due()
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        assert stop.due()


def test_a_timer_of_others_is_left_alone():
    """As of a program that fieldrx is a part of."""
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        with StopOnSignal() as stop:
            stop.due()
            time.sleep(0.05)
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            assert not stop.due()
            time.sleep(0.1)
            assert rung == [1] and not stop.due()
    finally:
        signal.signal(signal.SIGALRM, before)


# ---- what is kept --------------------------------------------------------------------------------


class Stopping:
    """Counts steps of fits, and asks for a stop by a signal when so many were made."""

    def __init__(self, after=None):
        self.steps, self.after = 0, after

    def __call__(self, progress):
        if "fit" in progress.stage:
            self.steps += 1
            if self.steps == self.after:
                os.kill(os.getpid(), signal.SIGUSR1)


def until_done(work, folder, after):
    """(result, steps in all, calls) of work(callback, parts), stopped after so many steps every time."""
    total, calls = 0, 0
    while calls < 50:
        counter = Stopping(after)
        calls += 1
        try:
            result = work(counter, Parts(folder, resume=calls > 1))
        except KeyboardInterrupt:
            result = None
        total += counter.steps
        if result is not None:
            return result, total, calls
    raise AssertionError("it does not go on")


@pytest.fixture(scope="module")
def field():
    return tiny.fit().run()


def arrays(fields):
    return [
        {n: a for n, a in f.to_arrays().items() if n not in ("provenance", "history_seconds")} for f in fields
    ]


def same(fields, others):
    pairs = zip(arrays(fields), arrays(others), strict=True)
    return all(
        np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f") for a, b in pairs for name in a
    )


@pytest.mark.parametrize("folds", [False, True])
def test_members_that_are_made_are_kept(field, tmp_path, folds):
    whole = Stopping()
    expected = make_ensemble(field, tiny.acquisition(), 3, 5, callback=whole, folds=folds)

    def work(callback, parts):
        return make_ensemble(field, tiny.acquisition(), 3, 5, callback=callback, folds=folds, parts=parts)

    made, steps, calls = until_done(work, tmp_path / "e.parts", 4)
    assert calls >= 4 and steps == whole.steps  # none is made twice
    assert same(made.members, expected.members)
    assert made.factor == expected.factor and made.calibration == expected.calibration


def test_trials_of_a_weight_are_kept(tmp_path):
    optics = Acquisition(None, Illumination.led_ring(14, 0.5), tiny.SCOPE)
    acq = simulate(tiny.phantom(), optics, "born", tiny.SHAPE)
    how = {"encoding": tiny.ENCODING, "network": tiny.NETWORK, "schedule": {"steps": 70, "warm_steps": 2}}
    whole = Stopping()
    expected = choose_tv(acq, tiny.DEPTH, "born", callback=whole, **how)

    def work(callback, parts):
        return choose_tv(acq, tiny.DEPTH, "born", callback=callback, parts=parts, **how)

    chosen, steps, calls = until_done(work, tmp_path / "parts", 25)
    assert (chosen, steps) == (expected, whole.steps) and calls > 2


@pytest.mark.slow
def test_choices_of_a_run_are_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(trials._SHORT, "steps", 12)
    monkeypatch.setitem(trials._LONG, "steps", 14)
    acq, how = test_workflow.bead(), {"contrast": "positive", "schedule": {"steps": 12}}
    whole = Stopping()
    expected = run(acq, callback=whole, **how)
    calls, steps, found = 0, 0, None
    while found is None or found.field.provenance.interrupted:
        counter = Stopping(40)
        try:
            found, written = run_in(acq, tmp_path, callback=counter, resume=calls > 0, **how)
        except KeyboardInterrupt:
            assert (tmp_path / "parts").is_dir()
        calls, steps = calls + 1, steps + counter.steps
    assert calls > 2 and steps == whole.steps
    assert found.choices == expected.choices and same([found.field], [expected.field])
    assert {path.name for path, _ in written} == {path.name for path in tmp_path.iterdir()}


def test_parts_serve_the_same_fit_alone(field, tmp_path):
    parts = Parts(tmp_path / "parts")
    first = tiny.fit()
    first.finish(parts=parts)
    assert len(list(parts.folder.iterdir())) == 1
    again = []
    kept = tiny.fit(callback=lambda p: again.append(p.stage)).finish(parts=Parts(parts.folder, resume=True))
    assert not again and same([kept], [field]) and kept.provenance.notes == field.provenance.notes
    other = tiny.fit(schedule=tiny.schedule(seed=1), callback=lambda p: again.append(p.stage))
    other.finish(parts=parts)
    tiny.fit().finish(field, parts)  # from a field on
    assert "fit" in again and len(list(parts.folder.iterdir())) == 3
    (parts.folder / ".0123abcd-part-x.npz").touch()  # as a kill leaves it
    (parts.folder / "mine.npz").touch()
    Parts(parts.folder)
    assert [path.name for path in parts.folder.iterdir()] == ["mine.npz"]


def test_a_damaged_part_is_refused(tmp_path):
    parts = Parts(tmp_path / "parts")
    tiny.fit().finish(parts=parts)
    (path,) = parts.folder.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"part-\w+\.npz"):
        tiny.fit().finish(parts=parts)


# ---- the command line ----------------------------------------------------------------------------


def command(*args, **options):
    """A command in a process of its own: (status, what it says on stderr)."""
    words = [sys.executable, "-W", "error", "-m", "fieldrx", *map(str, args)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, **options)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_time_limit_leaves_what_resume_goes_on_from(tmp_path):
    tiny.acquisition().save(tmp_path / "acq.npz")
    fit = "reconstruct", tmp_path / "acq.npz", "--depth", "-1:1:0.5", "--model", "born", "--patience", 0
    assert command(*fit, "--steps", 2, "-o", tmp_path / "w.npz")[0] == 0  # compiles, perhaps
    out, done = tmp_path / "f.npz", []
    for limit in (
        8,
        8,
        16,
        32,
        64,
    ):  # until it was stopped twice after its first step, however busy the machine
        begun, before = time.monotonic(), out.stat().st_mtime_ns if out.exists() else None
        status, err = command(*fit, "--steps", 100000, "-o", out, "--resume", "auto", "--time-limit", limit)
        assert status == 75 and time.monotonic() - begun < limit + 6
        if out.exists() and out.stat().st_mtime_ns != before:  # this call came to its first step
            assert "--resume continues" in err
            done.append(load_field(out).provenance.steps_done)
        if len(done) == 2:
            break
    assert done[0] < done[1]


@pytest.mark.slow
def test_an_ensemble_is_stopped_and_goes_on(field, tmp_path):
    tiny.acquisition().save(tmp_path / "acq.npz")
    field.save(tmp_path / "f.npz")
    make = "ensemble", tmp_path / "f.npz", tmp_path / "acq.npz", "--members", 3, "--steps", 40, "-o"
    assert command(*make, tmp_path / "whole.npz")[0] == 0
    words = [sys.executable, "-m", "fieldrx", *map(str, make), str(tmp_path / "e.npz")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        for line in child.stderr:
            if line.startswith("fit: 40/40"):
                child.send_signal(signal.SIGTERM)
                break
        _, err = child.communicate()
    assert child.returncode == 75 and err.endswith("stopped: call it again, with --resume, to go on\n")
    assert (tmp_path / "e.parts").is_dir() and not (tmp_path / "e.npz").exists()
    status, err = command(*make, tmp_path / "e.npz", "--resume")
    assert status == 0 and err.count("fit: 40/40") < 4  # of three members and a twin
    assert same(load_ensemble(tmp_path / "e.npz").members, load_ensemble(tmp_path / "whole.npz").members)
    assert not (tmp_path / "e.parts").exists()


def test_a_limit_that_is_none(tmp_path):
    status, err = command("run", "a.toml", "-o", tmp_path / "out", "--time-limit", "soon")
    assert status == 2 and '--time-limit "soon" is not a time such as 90s, 5m, 1h30m or 01:30:00' in err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("0.5h", 1800), ("45", 45), ("01:30:00", 5400),
     ("12:30", 750), ("1-02:00:00", 93600)],
)  # fmt: skip
def test_times_as_people_and_schedulers_write_them(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["soon", "1h30", "-5m", "1:2:3:4", "0s", "nan", "m"])
def test_what_is_no_time(text):
    with pytest.raises(InputError, match="is not a time such as"):
        Duration().convert(text, None, None)


def test_a_checkpoint_that_is_not_gone_on_with_is_named(tmp_path):
    checkpoint = tmp_path / "f.checkpoint.npz"
    assert resumed(None, checkpoint) == (False, [])
    checkpoint.write_bytes(b"")
    goes_on, (said,) = resumed(None, checkpoint)
    assert not goes_on and "starts anew" in said and "--resume goes on" in said
