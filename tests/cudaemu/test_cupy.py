"""The kernels compiled as an installed CuPy would, with NVRTC; neither needs a card or a driver."""

import importlib.util
import io

import pytest

from fieldrx.backends.cuda import layout, lines, load
from fieldrx.errors import InputError
from fieldrx.field import Hash, Identity, Network

# By compute capability: multiprocessors, bytes of shared memory of a block and of a multiprocessor.
CARDS = {
    80: load.Limits(108, 163 * 1024, 164 * 1024),
    86: load.Limits(84, 99 * 1024, 100 * 1024),
    89: load.Limits(128, 99 * 1024, 100 * 1024),
    90: load.Limits(132, 227 * 1024, 228 * 1024),
    100: load.Limits(148, 227 * 1024, 228 * 1024),
    120: load.Limits(170, 99 * 1024, 100 * 1024),
}
TABLE = Hash.geometric((3, 6, 6), (24, 96, 96), levels=8, log2_table_size=19)
FIELDS = {
    "narrow": (TABLE, Network(TABLE.n_features, width=32)),
    "wide": (TABLE, Network(TABLE.n_features, width=208, depth=3)),
}


def variants(limits):
    """(source, constants): every source once, those of a network for a narrow one and a wide one."""
    for source in load.source_files():
        if source == "weights.cu":
            yield source, {"HALF": 1}
        elif source in ("multislice_rows.cu", "multislice_columns.cu"):
            yield source, lines.line(300).launched()["constants"]
        elif source == "encode.cu":
            yield source, layout.encoding_constants(TABLE) | {"GRID": 0}
        elif source in ("network.cu", "network_backward.cu", "weight_gradient.cu"):
            for encoding, network in FIELDS.values():
                field = encoding, network, layout.HALF, True, limits
                back = layout.backward_plan(*field)
                if source == "weight_gradient.cu":
                    if back.wide:
                        yield source, layout.gradient_constants(back)[0]
                else:
                    yield source, (layout.forward_plan(*field) if source == "network.cu" else back).constants
        else:
            yield source, {}


@pytest.fixture
def compiler():
    """CuPy's own, where it and NVRTC are installed."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed")
    from cupy.cuda import compiler, nvrtc

    try:
        nvrtc.getVersion()
    except RuntimeError as error:
        pytest.skip(f"CuPy finds no NVRTC: {error}")
    return compiler


def cupy_options(constants, capability):
    """Those that RawModule passes: cupy._core.core and cupy.cuda.compiler put them together."""
    from cupy._core import core

    options = core.assemble_cupy_compiler_options((load._STANDARD, *load.options(constants)))
    return *options, "-ftz=true", f"-arch=sm_{capability}", "--device-as-default-execution-space"


@pytest.mark.slow
@pytest.mark.parametrize("capability", CARDS)
def test_cupy_compiles_every_source(compiler, capability):
    from cupy.cuda import nvrtc

    if capability not in nvrtc.getSupportedArchs():
        pytest.skip(f"this NVRTC knows no sm_{capability}")
    for source, constants in variants(CARDS[capability]):
        program = compiler._NVRTCProgram(load.source(source), source, method="cubin")
        log = io.StringIO()
        binary, _ = program.compile(cupy_options(constants, capability), log)
        assert len(binary) > 1000 and "warning" not in log.getvalue(), (source, log.getvalue())


def test_a_source_that_is_wrong_fails(compiler):
    program = compiler._NVRTCProgram("__global__ void f() { no }", "f.cu", method="cubin")
    with pytest.raises(compiler.CompileException):
        program.compile(cupy_options({}, 90), io.StringIO())


@pytest.mark.parametrize("capability", [86, 89, 120])
def test_what_does_not_fit_a_consumer_card_is_refused(capability):
    field = Identity(128), Network(128, width=256, depth=8)
    with pytest.raises(InputError, match="--precision half"):
        layout.backward_plan(*field, layout.SINGLE, False, CARDS[capability])
    assert layout.backward_plan(*field, layout.HALF, False, CARDS[capability]).wide
