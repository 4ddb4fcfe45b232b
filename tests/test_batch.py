"""Batches: tables, rows in processes of their own, who does what, and how it went."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from click.testing import CliRunner

from fieldrx import InputError, load_field
from fieldrx.batch import Settings, read_jobs, read_status, status, work, workers
from fieldrx.batch.status import RUNNING, Claim, Status, write_status
from fieldrx.cli import NOTHING, STOPPED, main

COMMANDS = {
    "run": {"steps": False, "error-bars": True, "resume": True, "time-limit": False},
    "reconstruct": {"depth": False, "steps": False, "no-absorption": True, "resume": False},
}


def table(folder, *lines, name="jobs.csv"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


# ---- tables --------------------------------------------------------------------------------------


def test_rows_become_command_lines(tmp_path):
    path = table(
        tmp_path,
        "acquisition,output,command,depth,steps,no_absorption,error-bars",
        "a/acq.toml,out/a,,,,,",
        "b.toml,out/b.npz,reconstruct,-1:1:0.5,7,yes,",
        '"c, d.toml",/elsewhere/c,run,,9,,TRUE',
    )
    first, second, third = read_jobs(path, COMMANDS)
    assert first.words == ["run", str(tmp_path / "a/acq.toml"), "-o", str(tmp_path / "out/a")]
    assert second.words == [
        "reconstruct", str(tmp_path / "b.toml"), "-o", str(tmp_path / "out/b.npz"),
        "--depth=-1:1:0.5", "--steps=7", "--no-absorption",
    ]  # fmt: skip
    assert third.words == [
        "run",
        str(tmp_path / "c, d.toml"),
        "-o",
        "/elsewhere/c",
        "--steps=9",
        "--error-bars",
    ]
    assert [job.number for job in (first, second, third)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["acquisition,depth", "a,1"], "has no column output; it has acquisition, depth"),
        (["acquisition,output"], "has no rows"),
        (
            ["acquisition,output,stepz", "a,b,1"],
            'column stepz is no option of run or reconstruct; did you mean "steps"',
        ),
        (["acquisition,output,resume", "a,b,yes"], "column resume: a batch sees to that itself"),
        (["acquisition,output,time-limit", "a,b,1h"], "column time-limit: a batch sees to that itself"),
        (["acquisition,output", "a,"], "row 1 (line 2): has no output"),
        (
            ["acquisition,output,command", "a,b,", "c,d,render"],
            'row 2 (line 3): there is no command "render"',
        ),
        (["acquisition,output,depth", "a,b,1:2:1"], "row 1 (line 2): run has no option --depth"),
        (["acquisition,output,error-bars", "a,b,perhaps"], '"perhaps" is neither yes nor no'),
        (["acquisition,output", "a,x/b", "c,x/../x/b"], "row 2 (line 3): has the output of row 1"),
        (["acquisition,output", "a,/"], 'row 1 (line 2): output "/" is no name'),
    ],
)
def test_tables_that_mean_nothing(tmp_path, lines, words):
    with pytest.raises(InputError) as caught:
        read_jobs(table(tmp_path, *lines), COMMANDS)
    assert words in str(caught.value) and "jobs.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_every_row_is_checked_before_any_is_begun(tmp_path):
    path = table(tmp_path, "acquisition,output,command,depth,steps", "a,b.npz,reconstruct,-1:1:0.5,1",
                 "a,c.npz,reconstruct,-1:1:0.5,many")  # fmt: skip
    wrong = {"": "row 2 (line 3)", "--index 3": "has rows 1 to 2", "--index 0": "has rows 1 to 2"}
    for line, words in (wrong | {"--workers 99": "--workers 99 on "}).items():
        done = CliRunner().invoke(main, ["batch", str(path), *line.split()])
        assert done.exit_code == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["jobs.csv"]


# ---- rows, done by a stand-in --------------------------------------------------------------------

# What a row does stands in its acquisition: "status 3", "sleep 60", "kill 9".  It writes its output, and what
# it was told beside it, and takes SIGTERM as a fit does.
STAND_IN = """
import json, os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
_, command, what, _, output, *options = sys.argv
signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(75)))
with open(output + ".told", "a") as file:
    threads = {n: os.environ.get(n) for n in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    told = {"options": options, "threads": threads, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
    file.write(json.dumps(told | {"begun": time.monotonic()}) + "\\n")
verb, number = Path(what).name.split()
print("advice: none", "the last line of", verb, number, "", "advice: more", sep="\\n", flush=True)
if verb == "sleep":
    time.sleep(float(number))
if verb == "kill":
    os.kill(os.getpid(), int(number))
Path(output).write_text("done")
sys.exit(int(number) if verb == "status" else 0)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Rows of these words, done by a stand-in: gives their jobs."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr(workers, "_PROGRAM", [sys.executable, str(tmp_path / "stand_in.py")])

    def rows(*what):
        lines = [f"{words},out/{k}" for k, words in enumerate(what, 1)]
        return read_jobs(table(tmp_path, "acquisition,output", *lines), COMMANDS)

    return rows


def told(job):
    return [json.loads(line) for line in job.beside(".told").read_text().splitlines()]


def states(jobs):
    return [read_status(job).state for job in jobs]


def silent(text):
    pass


def test_statuses_are_those_of_the_commands():
    assert (workers._CALL_AGAIN, workers._NOTHING) == (STOPPED, NOTHING)


def test_failures_are_kept_with_their_reason_and_the_rest_is_done(stand_in):
    jobs = stand_in("status 0", "status 2", "kill 9", "status 3", "status 75", "status 1")
    said = []
    assert states(jobs) == ["waiting"] * 6
    found = work(jobs, Settings(workers=2), said.append)
    assert [one.state for one in found.values()] == ["done", "failed", "failed", "done", "stopped", "failed"]
    assert found[jobs[1]].reason == "2" and found[jobs[1]].code == 2  # the last line that is no advice
    assert found[jobs[2]].reason == "killed by SIGKILL, as systems do that run out of memory"
    assert len(said) == 12
    told = re.compile(rf"row 2 failed in \d+ s: {re.escape(str(jobs[1].output))}: 2")
    assert any(told.fullmatch(line) for line in said)
    assert states(jobs) == [one.state for one in found.values()]
    assert not list(jobs[0].output.parent.glob("*.claim")) and not list(jobs[0].output.parent.glob(".*"))


def test_a_row_that_cannot_be_written_fails_alone(stand_in, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1.claim").mkdir()  # in the place of what would be written
    jobs = stand_in("status 0", "status 0")
    found = work(jobs, Settings(), silent)
    assert [one.state for one in found.values()] == ["failed", "done"]
    assert "1.claim" in found[jobs[0]].reason


def test_called_again_it_does_what_is_missing_and_goes_on(stand_in):
    jobs = stand_in("status 0", "status 2", "kill 9", "status 75", "status 0")
    work(jobs, Settings(), silent)
    jobs[4].output.unlink()
    work(jobs, Settings(), silent)
    assert [len(told(job)) for job in jobs] == [1, 2, 2, 2, 2]
    assert [told(job)[-1]["options"] for job in jobs[1:]] == [[], ["--resume"], ["--resume"], []]
    assert jobs[2].beside(".log").read_text().count("$ fieldrx") == 2  # a log goes on as well
    assert jobs[1].beside(".log").read_text().count("$ fieldrx") == 1
    work(jobs[:1], Settings(again=True), silent)
    assert len(told(jobs[0])) == 2
    other = replace(jobs[0], options=("--steps=9",), asked=(*jobs[0].asked, "--steps=9"))
    assert states([other]) == ["waiting"]  # what is there is of another row


def test_workers_share_the_cores_and_the_gpus(stand_in, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    jobs = stand_in(*["sleep 1"] * 3)
    begun = time.monotonic()
    work(jobs, Settings(workers=3, threads=5), silent)
    assert time.monotonic() - begun < 2.6
    assert {
        name: set(t["threads"].values()) for job in jobs for name, t in zip("t", told(job), strict=True)
    } == {"t": {"5"}}
    assert [told(job)[0]["gpu"] for job in jobs] == ["4", "7", "4"]


def test_a_stop_reaches_every_row_and_the_rest_is_not_begun(stand_in):
    jobs = stand_in("sleep 60", "sleep 60", "status 0")

    def say(text):
        if text.startswith("row 2 begins"):
            while not jobs[1].beside(".told").exists():
                time.sleep(0.02)
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGUSR1)

    found = work(jobs, Settings(workers=2), say)
    assert [one.state for one in found.values()] == ["stopped", "stopped", "waiting"]
    assert found[jobs[0]].reason == "saved" and not jobs[2].beside(".log").exists()


def test_a_second_ctrl_c_does_not_wait(stand_in):
    """For a row that saves for ever once it was asked to stop."""
    (job,) = stand_in("sleep 60")
    program = Path(workers._PROGRAM[1])
    program.write_text(
        STAND_IN.replace('lambda *_: (print("saved", flush=True), sys.exit(75))', "signal.SIG_IGN")
    )

    def say(text):
        if text.startswith("row 1 begins"):
            while not job.beside(".told").exists():
                time.sleep(0.02)
            for delay in (0.5, 1.0):
                threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()

    begun = time.monotonic()
    assert work([job], Settings(), say)[job].state == "stopped"
    assert 0.9 < time.monotonic() - begun < 20


def test_rows_get_the_time_that_is_left(stand_in):
    from fieldrx.progress import interruptible

    jobs = stand_in("sleep 60", "status 0")
    begun = time.monotonic()
    with interruptible(8):
        found = work(jobs, Settings(), silent)
    assert 6.5 < time.monotonic() - begun < 10
    assert [one.state for one in found.values()] == ["stopped", "waiting"]
    (limit,) = told(jobs[0])[0]["options"]
    assert limit in ("--time-limit=7s", "--time-limit=6s")


# ---- claims --------------------------------------------------------------------------------------


def test_a_job_is_claimed_once(stand_in):
    (job,) = stand_in("status 0")
    job.output.parent.mkdir()
    first = Claim.take(job)
    assert first is not None and Claim.take(job) is None
    assert read_status(job).state == "running" and f"by process {os.getpid()}" in read_status(job).reason
    first.release()
    assert states([job]) == ["waiting"] and Claim.take(job) is not None


def test_claims_of_the_dead_count_no_more(stand_in, monkeypatch):
    (job,) = stand_in("status 0")
    job.output.parent.mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()

    def left_by(age=0.0, **told):
        claim = Claim.take(job, {})
        claim.path.write_text(json.dumps(claim.told | told))
        os.utime(claim.path, (time.time() - age,) * 2)
        taken = Claim.take(job, {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "2"})
        claim.path.unlink()
        return taken is not None

    assert left_by(pid=dead.pid)
    assert not left_by(pid=dead.pid, child=os.getpid())  # which outlived the one that began it
    assert left_by(age=400)
    assert not left_by(host="elsewhere", pid=dead.pid, age=200)
    assert left_by(host="elsewhere", pid=dead.pid, age=400)
    assert left_by(host="elsewhere", job="7", restart=1)  # the scheduler has begun that job anew
    assert not left_by(host="elsewhere", job="7", restart=2)
    assert not left_by(host="elsewhere", job="8", restart=1)


def test_windows_asks_by_ctrl_break_and_for_no_process(stand_in, monkeypatch):
    """Signal 0 would be Ctrl-C there: a claim counts until it has not been touched for long."""
    monkeypatch.setattr(status, "_ASKS", False)
    (job,) = stand_in("status 0")
    job.output.parent.mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    claim = Claim.take(job).of_child(dead.pid)
    assert claim.lives()
    os.utime(claim.path, (time.time() - 400,) * 2)
    assert not claim.lives()
    sent = []
    workers._ask(SimpleNamespace(send_signal=sent.append), signal.SIGTERM)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    workers._ask(SimpleNamespace(send_signal=sent.append), signal.SIGTERM)
    assert sent == [signal.SIGTERM, 1]


def test_a_claim_that_was_taken_over_is_not_touched_nor_removed(stand_in):
    (job,) = stand_in("status 0")
    job.output.parent.mkdir()
    mine = Claim.take(job)
    assert mine.touch()
    mine.path.write_text(json.dumps(mine.told | {"token": "other"}))
    assert not mine.touch()
    mine.release()
    assert mine.path.exists()
    assert not replace(mine, told=mine.told | {"token": "third"})._removed() and mine.path.exists()


def test_what_another_batch_did_meanwhile_is_not_done_again(stand_in):
    jobs = stand_in("status 0", "status 1")
    work(jobs, Settings(), silent)
    batch = workers._Batch(jobs, Settings(again=True), silent)
    write_status(jobs[1], Status("failed", jobs[1].asked, "elsewhere", 1, 1.0, time.time()))
    batch.run()
    assert [len(told(job)) for job in jobs] == [2, 1]


def test_several_batches_share_a_table(stand_in, tmp_path):
    jobs = stand_in(*["sleep 0.2"] * 12)
    program = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_batch
        test_batch.workers._PROGRAM = [sys.executable, {str(tmp_path / "stand_in.py")!r}]
        jobs = test_batch.read_jobs({str(tmp_path / "jobs.csv")!r}, test_batch.COMMANDS)
        test_batch.work(jobs, test_batch.Settings(), print)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    lines = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert states(jobs) == ["done"] * 12 and [len(told(job)) for job in jobs] == [1] * 12
    assert sum(text.count(" done in ") for text in lines) == 12


def test_a_killed_batch_leaves_rows_that_go_on(stand_in, tmp_path):
    (job,) = stand_in("sleep 60")
    write_status(replace(job, output=tmp_path / "x"), Status("done"))  # the folder is there or not
    job.output.parent.mkdir()
    write_status(job, Status(RUNNING, job.asked))  # as SIGKILL leaves it
    assert (
        read_status(job) == Status("stopped", job.asked, "its process is gone") and read_status(job).goes_on
    )


def test_a_damaged_status_is_refused(stand_in):
    (job,) = stand_in("status 0")
    job.output.parent.mkdir()
    for text in ("{", "[]", '{"state": 1}', "{}"):
        job.beside(".status.json").write_text(text)
        with pytest.raises(InputError, match=r"1\.status\.json is damaged .*; remove it"):
            read_status(job)


# ---- the whole -----------------------------------------------------------------------------------


def batch(*args):
    command = [sys.executable, "-W", "error", "-m", "fieldrx", "batch", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_batch_from_the_command_line(tmp_path):
    tiny.acquisition().save(tmp_path / "acq.npz")
    path = table(
        tmp_path, "acquisition,output,command,depth,steps,no-absorption",
        "acq.npz,fields/a.npz,reconstruct,-1:1:0.5,3,yes", "gone.toml,fields/b.npz,reconstruct,-1:1:0.5,3,",
        "acq.npz,fields/c.npz,reconstruct,-1:1:0.5,3,no",
    )  # fmt: skip
    assert batch(path, "--status").returncode == 75
    assert batch(path, "--index", 3, "-q").returncode == 0
    done = batch(path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "row 2: there is no" in done.stderr.splitlines()[0]
    assert "row 2  failed" in done.stdout and "gone.toml: no such file" in done.stdout
    assert done.stdout.splitlines()[-1] == "3 rows: 2 done, 1 failed" and len(done.stdout.splitlines()) == 2
    a, c = (load_field(tmp_path / f"fields/{name}.npz") for name in "ac")
    assert (a.network.n_outputs, c.network.n_outputs) == (1, 2)
    (tmp_path / "gone.toml").write_text("[microscope]\n")
    assert "failed" in batch(path).stdout and "lacks" in batch(path, "--status").stdout


# The program with checkpoints after every step, in the rows of a batch too.
OFTEN = """
import sys
import fieldrx.fit.run as run
from fieldrx.batch import workers
from fieldrx.cli import main
run._SAVE_EVERY_S = 0.0
workers._PROGRAM = [sys.executable, __file__]
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_batch_that_is_stopped_goes_on_to_the_same_field(tmp_path):
    tiny.acquisition().save(tmp_path / "acq.npz")
    (tmp_path / "often.py").write_text(OFTEN)
    steps, head = 600, "acquisition,output,command,depth,model,steps,patience"
    rows = (f"acq.npz,{name}.npz,reconstruct,-1:1:0.5,born,{steps},0" for name in "fw")
    path, whole = (table(tmp_path, head, row, name=f"{k}.csv") for k, row in enumerate(rows))
    assert batch(whole).returncode == 0
    words = [sys.executable, str(tmp_path / "often.py"), "batch", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as stopped:
        while not (tmp_path / "f.checkpoint.npz").exists():
            assert stopped.poll() is None
            time.sleep(0.05)
        stopped.send_signal(signal.SIGTERM)
        out, _ = stopped.communicate(timeout=100)
    assert stopped.returncode == 75 and "row 1  stopped" in out, out
    assert 0 < load_field(tmp_path / "f.npz").provenance.steps_done < steps
    assert batch(path).returncode == 0
    one, other = (load_field(tmp_path / name) for name in ("f.npz", "w.npz"))
    assert np.array_equal(one.params, other.params) and one.provenance.steps_done == steps
