"""The script for machines with a GPU: its checks on the emulated one, and what it says without one."""

import json
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import gpu_check

    return gpu_check


def test_all_operators_pass_its_checks(gpu, script):
    lines = []
    rows, good = script.report_checks(script.TINY, lines.append)
    assert good, "\n".join(lines)
    assert {row["precision"] for row in rows} == {"half", "float32", "float64"}
    assert len(lines) == len(rows) > 40


def test_a_wrong_operator_fails_its_checks(gpu, script, monkeypatch):
    from fieldrx.backends.cuda import born

    right = born._small
    monkeypatch.setattr(born, "_small", lambda *a: (right(*a)[0], 1.001 * right(*a)[1]))
    rows, good = script.report_checks(script.TINY, lambda line: None)
    assert not good
    assert {row["what"] for row in rows if not row["good"]} == {"born_forward", "born_adjoint"}


def test_results_as_json(gpu, script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "Sizes", lambda: script.TINY)
    monkeypatch.setattr(script, "checks", lambda sizes: script.check_rest(sizes))
    assert script.main(["--no-timings", "--json", str(tmp_path / "out.json")]) == 0
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["device"].startswith("cuda, Emulated GPU") and len(result["checks"]) == 4


def test_without_a_gpu_it_says_so_in_one_line(script, monkeypatch, capsys):
    monkeypatch.setattr(script, "cuda_unavailable", lambda: "CuPy finds no GPU or driver")
    assert script.main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err == "gpu_check: no GPU can be used: CuPy finds no GPU or driver\n"
