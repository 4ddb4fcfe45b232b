"""Numba intrinsics for the inner loops, written as LLVM vector code.

The SIMD lane is the point: every matrix of activations is stored (row, point), one row per neuron
or feature, so that 16 neighbouring points form a vector.  LLVM splits the 16-wide vectors on
processors without AVX-512; the same code runs everywhere.

Numba's disk cache of a function does not notice an edit in this file: after one, remove
``__pycache__``.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
_FLOAT = ir.FloatType()
_INT = ir.IntType(64)
_INDEX = ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)


def _int(value):
    return ir.Constant(_INT, value)


def _constant(value):
    return ir.Constant(_VECTOR, [value] * LANES)


def _pointer(context, builder, array_type, array, offset):
    """Pointer to element `offset` of a float32 array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(builder.bitcast(data, _FLOAT.as_pointer()), [offset])


def _load(builder, pointer, offset):
    address = builder.bitcast(builder.gep(pointer, [offset]), _VECTOR.as_pointer())
    return builder.load(address, align=4)


def _store(builder, vector, pointer, offset):
    address = builder.bitcast(builder.gep(pointer, [offset]), _VECTOR.as_pointer())
    builder.store(vector, address, align=4)


def _shuffle(builder, a, b, lanes):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INDEX, len(lanes)), lanes))


def _broadcast(builder, scalar):
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    vector = builder.insert_element(undefined, scalar, ir.Constant(_INDEX, 0))
    return _shuffle(builder, vector, undefined, [0] * LANES)


def _multiply_accumulate(builder, block, count, a, a_row, a_column, b, b_row):
    """Add sum_k a[r, k] b[k, lanes] to `block`, a list of rows of vectors; emits the loop over k.

    a[r, k] is at a + r * a_row + k * a_column, the vectors of b[k] are at b + k * b_row.
    """
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
    rows = [builder.mul(_int(r), a_row) for r in range(len(block))]
    vectors = range(len(block[0]))
    before = builder.block
    body = builder.append_basic_block("multiply")
    after = builder.append_basic_block("multiplied")
    builder.cbranch(builder.icmp_signed(">", count, _int(0)), body, after)

    builder.position_at_end(body)
    k = builder.phi(_INT)
    sums = [[builder.phi(_VECTOR) for _ in vectors] for _ in block]
    b_k = [_load(builder, builder.gep(b, [builder.mul(k, b_row)]), _int(v * LANES)) for v in vectors]
    a_k = builder.gep(a, [builder.mul(k, a_column)])
    new = []
    for r, row in enumerate(sums):
        scalar = _broadcast(builder, builder.load(builder.gep(a_k, [rows[r]])))
        new.append([builder.call(fma, [scalar, b_k[v], row[v]]) for v in vectors])
    k_next = builder.add(k, _int(1))
    builder.cbranch(builder.icmp_signed("<", k_next, count), body, after)

    builder.position_at_end(after)
    k.add_incoming(_int(0), before)
    k.add_incoming(k_next, body)
    result = []
    for old_row, sum_row, new_row in zip(block, sums, new, strict=True):
        result.append([])
        for old, running, updated in zip(old_row, sum_row, new_row, strict=True):
            running.add_incoming(old, before)
            running.add_incoming(updated, body)
            final = builder.phi(_VECTOR)
            final.add_incoming(old, before)
            final.add_incoming(updated, body)
            result[-1].append(final)
    return result


def _leaky(builder, sign, value, slope):
    """The value where sign > 0, slope * value elsewhere."""
    positive = builder.fcmp_ordered(">", sign, _constant(0.0))
    return builder.select(positive, value, builder.fmul(value, slope))


def dense_block(n_rows, n_vectors):
    """Make ``f(w, wo, w_row, bias, bo, k1, x1, x1o, p1, w2, k2, x2, x2o, p2, slope, y, yo, p)``.

    y[r, lanes] = leaky(bias[r] + sum_k<k1 w[k, r] x1[k, lanes] + sum_k<k2 w[w2 + k, r] x2[k, lanes])
    for n_rows neurons r and n_vectors * 16 points; row pitches w_row, p1, p2 and p; offsets wo,
    bo, x1o, x2o, yo into the flat float32 arrays.  A slope of 1 is the identity.
    """

    @intrinsic
    def block(typing, w, wo, w_row, bias, bo, k1, x1, x1o, p1, w2, k2, x2, x2o, p2, slope, y, yo, p):
        i = types.int64
        signature = types.void(w, i, i, bias, i, i, x1, i, i, i, i, x2, i, i, types.float32, y, i, i)

        def generate(context, builder, signature, args):
            w, wo, w_row, bias, bo, k1, x1, x1o, p1, w2, k2, x2, x2o, p2, slope, y, yo, p = args
            kinds = signature.args
            w = _pointer(context, builder, kinds[0], w, wo)
            bias = _pointer(context, builder, kinds[3], bias, bo)
            x1 = _pointer(context, builder, kinds[6], x1, x1o)
            x2 = _pointer(context, builder, kinds[11], x2, x2o)
            y = _pointer(context, builder, kinds[15], y, yo)
            rows = []
            for r in range(n_rows):
                start = _broadcast(builder, builder.load(builder.gep(bias, [_int(r)])))
                rows.append([start] * n_vectors)
            rows = _multiply_accumulate(builder, rows, k1, w, _int(1), w_row, x1, p1)
            w = builder.gep(w, [builder.mul(w2, w_row)])
            rows = _multiply_accumulate(builder, rows, k2, w, _int(1), w_row, x2, p2)
            slope = _broadcast(builder, slope)
            for r, row in enumerate(rows):
                for v, value in enumerate(row):
                    offset = builder.add(builder.mul(_int(r), p), _int(v * LANES))
                    _store(builder, _leaky(builder, value, value, slope), y, offset)
            return context.get_dummy_value()

        return signature, generate

    return block


def backward_block(n_rows, n_vectors):
    """Make ``f(w, wo, w_row, k, d, do, h, ho, slope, y, yo, p)``: the adjoint of `dense_block`.

    y[r, lanes] = (h[r, lanes] > 0 ? 1 : slope) * sum_k w[r, k] d[k, lanes]; d, h and y share the
    row pitch p.
    """

    @intrinsic
    def block(typing, w, wo, w_row, k, d, do, h, ho, slope, y, yo, p):
        i = types.int64
        signature = types.void(w, i, i, i, d, i, h, i, types.float32, y, i, i)

        def generate(context, builder, signature, args):
            w, wo, w_row, k, d, do, h, ho, slope, y, yo, p = args
            kinds = signature.args
            w = _pointer(context, builder, kinds[0], w, wo)
            d = _pointer(context, builder, kinds[4], d, do)
            h = _pointer(context, builder, kinds[6], h, ho)
            y = _pointer(context, builder, kinds[9], y, yo)
            rows = [[_constant(0.0)] * n_vectors for _ in range(n_rows)]
            rows = _multiply_accumulate(builder, rows, k, w, w_row, _int(1), d, p)
            slope = _broadcast(builder, slope)
            for r, row in enumerate(rows):
                for v, value in enumerate(row):
                    offset = builder.add(builder.mul(_int(r), p), _int(v * LANES))
                    sign = _load(builder, h, offset)
                    _store(builder, _leaky(builder, sign, value, slope), y, offset)
            return context.get_dummy_value()

        return signature, generate

    return block


def product_block(n_rows, n_vectors):
    """Make ``f(k, a, ao, a_row, b, bo, b_row, y, yo, y_row)``.

    y[r, lanes] += sum_k a[r, k] b[k, lanes], with row pitches a_row, b_row, y_row.
    """

    @intrinsic
    def block(typing, k, a, ao, a_row, b, bo, b_row, y, yo, y_row):
        i = types.int64
        signature = types.void(i, a, i, i, b, i, i, y, i, i)

        def generate(context, builder, signature, args):
            k, a, ao, a_row, b, bo, b_row, y, yo, y_row = args
            kinds = signature.args
            a = _pointer(context, builder, kinds[1], a, ao)
            b = _pointer(context, builder, kinds[4], b, bo)
            y = _pointer(context, builder, kinds[7], y, yo)
            offsets = [
                [builder.add(builder.mul(_int(r), y_row), _int(v * LANES)) for v in range(n_vectors)]
                for r in range(n_rows)
            ]
            rows = [[_load(builder, y, offset) for offset in row] for row in offsets]
            rows = _multiply_accumulate(builder, rows, k, a, a_row, _int(1), b, b_row)
            for row, places in zip(rows, offsets, strict=True):
                for value, offset in zip(row, places, strict=True):
                    _store(builder, value, y, offset)
            return context.get_dummy_value()

        return signature, generate

    return block


@intrinsic
def transpose_block(typing, x, xo, x_row, y, yo, y_row):
    """y[c, r] = x[r, c] for a block of 16 x 16 numbers with row pitches x_row and y_row."""
    i = types.int64
    signature = types.void(x, i, i, y, i, i)

    def generate(context, builder, signature, args):
        x, xo, x_row, y, yo, y_row = args
        x = _pointer(context, builder, signature.args[0], x, xo)
        y = _pointer(context, builder, signature.args[3], y, yo)
        rows = [_load(builder, x, builder.mul(_int(r), x_row)) for r in range(LANES)]
        # Exchange the off-diagonal halves of ever smaller squares: 8, 4, 2, 1.
        half = LANES // 2
        while half:
            low = [c if not c & half else c - half + LANES for c in range(LANES)]
            high = [c + half if not c & half else c + LANES for c in range(LANES)]
            for r in range(LANES):
                if not r & half:
                    a, b = rows[r], rows[r + half]
                    rows[r] = _shuffle(builder, a, b, low)
                    rows[r + half] = _shuffle(builder, a, b, high)
            half //= 2
        for r in range(LANES):
            _store(builder, rows[r], y, builder.mul(_int(r), y_row))
        return context.get_dummy_value()

    return signature, generate
