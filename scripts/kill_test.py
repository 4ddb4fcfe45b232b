"""Kill commands at random moments: what is there is whole, and a restart ends in the same field.

    python scripts/kill_test.py                 # 50 kills of fits and renderings, 24 of ensembles and batches

A fit is killed by SIGKILL, SIGTERM, SIGUSR1 or SIGINT and started again with ``--resume auto`` until it ends;
checkpoints are saved ten times a second, so that kills meet them half-way.  After every kill the field, the
checkpoint and the picture are absent or can be read; in the end the field has the weights and the history of
one that nobody killed, to the last bit, and the file of a rendering the bytes.  Ensembles, with ``--resume``,
end with the same members and calibration; batches, called again, with the same field in every row, though
rows go on by themselves where SIGKILL took the batch alone.  A record: scripts/records/kill_test.txt.
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
ROWS = 3  # of a batch


def start(folder, argv):
    """A command that has begun."""
    return subprocess.Popen(
        [sys.executable, PROGRAM, *argv],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, argv):
    """A command to its end: seconds that it took."""
    begun = time.monotonic()
    process = start(folder, argv)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} left with {process.returncode}: {errors}")
    return time.monotonic() - begun


def make_acquisition(path):
    from fieldrx import Acquisition, Illumination, Microscope, simulate
    from fieldrx.simulation import cell_phantom

    scope = Microscope(0.532, 0.65, 1.335, 0.2)
    optics = Acquisition(None, Illumination.led_ring(8, 0.45), scope, holdout=(3,))
    simulate(cell_phantom(0.25, 6.0, 1.335), optics, "ssnp", (48, 44)).save(path)


def contents(path):
    """What a field must share with one that nobody killed: everything but times."""
    from fieldrx import load_field

    arrays = load_field(path).to_arrays()
    return {n: a.tobytes() for n, a in arrays.items() if n not in ("provenance", "history_seconds")}


def whole(folder, field, checkpoint):
    """Complaints about files under their final names."""
    from fieldrx import InputError, load_field
    from fieldrx.io import load_npz

    found = []
    for name, read in ((field, load_field), (checkpoint, lambda path: load_npz(path, "checkpoint"))):
        try:
            if (folder / name).exists():
                read(folder / name)
        except InputError as error:
            found.append(str(error))
    return found


def kill(rng, folder, argv, seconds):
    """Start a command and kill it at some moment: the signal's name, or "" where it had ended before."""
    process, number = start(folder, argv), rng.choice(SIGNALS)
    try:
        _, errors = process.communicate(timeout=rng.uniform(0, 1.1 * seconds))
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        process.communicate()
        return number.name if process.returncode else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} left by itself with {process.returncode}: {errors}")
    return ""


def kill_fits(rng, folder, steps, kills, say):
    """Kill one fit after the other: numbers of kills and of fits that ended, and complaints."""
    fit = ["reconstruct", "acq.npz", *FIT, "--steps", str(steps)]
    run(folder, [*fit, "-o", "whole.npz"])  # compiles, perhaps
    seconds, expected = run(folder, [*fit, "-o", "whole.npz"]), contents(folder / "whole.npz")
    killed, ended, wrong = 0, 0, []
    while killed < kills:
        argv = [*fit, "-o", "out.npz", "--resume", "auto"]
        name = kill(rng, folder, argv, seconds)
        killed += bool(name)
        wrong += whole(folder, "out.npz", "out.checkpoint.npz")
        if killed == kills or not name:
            if name:
                run(folder, argv)
            ended += 1
            if contents(folder / "out.npz") != expected:
                wrong.append("a fit that was killed ended in another field")
            (folder / "out.npz").unlink()
        say(f"fit: {killed} kills, {ended} ended, {len(wrong)} complaints")
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
    parser.add_argument("--steps", type=int, default=60, help="of a fit")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, help="where the report is written, too")
    args = parser.parse_args()
    rng, begun = random.Random(args.seed), time.monotonic()
    say = (lambda text: print(text, file=sys.stderr)) if os.isatty(2) else (lambda text: None)
    with tempfile.TemporaryDirectory(prefix="fieldrx-kill-") as name:
        folder = Path(name)
        (folder / PROGRAM).write_text(_STARTED)
        make_acquisition(folder / "acq.npz")
        fits = kill_fits(rng, folder, args.steps, args.kills - args.kills // 2, say)
        renders = kill_renders(rng, folder, args.kills // 2, say)
        ensembles = kill_ensembles(rng, folder, args.more - args.more // 2, say)
        batches = kill_batches(rng, folder, args.steps, args.more // 2, say)
        left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    wrong = [*fits[2], *renders[2], *ensembles[2], *batches[2]]
    text = (
        f"seed {args.seed}, {args.steps} steps, {time.monotonic() - begun:.0f} s\n"
        f"fits: {fits[0]} kills, {fits[1]} ended in the same field, {len(fits[2])} complaints\n"
        f"renderings: {renders[0]} kills, {renders[1]} ended in the same file, {len(renders[2])} complaints\n"
        f"ensembles: {ensembles[0]} kills, {ensembles[1]} ended with the same members, "
        f"{len(ensembles[2])} complaints\n"
        f"batches: {batches[0]} kills, {batches[1]} ended in the same fields, {len(batches[2])} complaints\n"
        f"hidden temporary files that SIGKILL left: {len(left)}\n" + "".join(f"{w}\n" for w in wrong)
    )
    print(text, end="")
    if args.record:
        args.record.write_text(text, encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
