"""The script for machines with a GPU: its checks on the emulated one, and what it says without one."""

import json
from pathlib import Path

import numpy as np
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
    assert result["device"].startswith("cuda, Emulated GPU") and len(result["checks"]) == 10


def test_without_a_gpu_it_says_so_in_one_line(script, monkeypatch, capsys):
    monkeypatch.setattr(script, "cuda_unavailable", lambda: "CuPy finds no GPU or driver")
    assert script.main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err == "gpu_check: no GPU can be used: CuPy finds no GPU or driver\n"


@pytest.mark.parametrize("precision", ["half", "float32"])
@pytest.mark.parametrize("name", ["32 x 2", "64 x 2", "208 x 10"])
def test_every_network_has_a_gradient_to_compare_with(script, name, precision):
    """No point is away from all kinks of ten wide layers."""
    assert name in script.Sizes().networks
    rng = np.random.default_rng(0)
    encoding, network = script.network_of(name)
    params = np.concatenate([rng.normal(size=encoding.n_params), network.initial_params(rng)]).astype("f4")
    points = rng.uniform(-1, 1, (64, 3)).astype("f4")
    d_out = script.gradient_at(encoding, network, params, points, script.MARGINS[precision], rng)
    assert np.count_nonzero(d_out) > 32


def test_a_reference_of_zeros_is_refused(script):
    with pytest.raises(ValueError, match="checks nothing"):
        script.relative(np.ones(3), np.zeros(3))


@pytest.mark.parametrize("torch", [True, False])
def test_torch_is_timed_last_or_not_at_all(script, monkeypatch, torch):
    monkeypatch.setattr(script, "card", lambda: (1e12, 1e9))
    for part in ("networks", "marches", "torch"):
        monkeypatch.setattr(script, f"time_{part}", lambda *_, part=part: [{"what": part, "seconds": 1.0}])
    monkeypatch.setattr(script, "time_fit", lambda *_: {"what": "fit", "seconds": 1.0})
    rows = script.report_timings(True, torch, lambda line: None)
    assert [row["what"] for row in rows] == ["card", "networks", "marches", "fit"] + ["torch"] * torch


def test_the_cards_rates_come_from_random_data(gpu, script, monkeypatch):
    """A product of ones is faster than any other."""
    import cupy

    seen = []
    monkeypatch.setattr(cupy, "matmul", lambda a, b: seen.append(a.get()), raising=False)
    monkeypatch.setattr(cupy, "copyto", lambda to, a: seen.append(a[:4096].get()), raising=False)
    monkeypatch.setattr(script, "seconds", lambda work: work() or 1.0)
    monkeypatch.setattr(script, "CARD_SIZES", (64, 1 << 12))
    script.card()
    assert [len(np.unique(a)) > 1000 for a in seen] == [True, True]
