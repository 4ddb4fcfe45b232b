"""Numba intrinsics for the inner loops, written as LLVM vector code.

The SIMD lane is the point: every matrix of activations is stored (row, point), one row per neuron
or feature, so that 16 neighbouring points form a vector.  LLVM splits the 16-wide vectors on
processors without AVX-512; the same code runs everywhere.

Numba's disk cache of a function does not notice an edit in this file: after one, remove
``__pycache__``.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
_FLOAT = ir.FloatType()
_INT = ir.IntType(64)
_INDEX = ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)


def integer(value):
    """A 64-bit constant."""
    return ir.Constant(_INT, value)


def _constant(value):
    return ir.Constant(_VECTOR, [value] * LANES)


def pointer_to(context, builder, array_type, array, offset):
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


def _intrinsic(builder, name, result, arguments):
    """An LLVM intrinsic for vectors, such as llvm.fma.v16f32."""
    kind = ir.FunctionType(result, arguments)
    return cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f32")


def _fma(builder):
    return _intrinsic(builder, "llvm.fma", _VECTOR, [_VECTOR] * 3)


def _loop(builder, block, count, step, update):
    """Emit ``for k in range(0, count, step): block = update(k, block)``; returns the last block.

    `block` is a list of rows of vectors, kept in registers.
    """
    before = builder.block
    body = builder.append_basic_block("multiply")
    after = builder.append_basic_block("multiplied")
    builder.cbranch(builder.icmp_signed(">", count, integer(0)), body, after)

    builder.position_at_end(body)
    k = builder.phi(_INT)
    running = [[builder.phi(_VECTOR) for _ in row] for row in block]
    updated = update(k, running)
    k_next = builder.add(k, integer(step))
    builder.cbranch(builder.icmp_signed("<", k_next, count), body, after)
    k.add_incoming(integer(0), before)
    k.add_incoming(k_next, body)

    builder.position_at_end(after)
    result = [[builder.phi(_VECTOR) for _ in row] for row in block]
    for olds, phis, news, finals in zip(block, running, updated, result, strict=True):
        for old, phi, new, final in zip(olds, phis, news, finals, strict=True):
            phi.add_incoming(old, before)
            phi.add_incoming(new, body)
            final.add_incoming(old, before)
            final.add_incoming(new, body)
    return result


def _multiply_accumulate(builder, block, count, a, a_row, a_column, b, b_row):
    """block[r] + sum_k a[r, k] b[k, lanes], with a[r, k] at a + r * a_row + k * a_column."""
    fma = _fma(builder)
    rows = [builder.mul(integer(r), a_row) for r in range(len(block))]

    def update(k, sums):
        b_k = builder.gep(b, [builder.mul(k, b_row)])
        vectors = [_load(builder, b_k, integer(v * LANES)) for v in range(len(block[0]))]
        a_k = builder.gep(a, [builder.mul(k, a_column)])
        new = []
        for row, at in zip(sums, rows, strict=True):
            scalar = _broadcast(builder, builder.load(builder.gep(a_k, [at])))
            new.append([builder.call(fma, [scalar, vector, total])
                        for vector, total in zip(vectors, row, strict=True)])
        return new

    return _loop(builder, block, count, 1, update)


def _accumulate_lanes(builder, block, count, a, a_row, b, b_row):
    """block[r][c] + sum_k a[r, k + lanes] b[c, k + lanes], k in steps of a vector."""
    fma = _fma(builder)
    rows = [builder.mul(integer(r), a_row) for r in range(len(block))]
    columns = [builder.mul(integer(c), b_row) for c in range(len(block[0]))]

    def update(k, sums):
        b_k = [_load(builder, b, builder.add(column, k)) for column in columns]
        new = []
        for row, at in zip(sums, rows, strict=True):
            a_k = _load(builder, a, builder.add(at, k))
            new.append([builder.call(fma, [a_k, vector, total])
                        for vector, total in zip(b_k, row, strict=True)])
        return new

    return _loop(builder, block, count, LANES, update)


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
            w = pointer_to(context, builder, kinds[0], w, wo)
            bias = pointer_to(context, builder, kinds[3], bias, bo)
            x1 = pointer_to(context, builder, kinds[6], x1, x1o)
            x2 = pointer_to(context, builder, kinds[11], x2, x2o)
            y = pointer_to(context, builder, kinds[15], y, yo)
            rows = []
            for r in range(n_rows):
                start = _broadcast(builder, builder.load(builder.gep(bias, [integer(r)])))
                rows.append([start] * n_vectors)
            rows = _multiply_accumulate(builder, rows, k1, w, integer(1), w_row, x1, p1)
            w = builder.gep(w, [builder.mul(w2, w_row)])
            rows = _multiply_accumulate(builder, rows, k2, w, integer(1), w_row, x2, p2)
            slope = _broadcast(builder, slope)
            for r, row in enumerate(rows):
                for v, value in enumerate(row):
                    offset = builder.add(builder.mul(integer(r), p), integer(v * LANES))
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
            w = pointer_to(context, builder, kinds[0], w, wo)
            d = pointer_to(context, builder, kinds[4], d, do)
            h = pointer_to(context, builder, kinds[6], h, ho)
            y = pointer_to(context, builder, kinds[9], y, yo)
            rows = [[_constant(0.0)] * n_vectors for _ in range(n_rows)]
            rows = _multiply_accumulate(builder, rows, k, w, w_row, integer(1), d, p)
            slope = _broadcast(builder, slope)
            for r, row in enumerate(rows):
                for v, value in enumerate(row):
                    offset = builder.add(builder.mul(integer(r), p), integer(v * LANES))
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
            a = pointer_to(context, builder, kinds[1], a, ao)
            b = pointer_to(context, builder, kinds[4], b, bo)
            y = pointer_to(context, builder, kinds[7], y, yo)
            offsets = [
                [builder.add(builder.mul(integer(r), y_row), integer(v * LANES)) for v in range(n_vectors)]
                for r in range(n_rows)
            ]
            rows = [[_load(builder, y, offset) for offset in row] for row in offsets]
            rows = _multiply_accumulate(builder, rows, k, a, a_row, integer(1), b, b_row)
            for row, places in zip(rows, offsets, strict=True):
                for value, offset in zip(row, places, strict=True):
                    _store(builder, value, y, offset)
            return context.get_dummy_value()

        return signature, generate

    return block


def dot_block(n_rows, n_columns):
    """Make ``f(k, a, ao, a_row, b, bo, b_row, y, yo, y_row)``.

    y[r, c] += sum_i<k a[r, i] b[c, i], with row pitches a_row, b_row, y_row and k a multiple of 16:
    a product along the lanes, for so few columns that they would not fill a vector.
    """

    @intrinsic
    def block(typing, k, a, ao, a_row, b, bo, b_row, y, yo, y_row):
        i = types.int64
        signature = types.void(i, a, i, i, b, i, i, y, i, i)

        def generate(context, builder, signature, args):
            k, a, ao, a_row, b, bo, b_row, y, yo, y_row = args
            kinds = signature.args
            a = pointer_to(context, builder, kinds[1], a, ao)
            b = pointer_to(context, builder, kinds[4], b, bo)
            y = pointer_to(context, builder, kinds[7], y, yo)
            zeros = [[_constant(0.0)] * n_columns for _ in range(n_rows)]
            sums = _accumulate_lanes(builder, zeros, k, a, a_row, b, b_row)
            add = _intrinsic(builder, "llvm.vector.reduce.fadd", _FLOAT, [_FLOAT, _VECTOR])
            for r, row in enumerate(sums):
                for c, value in enumerate(row):
                    place = builder.gep(y, [builder.add(builder.mul(integer(r), y_row), integer(c))])
                    old = builder.load(place)
                    builder.store(builder.call(add, [old, value], fastmath=("reassoc",)), place)
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
        x = pointer_to(context, builder, signature.args[0], x, xo)
        y = pointer_to(context, builder, signature.args[3], y, yo)
        _transpose(builder, x, x_row, y, y_row)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def transpose_sum_block(typing, x, xo, x_row, y, yo, y_row, sums, so):
    """`transpose_block`, and sums[r] += sum_c x[r, c]."""
    i = types.int64
    signature = types.void(x, i, i, y, i, i, sums, i)

    def generate(context, builder, signature, args):
        x, xo, x_row, y, yo, y_row, sums, so = args
        x = pointer_to(context, builder, signature.args[0], x, xo)
        y = pointer_to(context, builder, signature.args[3], y, yo)
        sums = pointer_to(context, builder, signature.args[6], sums, so)
        total = _load(builder, sums, integer(0))
        for column in _transpose(builder, x, x_row, y, y_row):
            total = builder.fadd(total, column)
        _store(builder, total, sums, integer(0))
        return context.get_dummy_value()

    return signature, generate


def _transpose(builder, x, x_row, y, y_row):
    """Transpose 16 x 16 numbers; returns the vectors written."""
    rows = [_load(builder, x, builder.mul(integer(r), x_row)) for r in range(LANES)]
    # Exchange the off-diagonal quarters of ever smaller squares.
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
        _store(builder, rows[r], y, builder.mul(integer(r), y_row))
    return rows
