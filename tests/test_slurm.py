"""The scripts for SLURM in docs/slurm, run by stand-ins for sbatch, srun and scontrol."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from test_batch import STAND_IN
from test_cli import LEDS, TOML

from fieldrx import load_field

SCRIPTS = Path(__file__).parents[1] / "docs" / "slurm"
KNOWN = {  # of sbatch's options those that the scripts use, and what their values look like
    "job-name": r"\w+", "nodes": r"\d+", "ntasks": r"\d+", "ntasks-per-node": r"\d+", "cpus-per-task": r"\d+",
    "mem": r"\d+G", "time": r"\d\d:\d\d:\d\d", "signal": r"USR1@\d+", "requeue": "", "open-mode": "append",
    "array": r"1-\d+%\d+", "gpus-per-node": r"\d+",
}  # fmt: skip

# The tasks of a step.  As soon as the file STAND_IN_SIGNAL is there, all get the signal, as of slurmstepd.
SRUN = f"""#!{sys.executable}
import json, os, signal, subprocess, sys, time
words = sys.argv[1:]
while words[0].startswith("--"):
    words.pop(0)
with open(os.environ["STAND_IN_RECORD"], "a") as file:
    told = {{n: v for n, v in os.environ.items() if n.startswith(("SLURM", "CUDA"))}}
    file.write(json.dumps({{"srun": words, "environment": told}}) + "\\n")
of_step = {{"SLURM_STEP_NUM_TASKS": os.environ["SLURM_NTASKS"], "SLURM_STEP_ID": "0"}}
tasks = [
    subprocess.Popen(words, env=os.environ | of_step | {{"SLURM_PROCID": str(k), "SLURM_NODEID": str(k)}})
    for k in range(int(os.environ["SLURM_NTASKS"]))
]
awaited = os.environ.get("STAND_IN_SIGNAL")
while any(task.poll() is None for task in tasks):
    if awaited and os.path.exists(awaited):
        awaited = None
        time.sleep(0.3)
        for task in tasks:
            task.send_signal(signal.SIGUSR1)
    time.sleep(0.05)
sys.exit(max(task.returncode if task.returncode >= 0 else 128 - task.returncode for task in tasks))
"""
SCONTROL = f"""#!{sys.executable}
import os, sys
assert sys.argv[1] == "requeue" and sys.argv[2] == os.environ["SLURM_JOB_ID"]
open(os.environ["STAND_IN_RECORD"] + ".requeued", "w").write("yes")
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder with the commands of SLURM and `fieldrx` before all others."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    program = f'#!/bin/bash\nexec {sys.executable} -m fieldrx "$@"\n'
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "fieldrx": program}.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_RECORD", str(tmp_path / "record"))
    for name in [n for n in os.environ if n.startswith("SLURM") or "NUM_THREADS" in n]:
        monkeypatch.delenv(name)
    return tmp_path


def stand_in_rows(folder, *what):
    """A table of rows that `fieldrx batch` does by a stand-in for commands, on a machine of 64 cores."""
    (folder / "row.py").write_text(STAND_IN)
    code = (
        "import os, sys; os.cpu_count = lambda: 64; os.sched_getaffinity = lambda pid: set(range(64)); "
        "from fieldrx.batch import workers; from fieldrx.cli import main; "
        f"workers._PROGRAM = [sys.executable, {str(folder / 'row.py')!r}]; main()"
    )
    (folder / "bin" / "fieldrx").write_text(f'#!/bin/bash\nexec {sys.executable} -c "{code}" "$@"\n')
    rows = "".join(f"{words},out/{k}\n" for k, words in enumerate(what, 1))
    (folder / "jobs.csv").write_text("acquisition,output\n" + rows)


def options(script):
    """What a script asks of sbatch, every word of it checked."""
    found = {}
    for line in (SCRIPTS / script).read_text().splitlines():
        if line.startswith("#SBATCH"):
            name, _, value = line.removeprefix("#SBATCH --").partition("=")
            assert re.fullmatch(KNOWN[name], value), line
            found[name] = value
    return found


def sbatch(folder, script, signals=(), **changes):
    """Queue a script, again as often as it asks for it: the exit status of every start.

    `signals` are files at whose sight its steps are signalled, one a start.
    """
    asked = options(script) | changes
    shutil.copy(SCRIPTS / script, folder)
    nodes = int(asked["nodes"])
    variables = {
        "SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": "n1", "SLURM_NNODES": asked["nodes"],
        "SLURM_NTASKS": str(nodes * int(asked.get("ntasks-per-node", 1))),
        "SLURM_CPUS_PER_TASK": asked["cpus-per-task"], "SLURM_CPUS_ON_NODE": asked["cpus-per-task"],
        "SLURM_MEM_PER_NODE": str(1024 * int(asked["mem"].rstrip("G"))),
    }  # fmt: skip
    if "gpus-per-node" in asked:
        gpus = ",".join(map(str, range(int(asked["gpus-per-node"]))))
        variables |= {"SLURM_GPUS_ON_NODE": asked["gpus-per-node"], "CUDA_VISIBLE_DEVICES": gpus}
    tasks = [""]
    if "array" in asked:
        tasks = [str(k) for k in range(1, int(re.search(r"-(\d+)", asked["array"])[1]) + 1)]
    statuses = []
    for task in tasks:
        own = variables | ({"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_JOB_ID": "70"} if task else {})
        statuses.append(_starts(folder, script, own, list(signals)))
    return statuses if "array" in asked else statuses[0]


def _starts(folder, script, variables, signals):
    statuses, requeued = [], folder / "record.requeued"
    while True:
        restarts = {"SLURM_RESTART_COUNT": str(len(statuses))} if statuses else {}
        timed = {"STAND_IN_SIGNAL": signals.pop(0)} if signals else {}
        done = subprocess.run(
            ["bash", script], cwd=folder, env=os.environ | variables | restarts | timed, timeout=300,
            capture_output=True, text=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        statuses.append(done.returncode)
        if not requeued.exists():
            return statuses
        assert done.returncode == 75 and "requeue" in options(script)
        requeued.unlink()


def steps(folder):
    return [json.loads(line) for line in (folder / "record").read_text().splitlines()]


def test_every_script_is_one_that_bash_reads_and_is_shown():
    page = (SCRIPTS.parent / "jobs.rst").read_text()
    names = sorted(path.name for path in SCRIPTS.iterdir())
    assert names == ["array.sh", "gpu.sh", "nodes.sh", "single.sh"]
    for name in names:
        subprocess.run(["bash", "-n", SCRIPTS / name], check=True)
        assert f".. literalinclude:: slurm/{name}" in page
        assert {"signal", "requeue", "open-mode", "cpus-per-task", "mem", "time"} <= set(options(name))


def test_an_array_does_a_row_a_task(cluster):
    stand_in_rows(cluster, "status 0", "status 2", "status 0")
    assert sbatch(cluster, "array.sh", array="1-3%2") == [[0], [1], [0]]
    assert [step["srun"][-1] for step in steps(cluster)] == ["1", "2", "3"]
    assert (cluster / "out/1").exists() and (cluster / "out/3").exists()


def test_a_task_that_is_stopped_is_queued_again_and_goes_on(cluster):
    stand_in_rows(cluster, "sleep 6")
    assert sbatch(cluster, "array.sh", signals=["out/1.told"], array="1-1%1") == [[75, 0]]
    tries = [json.loads(line) for line in (cluster / "out/1.told").read_text().splitlines()]
    assert [one["options"] for one in tries] == [[], ["--resume"]]


def rows_told(folder, count):
    """What every row was told, each of them once."""
    told = [(folder / f"out/{k}.told").read_text().splitlines() for k in range(1, count + 1)]
    assert [len(lines) for lines in told] == [1] * count
    return [json.loads(line) for (line,) in told]


def test_nodes_share_the_table_and_workers_the_cores(cluster):
    stand_in_rows(cluster, *["sleep 0.5"] * 9)
    assert sbatch(cluster, "nodes.sh", nodes="2") == [0]
    told = rows_told(cluster, 9)
    assert {one["threads"]["NUMBA_NUM_THREADS"] for one in told} == {"8"}  # four workers on 32 cores
    assert subprocess.run(["fieldrx", "batch", "jobs.csv", "--status"], cwd=cluster).returncode == 0


def test_gpus_are_dealt_out(cluster):
    stand_in_rows(cluster, *["sleep 1"] * 4)
    assert sbatch(cluster, "gpu.sh") == [0]
    assert sorted(one["gpu"] for one in rows_told(cluster, 4)) == ["0", "1", "2", "3"]


@pytest.mark.slow
def test_a_run_is_stopped_queued_again_and_ends(cluster):
    home = cluster / "cell"
    home.mkdir()
    _images(home)
    statuses = sbatch(cluster, "single.sh", signals=["cell-result/parts"], **{"cpus-per-task": "1"})
    assert statuses[0] == 75 and statuses[-1] in (0, 3)
    assert not load_field(cluster / "cell-result/field.npz").provenance.interrupted
    assert not (cluster / "cell-result/parts").exists()
    assert [step["srun"][-1] for step in steps(cluster)] == ["--resume"] * len(statuses)


def _images(home):
    """An acquisition as somebody has it: a stack, a table, and their description."""
    import tifffile

    images = tiny.acquisition().images
    tifffile.imwrite(home / "stack.tif", images, photometric="minisblack")
    (home / "leds.csv").write_text(LEDS)
    (home / "acquisition.toml").write_text(TOML)
