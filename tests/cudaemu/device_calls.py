"""What the package asks of CuPy, read off its sources: names, numbers of arguments, keywords."""

import ast
from pathlib import Path
from typing import NamedTuple

import numpy as np

PACKAGE = Path(__file__).resolve().parents[2] / "fieldrx"
# Of which kind a function's result is; those of CuPy that stand not here give arrays.
RESULTS = {
    "cupy.RawModule.get_function": "cupy.RawKernel",
    "cupy.cuda.Stream.end_capture": "cupy.cuda.Graph",
    "cupy.cuda.get_current_stream": "cupy.cuda.Stream",
    "cupy.get_default_memory_pool": "cupy.cuda.MemoryPool",
    "cupyx.scipy.fft.get_fft_plan": "cufft.PlanNd",
    "module_of": "cupy",
    "_library": "cupyx.scipy.fft",
    "_function": "cupy.RawKernel",
    "_module": "cupy.RawModule",
    "_prepared": "cupy.RawKernel",
}
KINDS = {"cupy.RawModule", "cupy.cuda.Device", "cupy.cuda.Stream"}  # classes that are called
ATTRIBUTES = {"cupy.RawKernel.kernel": "cupy.cuda.Function", "self._plan": "cufft.PlanNd"}
ATTRIBUTES |= {"self.xp": "cupy", "self._graph": "cupy.cuda.Graph"}
ATTRIBUTES["cupy.cuda.Stream.ptr"] = "cupy.cuda.Stream"  # which a stream has, and not its class
PLAIN = ("cupy.cuda.runtime.", "cupy.cuda.driver.", "cupy.cuda.is_available")  # give numbers
METHODS = {name for name in dir(np.ndarray) if name[0] != "_" and callable(getattr(np.ndarray, name))}


class Use(NamedTuple):
    """One name, or call of it."""

    where: str
    path: str
    called: bool = False
    count: int = 0
    keywords: tuple = ()
    whole: bool = True  # no stars


class _Reader(ast.NodeVisitor):
    """Collects the uses of one file; names of modules and results are known from where they are made."""

    def __init__(self, path, tree):
        self.file, self.uses = path.relative_to(PACKAGE).as_posix(), []
        self.on_device = self.file.startswith("backends/cuda/")
        self.names = {"xp": "cupy"}
        self.visit(tree)

    def visit_Import(self, node):
        for item in node.names:
            if item.name.split(".")[0] in ("cupy", "cupyx"):
                self.names[item.asname or item.name.split(".")[0]] = item.name

    def visit_ImportFrom(self, node):
        home = node.module or ""
        for item in node.names:
            name = item.asname or item.name
            if home.split(".")[0] in ("cupy", "cupyx"):
                self.names[name] = f"{home}.{item.name}"
                self.uses.append(Use(f"{self.file}:{node.lineno}", self.names[name]))
            elif name == "library" and home == "fieldrx.backends.cuda.fft":
                self.names[name] = "cupyx.scipy.fft"

    def visit_FunctionDef(self, node):
        kept = dict(self.names)
        self.generic_visit(node)
        self.names = kept

    def visit_Assign(self, node):
        self.visit(node.value)
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=False))
            for name, value in pairs:
                self.visit(name)
                if isinstance(name, ast.Name) and (path := self.path(value)):
                    self.names[name.id] = path

    def visit_Attribute(self, node):
        if path := self.path(node):
            self.uses.append(Use(f"{self.file}:{node.lineno}", path))
        self.generic_visit(node)

    def visit_Call(self, node):
        path, where = self.path(node.func), f"{self.file}:{node.lineno}"
        if path is None and self.on_device and self.is_method(node.func):
            path = f"cupy.ndarray.{node.func.attr}"
        if path == "cupy.RawKernel":
            path = "cupy.RawKernel.__call__"
        if path:
            stars = any(isinstance(a, ast.Starred) for a in node.args)
            count = 0 if stars else len(node.args)
            keywords = tuple(k.arg for k in node.keywords if k.arg)
            whole = not stars and len(keywords) == len(node.keywords)
            self.uses.append(Use(where, path, True, count, keywords, whole))
        self.generic_visit(node)

    @staticmethod
    def is_method(node):
        """Whether a function that is called may be a method of an array."""
        return (
            isinstance(node, ast.Attribute)
            and node.attr in METHODS
            and ast.unparse(node.value) not in ("np", "math")
        )

    def path(self, node):
        """The dotted name in CuPy of an expression, that of an object being its class'; None of others."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            plain = ast.unparse(node)
            if plain in ATTRIBUTES:
                return ATTRIBUTES[plain]
            base = self.path(node.value)
            return base and ATTRIBUTES.get(f"{base}.{node.attr}", f"{base}.{node.attr}")
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in RESULTS:
                return RESULTS[node.func.id]
            called = self.path(node.func)
            if called is None or called.startswith(PLAIN) or called.count(".ndarray."):
                return None
            return called if called in KINDS else RESULTS.get(called, "cupy.ndarray")
        return None


def uses():
    """All of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        found += _Reader(path, ast.parse(path.read_text())).uses
    return found


def uses_of(text):
    """Those of a piece of code, as if it stood with the operators of the device."""
    return _Reader(PACKAGE / "backends" / "cuda" / "piece.py", ast.parse(text)).uses
