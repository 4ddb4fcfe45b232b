"""Kill commands at random moments: what is there is whole, and a restart ends in the same field.

    python scripts/kill_test.py                 # 50 kills of fits and renderings, 24 of ensembles and batches
    python scripts/kill_test.py --frames 50     # also 50 of fits of tiles, and of fits on two ranks of MPI

A fit is killed by SIGKILL, SIGTERM, SIGUSR1 or SIGINT and started again with ``--resume auto`` until it ends;
checkpoints are saved ten times a second, so that kills meet them half-way.  After every kill the field, the
checkpoint and the picture are absent or can be read; in the end the field has the weights and the history of
one that nobody killed, to the last bit, and the file of a rendering the bytes.  Ensembles, with ``--resume``,
end with the same members and calibration; batches, called again, with the same field in every row, though
rows go on by themselves where SIGKILL took the batch alone.  Of fits on ranks either mpiexec is killed or one
of the ranks: the others have to end within half a minute.  A record: scripts/records/kill_test.txt.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OFTEN_S = 0.1  # between checkpoints
RENDERED = ("out.npy", "out.tif", "out.npz", "out.vti", "out.gif")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
PROGRAM = "start.py"
_STARTED = f"""
import signal, sys
import fieldrx.fit.run as run
from fieldrx.batch import workers
from fieldrx.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
run._SAVE_EVERY_S = {OFTEN_S}
workers._PROGRAM = [sys.executable, __file__]
main(sys.argv[1:])
"""
FIT = ("--depth=-3:3:0.5", "--model", "ssnp", "--patience", "0", "-q")
TILES = ("--depth=-0.5:0.5:0.25", "--tiles", "60", "--model", "ssnp", "--patience", "0", "-q")
RANKS = 2
GONE_S = 30  # after a death of one rank, for the others to end
ROWS = 3  # of a batch


def start(folder, argv, ranks=1):
    """A command that has begun, on one rank or several."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    before = [str(mpiexec) if mpiexec.exists() else "mpiexec", "-n", str(ranks)] if ranks > 1 else []
    return subprocess.Popen(
        [*before, sys.executable, PROGRAM, *argv],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, argv, ranks=1):
    """A command to its end: seconds that it took."""
    begun = time.monotonic()
    process = start(folder, argv, ranks)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} left with {process.returncode}: {errors}")
    return time.monotonic() - begun


def make_acquisition(path, shape):
    from fieldrx import Acquisition, Illumination, Microscope, simulate
    from fieldrx.simulation import cell_phantom

    scope = Microscope(0.532, 0.65, 1.335, 0.2)
    optics = Acquisition(None, Illumination.led_ring(8, 0.45), scope, holdout=(3,))
    simulate(cell_phantom(0.25, 6.0, 1.335), optics, "ssnp", shape).save(path)


def contents(path):
    """What a field, or every one of a mosaic, must share with one that nobody killed: all but times."""
    from fieldrx.results import load_result

    result = load_result(path)
    arrays = [field.to_arrays() for field in getattr(result, "fields", [result])]
    return [
        {n: a.tobytes() for n, a in one.items() if n not in ("provenance", "history_seconds")}
        for one in arrays
    ]


def whole(folder, field, checkpoint):
    """Complaints about files under their final names."""
    from fieldrx import InputError
    from fieldrx.io import load_npz
    from fieldrx.results import load_result

    found = []
    for name, read in ((field, load_result), (checkpoint, lambda path: load_npz(path, "checkpoint"))):
        try:
            if (folder / name).exists():
                read(folder / name)
        except InputError as error:
            found.append(str(error))
    return found


def kill(rng, folder, argv, seconds, ranks=1):
    """Start a command and kill it at some moment: the signal's name, or "" where it had ended before."""
    process, number = start(folder, argv, ranks), rng.choice(SIGNALS)
    try:
        _, errors = process.communicate(timeout=rng.uniform(0, 1.1 * seconds))
    except subprocess.TimeoutExpired:
        os.kill(rng.choice([process.pid, *ranks_in(folder)]) if ranks > 1 else process.pid, number)
        process.communicate()
        return number.name if process.returncode else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} left by itself with {process.returncode}: {errors}")
    return ""


def ranks_in(folder):
    """Processes of the fit in a folder, without their mpiexec."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            program = entry.joinpath("cmdline").read_bytes().split(b"\0")[1:2]
            if program == [PROGRAM.encode()] and entry.joinpath("cwd").resolve() == folder.resolve():
                found.append(int(entry.name))
        except OSError:  # it has ended, or is another's
            continue
    return found


def left_behind(folder):
    """A complaint where ranks do not end with the one that was killed; they are killed then, too."""
    until = time.monotonic() + GONE_S
    while (left := ranks_in(folder)) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return [f"{len(left)} ranks were still there {GONE_S} s after one had died"] if left else []


def kill_fits(rng, folder, fit, kills, say, what="fit", ranks=1):
    """Kill one fit after the other: numbers of kills and of fits that ended, and complaints."""
    run(folder, [*fit, "-o", "whole.npz"], ranks)  # compiles, perhaps
    seconds, expected = run(folder, [*fit, "-o", "whole.npz"], ranks), contents(folder / "whole.npz")
    killed, ended, wrong = 0, 0, []
    while killed < kills:
        argv = [*fit, "-o", "out.npz", "--resume", "auto"]
        name = kill(rng, folder, argv, seconds, ranks)
        killed += bool(name)
        wrong += left_behind(folder) + whole(folder, "out.npz", "out.checkpoint.npz")
        if killed == kills or not name:
            if name:
                run(folder, argv, ranks)
            ended += 1
            if contents(folder / "out.npz") != expected:
                wrong.append(f"a {what} that was killed ended in another field")
            (folder / "out.npz").unlink()
        say(f"{what}: {killed} kills, {ended} ended, {len(wrong)} complaints")
    return killed, ended, wrong


def kill_renders(rng, folder, kills, say):
    """Kill renderings: numbers of kills and of files that were written, and complaints."""
    killed, ended, wrong, known = 0, 0, [], {}
    while killed < kills:
        name = RENDERED[killed % len(RENDERED)]
        argv = ["render", "whole.npz", name, "-q"]
        argv += ["--movie", "spin", "--frames", "6"] if name.endswith(".gif") else ["--spacing", "0.05"]
        path = folder / name
        if name not in known:
            seconds = run(folder, argv)
            known[name] = seconds, digest(path)
        seconds, expected = known[name]
        if rng.random() < 0.5:
            path.unlink(missing_ok=True)  # else the old file has to stay as it was
        killed += bool(kill(rng, folder, argv, seconds))
        if path.exists() and digest(path) != expected:
            wrong.append(f"{name} is half a file")
        run(folder, argv)
        ended += 1
        if digest(path) != expected:
            wrong.append(f"{name} came out differently after a kill")
        say(f"render: {killed} kills, {ended} ended, {len(wrong)} complaints")
    return killed, ended, wrong


def kill_ensembles(rng, folder, kills, say):
    """Kill ensembles: numbers of kills and of ensembles that were made, and complaints."""
    make = ["ensemble", "whole.npz", "acq.npz", "--members", "3", "--steps", "12", "-q"]
    seconds, expected = run(folder, [*make, "-o", "members.npz"]), members(folder / "members.npz")
    killed, ended, wrong = 0, 0, []
    while killed < kills:
        argv = [*make, "-o", "made.npz", "--resume"]
        name = kill(rng, folder, argv, seconds)
        killed += bool(name)
        if killed == kills or not name:
            if name:
                run(folder, argv)
            ended += 1
            if members(folder / "made.npz") != expected:
                wrong.append("an ensemble that was killed ended with other members")
            if (folder / "made.parts").exists():
                wrong.append("an ensemble that has ended left its parts")
            (folder / "made.npz").unlink()
        say(f"ensemble: {killed} kills, {ended} ended, {len(wrong)} complaints")
    return killed, ended, wrong


def members(path):
    """All of an ensemble but times."""
    from fieldrx import load_ensemble

    made = load_ensemble(path)
    arrays = [member.to_arrays() for member in made.members]
    kept = [
        {n: a.tobytes() for n, a in one.items() if n not in ("provenance", "history_seconds")}
        for one in arrays
    ]
    return kept, made.factor, made.hidden, made.relative, made.calibration


def kill_batches(rng, folder, steps, kills, say):
    """Kill batches: numbers of kills and of tables that were done, and complaints."""
    expected = {}
    for seed in range(ROWS):
        fit = ["reconstruct", "acq.npz", *FIT, "--steps", str(steps), "--seed", str(seed)]
        seconds = run(folder, [*fit, "-o", f"row{seed}.npz"])
        expected[f"rows/{seed}.npz"] = contents(folder / f"row{seed}.npz")
    head = "acquisition,output,command,depth,model,patience,steps,seed"
    rows = [f"acq.npz,rows/{k}.npz,reconstruct,-3:3:0.5,ssnp,0,{steps},{k}" for k in range(ROWS)]
    (folder / "jobs.csv").write_text("\n".join([head, *rows]) + "\n")
    killed, ended, wrong = 0, 0, []
    while killed < kills:
        name = kill(rng, folder, ["batch", "jobs.csv", "-q"], ROWS * seconds)
        killed += bool(name)
        wrong += [
            words for row in expected for words in whole(folder, row, row.replace(".npz", ".checkpoint.npz"))
        ]
        if killed == kills or not name:
            for _ in range(1000):  # rows may go on without their batch, which leaves them alone
                if subprocess.run(
                    [sys.executable, PROGRAM, "batch", "jobs.csv", "-q"], cwd=folder
                ).returncode:
                    wrong.append("a batch that nobody killed failed")
                if all((folder / row).exists() for row in expected) and not list(folder.glob("rows/*.claim")):
                    break
                time.sleep(0.5)
            ended += 1
            wrong += [
                f"{row} ended in another field" for row in expected if contents(folder / row) != expected[row]
            ]
            shutil.rmtree(folder / "rows")
        say(f"batch: {killed} kills, {ended} ended, {len(wrong)} complaints")
    return killed, ended, wrong


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="half of fits, half of renderings")
    parser.add_argument("--more", type=int, default=24, help="half of ensembles, half of batches")
    parser.add_argument("--frames", type=int, default=0, help="half of fits on ranks, half of tiles")
    parser.add_argument("--steps", type=int, default=60, help="of a fit")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, help="a file that the report is added to")
    args = parser.parse_args()
    rng, begun = random.Random(args.seed), time.monotonic()
    say = (lambda text: print(text, file=sys.stderr)) if os.isatty(2) else (lambda text: None)
    lines, wrong = [], []

    def tell(what, ended_how, result):
        killed, ended, complaints = result
        lines.append(f"{what}: {killed} kills, {ended} ended {ended_how}, {len(complaints)} complaints")
        wrong.extend(complaints)

    with tempfile.TemporaryDirectory(prefix="fieldrx-kill-") as name:
        folder, steps = Path(name), ("--steps", str(args.steps))
        (folder / PROGRAM).write_text(_STARTED)
        make_acquisition(folder / "acq.npz", (48, 44))
        fit = ["reconstruct", "acq.npz", *FIT, *steps]
        if args.frames:
            make_acquisition(folder / "frame.npz", (96, 90))
            tiled = ["reconstruct", "frame.npz", *TILES, *steps]
            half, rest = args.frames // 2, args.frames - args.frames // 2
            shared = kill_fits(rng, folder, fit, half, say, "fit on ranks", RANKS)
            tell("fits on two ranks", "in the same field", shared)
            tell("tiles", "in the same fields", kill_fits(rng, folder, tiled, rest, say, "fit of tiles"))
        if args.kills:
            tell("fits", "in the same field", kill_fits(rng, folder, fit, args.kills - args.kills // 2, say))
            tell("renderings", "in the same file", kill_renders(rng, folder, args.kills // 2, say))
        if args.more:
            made = kill_ensembles(rng, folder, args.more - args.more // 2, say)
            tell("ensembles", "with the same members", made)
            tell("batches", "in the same fields", kill_batches(rng, folder, args.steps, args.more // 2, say))
        left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    lines += [f"hidden temporary files that SIGKILL left: {len(left)}", *wrong]
    head = f"seed {args.seed}, {args.steps} steps, {time.monotonic() - begun:.0f} s"
    text = "\n".join([head, *lines]) + "\n"
    print(text, end="")
    if args.record:
        with open(args.record, "a", encoding="utf-8") as file:
            file.write(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
