"""Bad and odd input for the command line: nothing may end in a traceback, hang, or leave with a wrong status.

    python scripts/fuzz.py                      # 10,000 cases
    python scripts/fuzz.py --only 123           # one case again: its command, what it said, its files

Cases are made by scripts/fuzz_cases.py from small good files, each from the seed and its number alone, and
run in a process that is watched.  A record: scripts/records/fuzz.txt.  Counted are

=========  ============================================================================================
traceback  an exception left the command
hang       no end after 60 s
crash      the process died
status     none of 0, 1, 2, 3; 0 where the input is known to be bad, another where it is known to be good;
           1, the failure of a machine, where no machine failed
memory     more than 3 GB beyond the start, or a MemoryError
message    status 2 without one line "fieldrx: error: ..." at the end of stderr, or with control characters
leftover   a temporary file, half an output, or an input that was changed
warning    a warning of Python
=========  ============================================================================================
"""

import argparse
import collections
import hashlib
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from fuzz_cases import make_base, make_case

FLAGS = ("traceback", "hang", "crash", "status", "memory", "message", "leftover", "warning")
SECONDS, GIBIBYTES = 60, 3
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TEMPORARY = re.compile(r"^\.[0-9a-f]{8}-")


def snapshot(folder):
    """Digest of every file of a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).digest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def execute(argv):
    """Status, output, errors, exception and warnings of a command in this process."""
    from fieldrx.cli import main

    out, err, failure, status = io.StringIO(), io.StringIO(), "", 0
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("default")
        try:
            main(argv, prog_name="fieldrx")
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            failure = traceback.format_exc()
    return status, out.getvalue(), err.getvalue(), failure, [str(w.message) for w in caught]


def judge(case, ran, before, after):
    """What is wrong with how a command ended: a list of `FLAGS`."""
    status, _, err, failure, warned = ran
    wrong = (
        status not in (0, 1, 2, 3) or status == 1 or (case.bad and status == 0) or (case.good and status != 0)
    )
    last = err.rstrip("\n").split("\n")[-1]
    fine = last.startswith("fieldrx: error: ") and len(last) < 2100 and not _CONTROL.search(err)
    kept = {name for name in before if after.get(name) == before[name]}
    asked = {Path(a.split("=", 1)[-1]).name for a in case.argv}
    lost = {name for name in set(before) - kept if status or name not in asked}
    new = {
        name for name in set(after) - set(before) if _TEMPORARY.match(Path(name).name) or status not in (0, 3)
    }
    found = {
        "traceback": bool(failure) and "MemoryError" not in failure,
        "memory": "MemoryError" in failure + err,
        "status": not failure and wrong and "MemoryError" not in err,
        "message": not failure and status in (1, 2) and not fine,
        "leftover": bool(lost or new),
        "warning": bool(warned),
    }
    return [name for name, here in found.items() if here]


def work(args):
    """Run cases one after the other; say on stdout when each begins and how it ended."""
    said, sys.stdout = sys.stdout, sys.stderr
    import fieldrx.cli
    import fieldrx.render  # what every case would import counts for none

    base, folder = Path(args.folder, "base"), Path(args.folder, f"case-{os.getpid()}")
    del fieldrx
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + (GIBIBYTES << 30),) * 2)
    for k in range(args.first, args.last):
        kind, case = make_case(args.seed, k, base, folder)
        print(json.dumps({"begins": k, "kind": kind, "argv": case.argv}), file=said, flush=True)
        os.chdir(folder)
        before, begun = snapshot(folder), time.monotonic()
        ran = execute(case.argv)
        told = {"status": ran[0], "error": (ran[3] or ran[2])[-1500:], "warned": ran[4][:2]}
        row = {"k": k, "kind": kind, "argv": case.argv, "what": case.what, **told}
        row["flags"] = judge(case, ran, before, snapshot(folder))
        row["seconds"] = time.monotonic() - begun
        print(json.dumps(row), file=said, flush=True)


def watch(args, folder):
    """Rows of all cases; a worker that hangs or dies is replaced."""
    first, last = args.start, args.start + args.cases
    while first < last:
        command = [
            sys.executable,
            __file__,
            "--worker",
            "--folder",
            folder,
            "--seed",
            args.seed,
            "--first",
            first,
            "--last",
            last,
        ]
        with tempfile.TemporaryFile("w+") as errors:
            worker = subprocess.Popen(
                list(map(str, command)), stdout=subprocess.PIPE, stderr=errors, text=True
            )
            begun = {"begins": first, "kind": "start", "argv": []}
            for line in _lines(worker):
                row = json.loads(line)
                if "begins" in row:
                    begun = row
                else:
                    yield row
                    begun, first = None, row["k"] + 1
            if begun is not None and first < last:
                errors.seek(0)
                hung = worker.returncode == -signal.SIGKILL
                told = {"status": worker.returncode, "error": errors.read()[-1500:]}
                ended = {"flags": ["hang" if hung else "crash"], "what": "", "seconds": SECONDS}
                yield {"k": first, "kind": begun["kind"], "argv": begun["argv"], **told, **ended}
                first += 1


def _lines(worker):
    """Lines of a process, which is killed where one takes too long."""
    import select

    while True:
        ready, _, _ = select.select([worker.stdout], [], [], SECONDS)
        if not ready:
            worker.kill()
        line = worker.stdout.readline()
        if not line:
            worker.wait()
            return
        yield line


def report(rows, seconds, args):
    """Counts in words, and one line for each thing that went wrong."""
    kinds = sorted({row["kind"] for row in rows})
    lines = [f"{len(rows)} cases of seed {args.seed} in {seconds:.0f} s", ""]
    lines.append(
        f"{'kind':<10}{'cases':>7}{'exit 0':>8}{'exit 2':>8}" + "".join(f"{flag:>11}" for flag in FLAGS)
    )
    for kind in [*kinds, "all"]:
        part = [row for row in rows if kind in (row["kind"], "all")]
        ends = "".join(f"{sum(row['status'] == status for row in part):>8}" for status in (0, 2))
        counts = "".join(f"{sum(flag in row['flags'] for row in part):>11}" for flag in FLAGS)
        lines.append(f"{kind:<10}{len(part):>7}{ends}{counts}")
    seen = collections.defaultdict(list)
    for row in (row for row in rows if row["flags"]):
        text = (row["error"].rstrip().split("\n") or [""])[-1]
        where = re.findall(r'File ".*?/(fieldrx/[\w/]+\.py)", line (\d+)', row["error"])
        place = ":".join(where[-1]) if where else ""
        seen[", ".join(row["flags"]), re.sub(r"[\d.]+", "#", text)[:100], place].append(row)
    for (flags, text, where), found in sorted(seen.items(), key=lambda pair: -len(pair[1])):
        first = found[0]
        lines.append(f"{len(found):>5}  {flags}  {text!r}  {where}")
        lines.append(
            f"       --only {first['k']}: {' '.join(first['argv'])[:120]!r} [{first['what'][:60]!r}] "
            f"{first.get('warned') or ''}"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="K", help="one case, told in full")
    parser.add_argument("--record", type=Path, help="where the report is written, too")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    for name, kind in (("folder", str), ("first", int), ("last", int)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args)
    with tempfile.TemporaryDirectory(prefix="fieldrx-fuzz-", ignore_cleanup_errors=True) as folder:
        make_base(Path(folder, "base"))
        if args.only is not None:
            args.start, args.cases = args.only, 1
            (row,) = watch(args, folder)
            print(json.dumps(row, indent=1), row["error"], sep="\n")
            return 1 if row["flags"] else 0
        begun = time.monotonic()
        rows = list(watch(args, folder))
    text = report(rows, time.monotonic() - begun, args)
    print(text, end="")
    if args.record:
        args.record.write_text(text, encoding="utf-8")
    return 1 if any(row["flags"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
