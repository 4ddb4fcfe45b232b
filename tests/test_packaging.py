"""The recipe for conda says what setup.cfg says, and the code asks no more of a machine than that."""

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import fieldrx

ROOT = Path(__file__).parents[1]
# Names of `os` that some platform lacks.
POSIX = {
    "fork", "getuid", "geteuid", "getgid", "getpgid", "killpg", "setsid", "setpgid", "sysconf", "statvfs",
    "uname", "getloadavg", "chown", "nice", "mkfifo", "register_at_fork", "sched_getaffinity",
    "sched_setaffinity", "O_DIRECTORY", "O_NOFOLLOW", "O_TMPFILE", "wait4", "waitpid", "fchmod", "fchown",
}  # fmt: skip
POSIX_MODULES = {"fcntl", "grp", "pwd", "pty", "resource", "termios", "tty"}
# Names of `signal` that Windows lacks.
SIGNALS = {
    "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGALRM", "SIGHUP", "SIGPIPE", "SIGCHLD", "ITIMER_REAL", "setitimer",
    "getitimer", "alarm", "pause",
}  # fmt: skip
# A program without all of these, once what fieldrx stands on is loaded.
WITHOUT = f"""
import importlib, os, pkgutil, signal, sys, time
import h5py, numba, numba.np.ufunc.parallel, scipy.fft, scipy.ndimage, scipy.optimize
from click.testing import CliRunner
for home, names in ((os, {POSIX!r}), (signal, {SIGNALS!r})):
    for name in names:
        if not name.startswith("O_"):  # which tempfile has looked for already
            home.__dict__.pop(name, None)
sys.modules |= dict.fromkeys({POSIX_MODULES!r})

import fieldrx
from fieldrx.cli import main
from fieldrx.progress import StopOnSignal, interruptible
from fieldrx.resources import memory_limit, thread_limit

for module in pkgutil.walk_packages(fieldrx.__path__, "fieldrx."):
    if not {{"__main__", "mpi", "cuda"}} & set(module.name.split(".")) and "napari" not in module.name:
        importlib.import_module(module.name)
assert memory_limit("nowhere", {{}})[0] is None and thread_limit()[0] >= 1
with interruptible(2.1), StopOnSignal() as stop:  # the last second is for saving
    begun = time.monotonic()
    while not stop.due():
        time.sleep(0.01)
    assert 0.9 < time.monotonic() - begun < 1.5 and not stop._at_once
    assert stop.time_left() is None or stop.time_left() < 0.5
with interruptible(60), StopOnSignal() as stop:
    assert 50 < stop.time_left() < 60
try:
    with interruptible(0.4):
        time.sleep(0.6)
        raise AssertionError("it was not interrupted")
except KeyboardInterrupt:
    pass
result = CliRunner().invoke(main, ["app", "--no-browser", "--jobs", "jobs"])
print(result.exit_code, result.output)
"""


def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def listed(text):
    """Requirements without their spaces."""
    return sorted(line.replace(" ", "") for line in text.splitlines() if line.strip())


def section(recipe, name):
    """Entries of a list of the recipe."""
    found = re.search(rf"^ *{name}:\n((?:^ +- .*\n)+)", recipe, re.MULTILINE)
    return "\n".join(line.strip().removeprefix("- ") for line in found[1].splitlines())


def test_the_recipe_asks_for_what_the_package_asks_for():
    recipe, given = (ROOT / "conda" / "meta.yaml").read_text("utf-8"), setup()
    wanted = listed(given["options"]["install_requires"]) + [f"python{given['options']['python_requires']}"]
    assert listed(section(recipe, "run")) == sorted(wanted)
    assert listed(section(recipe, "entry_points")) == listed(given["options.entry_points"]["console_scripts"])
    assert f'set version = "{fieldrx.__version__}"' in recipe
    for key, name in (("summary", "description"), ("license", "license"), ("license_file", "license_files")):
        assert re.search(rf"^  {key}: '?(.*?)'?$", recipe, re.MULTILINE)[1] == given["metadata"][name]


def test_every_python_that_is_named_is_at_least_the_required_one():
    given = setup()
    named = re.findall(r"Python :: 3\.(\d+)$", given["metadata"]["classifiers"], re.MULTILINE)
    assert named == ["11", "12", "13", "14"]
    assert given["options"]["python_requires"] == f">=3.{named[0]}"


def guarded(tree, node):
    """Whether a name is used where its absence is looked for, or caught."""
    for other in ast.walk(tree):
        if isinstance(other, (ast.Try, ast.If, ast.IfExp)) and any(
            inner is node for inner in ast.walk(other)
        ):
            test = ast.unparse(other.test) if not isinstance(other, ast.Try) else ""
            caught = [ast.unparse(handler) for handler in getattr(other, "handlers", [])]
            if f"hasattr(os, '{node.attr}')" in test or any("AttributeError" in words for words in caught):
                return True
    return False


def caught(tree, node):
    """Whether an import may fail."""
    tries = [other for other in ast.walk(tree) if isinstance(other, ast.Try) and node in other.body]
    return any(ast.unparse(h.type) == "ImportError" for other in tries for h in other.handlers if h.type)


def test_what_windows_lacks_has_a_way_out():
    """No call of POSIX alone without a look at whether it is there."""
    seen = []
    for path in (ROOT / "fieldrx").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in POSIX:
                seen.append(node.attr)
                assert guarded(tree, node), f"{path}:{node.lineno}: os.{node.attr} has no way out elsewhere"
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            if POSIX_MODULES & set(names):
                assert caught(tree, node), f"{path}:{node.lineno}: {names} are not everywhere"
    assert {"getuid", "sysconf", "register_at_fork"} <= set(seen)


def test_every_module_does_without_what_windows_lacks(tmp_path):
    """The page says so in one line; a time limit, which has no alarm there, stops work all the same."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    code, _, said = done.stdout.partition(" ")
    assert (code, len(said.strip().splitlines())) == ("2", 1) and "run it in WSL" in said
