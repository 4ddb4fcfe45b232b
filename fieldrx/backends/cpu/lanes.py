"""Complex arithmetic with one source in every SIMD lane, and FFT butterflies of radix 2, 3, 4 and 5.

In memory an element is the complex values of all sources at one point, real parts first: 8 or 16 numbers and
as many again.  `lanes` is a tuple of that length, known to the compiler; its numbers are not read.  Vectors
always have 16 lanes: 8 sources leave room for two points, of two rows or two columns, in a vector.  `gather`
and `scatter` bring such elements into lines of full ones (16 real parts, 16 imaginary), on which all else
works.  Offsets and strides count float32; `apart` is the distance of the points that share a vector.

Numba's disk cache of a function does not notice an edit in this file: after one, remove ``__pycache__``.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

import math

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fieldrx.backends.cpu.simd import LANES, integer, pointer_to

ELEMENT = 2 * LANES  # float32 of an element of a line
_FLOAT, _BITS, _INDEX = ir.FloatType(), ir.IntType(32), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_OFFSET = types.int64


class _Emitter:
    """Emits vector instructions; a complex value is a pair of IR vectors."""

    def __init__(self, context, builder):
        self.context, self.builder = context, builder

    def pointer(self, array_type, array):
        return pointer_to(self.context, self.builder, array_type, array, integer(0))

    # ---- memory ----

    def _address(self, pointer, offset, lanes=LANES):
        place = self.builder.gep(pointer, [offset])
        return self.builder.bitcast(place, ir.VectorType(_FLOAT, lanes).as_pointer())

    def load_real(self, pointer, offset):
        return self.builder.load(self._address(pointer, offset), align=4)

    def load(self, pointer, offset):
        second = self.builder.add(offset, integer(LANES))
        return self.load_real(pointer, offset), self.load_real(pointer, second)

    def store(self, value, pointer, offset):
        self.builder.store(value[0], self._address(pointer, offset), align=4)
        second = self.builder.add(offset, integer(LANES))
        self.builder.store(value[1], self._address(pointer, second), align=4)

    def scalar(self, pointer, offset):
        """One number from memory, in all lanes."""
        return self.splat(self.builder.load(self.builder.gep(pointer, [offset])))

    def complex_scalar(self, pointer, offset, conjugate=False):
        imaginary = self.scalar(pointer, self.builder.add(offset, integer(1)))
        if conjugate:
            imaginary = self.builder.fneg(imaginary)
        return self.scalar(pointer, offset), imaginary

    def splat(self, number):
        return self.shared([number])

    # ---- several points in a vector ----

    def shuffle(self, a, b, places):
        kind = ir.VectorType(_INDEX, len(places))
        return self.builder.shuffle_vector(a, b, ir.Constant(kind, list(places)))

    def shared(self, numbers):
        """A vector whose lanes are split evenly among the numbers."""
        vector = undefined = ir.Constant(_VECTOR, ir.Undefined)
        for k, number in enumerate(numbers):
            vector = self.builder.insert_element(vector, number, ir.Constant(_INDEX, k))
        return self.shuffle(vector, undefined, [lane * len(numbers) // LANES for lane in range(LANES)])

    def shared_scalar(self, pointer, offset, apart, points):
        """One number from memory for every point."""
        places = self.places(offset, apart, points)
        return self.shared([self.builder.load(self.builder.gep(pointer, [o])) for o in places])

    def places(self, offset, apart, points):
        b = self.builder
        return [b.add(offset, b.mul(apart, integer(k))) for k in range(points)]

    def gather(self, pointer, offset, apart, points):
        """An element from memory, joined of several points."""
        n = LANES // points
        parts = []
        for half in (0, n):
            found = [
                self.builder.load(self._address(pointer, self.builder.add(o, integer(half)), n), align=4)
                for o in self.places(offset, apart, points)
            ]
            while len(found) > 1:
                every = range(2 * found[0].type.count)
                pairs = zip(found[::2], found[1::2], strict=True)
                found = [self.shuffle(a, b, every) for a, b in pairs]
            parts.append(found[0])
        return tuple(parts)

    def part(self, vector, k, points):
        """The lanes of point k."""
        n = LANES // points
        return self.shuffle(vector, vector, range(k * n, (k + 1) * n)) if points > 1 else vector

    def scatter(self, value, pointer, offset, apart, points):
        n = LANES // points
        for half, vector in zip((0, n), value, strict=True):
            for k, o in enumerate(self.places(offset, apart, points)):
                address = self._address(pointer, self.builder.add(o, integer(half)), n)
                self.builder.store(self.part(vector, k, points), address, align=4)

    def prefetch(self, pointer, offset):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), *[_BITS] * 3])
        fetch = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0i8")
        place = self.builder.bitcast(self.builder.gep(pointer, [offset]), ir.IntType(8).as_pointer())
        hints = [ir.Constant(_BITS, k) for k in (0, 2, 1)]  # to be read, soon, data
        self.builder.call(fetch, [place, *hints])

    def constant(self, number):
        return ir.Constant(_VECTOR, [number] * LANES)

    # ---- arithmetic ----

    def _call(self, name, result, arguments):
        kinds = [a.type for a in arguments]
        function = ir.FunctionType(result, kinds)
        name = f"{name}.v{LANES}f32"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, function, name), arguments
        )

    def fma(self, a, b, c):
        return self._call("llvm.fma", _VECTOR, [a, b, c])

    def add(self, a, b):
        return self.builder.fadd(a[0], b[0]), self.builder.fadd(a[1], b[1])

    def sub(self, a, b):
        return self.builder.fsub(a[0], b[0]), self.builder.fsub(a[1], b[1])

    def mul(self, a, b):
        f = self.builder
        return (self.fma(a[0], b[0], f.fneg(f.fmul(a[1], b[1]))), self.fma(a[0], b[1], f.fmul(a[1], b[0])))

    def scale(self, number, a):
        """A real vector or constant times a complex value."""
        number = self.constant(number) if isinstance(number, float) else number
        return self.builder.fmul(number, a[0]), self.builder.fmul(number, a[1])

    def mul_add(self, number, a, b):
        """A real vector or constant times a, plus b."""
        number = self.constant(number) if isinstance(number, float) else number
        return self.fma(number, a[0], b[0]), self.fma(number, a[1], b[1])

    def turn(self, a, sign):
        """i a for sign +1, -i a for -1."""
        if sign > 0:
            return self.builder.fneg(a[1]), a[0]
        return a[1], self.builder.fneg(a[0])

    def polynomial(self, x, coefficients):
        total = self.constant(coefficients[0])
        for c in coefficients[1:]:
            total = self.fma(total, x, self.constant(c))
        return total

    def cis(self, angle):
        """exp(i angle) to 4e-7; the angle in radians, of a few turns at most."""
        f = self.builder
        turns = f.fmul(angle, self.constant(0.5 / math.pi))
        t = f.fsub(turns, self._call("llvm.rint", _VECTOR, [turns]))
        q = f.fmul(t, t)
        # Minimax fits of sin(pi t) / t and cos(pi t) on |t| <= 1/2; then the angle is doubled.
        s = f.fmul(t, self.polynomial(q, [0.07722012, -0.59804517, 2.55003138, -5.16770688, 3.14159258]))
        c = self.polynomial(q, [-0.0244207, 0.23495392, -1.3352161, 4.0587096, -4.93480216, 1.0])
        double = f.fmul(self.constant(-2.0), s)
        return self.fma(double, s, self.constant(1.0)), f.fneg(f.fmul(double, c))

    def exp(self, x):
        """exp(x) to 3e-7 relative, for x from -80 to 80."""
        f, integers = self.builder, ir.VectorType(_BITS, LANES)
        y = f.fmul(x, self.constant(1.4426950408889634))
        whole = self._call("llvm.rint", _VECTOR, [y])
        part = f.fsub(y, whole)
        series = [math.log(2) ** k / math.factorial(k) for k in range(7, -1, -1)]
        shift = ir.Constant(integers, [23] * LANES)
        power = f.shl(f.fptosi(whole, integers), shift)
        value = f.bitcast(self.polynomial(part, series), integers)
        return f.bitcast(f.add(value, power), _VECTOR)


def _emit(operands, body, result=types.void):
    """Signature and code of an intrinsic: `body(emitter, *values)`, arrays as pointers."""
    signature = result(*operands)

    def generate(context, builder, signature, args):
        emitter = _Emitter(context, builder)
        values = [
            emitter.pointer(kind, value) if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        ]
        out = body(emitter, *values)
        return context.get_dummy_value() if out is None else out

    return signature, generate


def _dft(e, x, sign):
    """Short discrete Fourier transform, exp(sign 2 pi i p q / r)."""
    r = len(x)
    if r == 2:
        return [e.add(*x), e.sub(*x)]
    if r == 3:
        total, turned = e.add(x[1], x[2]), e.turn(e.scale(math.sqrt(0.75), e.sub(x[1], x[2])), sign)
        middle = e.mul_add(-0.5, total, x[0])
        return [e.add(x[0], total), e.add(middle, turned), e.sub(middle, turned)]
    if r == 4:
        a, b, c = e.add(x[0], x[2]), e.sub(x[0], x[2]), e.add(x[1], x[3])
        turned = e.turn(e.sub(x[1], x[3]), sign)
        return [e.add(a, c), e.add(b, turned), e.sub(a, c), e.sub(b, turned)]
    c1, c2 = math.cos(0.4 * math.pi), math.cos(0.8 * math.pi)
    s1, s2 = math.sin(0.4 * math.pi), math.sin(0.8 * math.pi)
    a, b, c, d = e.add(x[1], x[4]), e.add(x[2], x[3]), e.sub(x[1], x[4]), e.sub(x[2], x[3])
    m1 = e.mul_add(c2, b, e.mul_add(c1, a, x[0]))
    m2 = e.mul_add(c1, b, e.mul_add(c2, a, x[0]))
    n1 = e.turn(e.mul_add(s2, d, e.scale(s1, c)), sign)
    n2 = e.turn(e.mul_add(-s1, d, e.scale(s2, c)), sign)
    return [e.add(x[0], e.add(a, b)), e.add(m1, n1), e.add(m2, n2), e.sub(m2, n2), e.sub(m1, n1)]


@intrinsic(prefer_literal=True)
def butterfly(typing, radix, inverse, twiddled, line, at, apart, w, wo):
    """One butterfly of a decimation-in-frequency FFT, or (inverse) of its decimation-in-time inverse.

    Its legs lie `apart` from each other; w holds the complex factors of legs 1 ... radix - 1.
    radix, inverse and twiddled are literals.
    """
    r, back, factors = radix.literal_value, bool(inverse.literal_value), bool(twiddled.literal_value)
    i = _OFFSET

    def body(e, _radix, _inverse, _twiddled, line, at, apart, w, wo):
        places = e.places(at, apart, r)
        x = [e.load(line, place) for place in places]
        legs = range(1, r) if factors else ()
        factor = [e.complex_scalar(w, e.builder.add(wo, integer(2 * p - 2)), back) for p in legs]
        if back and factors:
            x = [x[0], *(e.mul(v, f) for v, f in zip(x[1:], factor, strict=True))]
        x = _dft(e, x, 1 if back else -1)
        if factors and not back:
            x = [x[0], *(e.mul(v, f) for v, f in zip(x[1:], factor, strict=True))]
        for value, place in zip(x, places, strict=True):
            e.store(value, line, place)

    return _emit((radix, inverse, twiddled, line, i, i, w, i), body)


@intrinsic(prefer_literal=True)
def gather(typing, lanes, src, so, apart, ahead, line, at):
    """An element of a line from memory; what lies `ahead` of it is fetched for later (0: nothing)."""
    points = LANES // lanes.count

    def body(e, _lanes, src, so, apart, ahead, line, at):
        b = e.builder
        with b.if_then(b.icmp_signed("!=", ahead, integer(0))):
            for place in e.places(b.add(so, ahead), apart, points):
                for line_of_cache in range(0, 2 * lanes.count, 16):
                    e.prefetch(src, b.add(place, integer(line_of_cache)))
        e.store(e.gather(src, so, apart, points), line, at)

    return _emit((lanes, src, _OFFSET, _OFFSET, _OFFSET, line, _OFFSET), body)


@intrinsic(prefer_literal=True)
def scatter(typing, lanes, line, at, dst, do, apart):
    """An element of a line to memory."""
    points = LANES // lanes.count

    def body(e, _lanes, line, at, dst, do, apart):
        e.scatter(e.load(line, at), dst, do, apart, points)

    return _emit((lanes, line, _OFFSET, dst, _OFFSET, _OFFSET), body)


@intrinsic(prefer_literal=True)
def copy(typing, src, so, dst, do):
    """dst = src."""
    return _emit((src, _OFFSET, dst, _OFFSET), lambda e, src, so, dst, do: e.store(e.load(src, so), dst, do))


@intrinsic(prefer_literal=True)
def multiply(typing, a, ao, conjugate, h, ho):
    """a *= h, or conj(h) where the literal `conjugate` says so; a different factor in every lane."""
    conj = bool(conjugate.literal_value)

    def body(e, a, ao, _conjugate, h, ho):
        real, imaginary = e.load(h, ho)
        e.store(e.mul(e.load(a, ao), (real, e.builder.fneg(imaginary) if conj else imaginary)), a, ao)

    return _emit((a, _OFFSET, conjugate, h, _OFFSET), body)


@intrinsic(prefer_literal=True)
def potential(typing, lanes, a, ao, conjugate, q, qo, apart, factor):
    """a *= factor q, or factor conj(q); one complex number for every point."""
    conj, points = bool(conjugate.literal_value), LANES // lanes.count

    def body(e, _lanes, a, ao, _conjugate, q, qo, apart, factor):
        real = e.shared_scalar(q, qo, apart, points)
        imaginary = e.shared_scalar(q, e.builder.add(qo, integer(1)), apart, points)
        value = e.scale(e.splat(factor), (real, e.builder.fneg(imaginary) if conj else imaginary))
        e.store(e.mul(e.load(a, ao), value), a, ao)

    return _emit((lanes, a, _OFFSET, conjugate, q, _OFFSET, _OFFSET, types.float32), body)


@intrinsic(prefer_literal=True)
def screen(typing, lanes, a, ao, conjugate, absorbing, q, qo, apart, g):
    """a *= exp(i g q), or its conjugate; g a number for every lane, q one complex number for every point.

    Without the literal `absorbing` the imaginary part of q is not read.
    """
    conj, lossy = bool(conjugate.literal_value), bool(absorbing.literal_value)
    points = LANES // lanes.count

    def body(e, _lanes, a, ao, _conjugate, _absorbing, q, qo, apart, g):
        b = e.builder
        length = e.load_real(g, integer(0))
        angle = b.fmul(length, e.shared_scalar(q, qo, apart, points))
        wave = e.cis(b.fneg(angle) if conj else angle)
        if lossy:
            loss = b.fmul(length, e.shared_scalar(q, b.add(qo, integer(1)), apart, points))
            wave = e.scale(e.exp(b.fneg(loss)), wave)
        e.store(e.mul(e.load(a, ao), wave), a, ao)

    return _emit((lanes, a, _OFFSET, conjugate, absorbing, q, _OFFSET, _OFFSET, g), body)


@intrinsic(prefer_literal=True)
def add_inner(typing, lanes, a, ao, a_apart, b, bo, g, out, oo, apart):
    """out += sum over a point's lanes of g conj(a) b; a and out in memory, b in a line."""
    points = LANES // lanes.count

    def body(e, _lanes, a, ao, a_apart, b, bo, g, out, oo, apart):
        f = e.builder
        x, y, weight = e.gather(a, ao, a_apart, points), e.load(b, bo), e.load_real(g, integer(0))
        real = f.fmul(weight, e.fma(x[0], y[0], f.fmul(x[1], y[1])))
        imaginary = f.fmul(weight, e.fma(x[0], y[1], f.fneg(f.fmul(x[1], y[0]))))
        n = LANES // points
        kind = ir.FunctionType(_FLOAT, [_FLOAT, ir.VectorType(_FLOAT, n)])
        reduce = cgutils.get_or_insert_function(f.module, kind, f"llvm.vector.reduce.fadd.v{n}f32")
        for k, place in enumerate(e.places(oo, apart, points)):
            for vector, offset in ((real, place), (imaginary, f.add(place, integer(1)))):
                at = f.gep(out, [offset])
                lanes_of_k = e.part(vector, k, points)
                f.store(f.call(reduce, [f.load(at), lanes_of_k], fastmath=("reassoc",)), at)

    return _emit((lanes, a, _OFFSET, _OFFSET, b, _OFFSET, g, out, _OFFSET, _OFFSET), body)


@intrinsic(prefer_literal=True)
def kick(typing, a, ao, b, bo):
    """a -= b."""
    return _emit((a, _OFFSET, b, _OFFSET),
                 lambda e, a, ao, b, bo: e.store(e.sub(e.load(a, ao), e.load(b, bo)), a, ao))


@intrinsic(prefer_literal=True)
def rotate(typing, u, p, at, dst, do, tables, to, sign):
    """(u, p) <- (c u + sign s p, c p - sign t u), and dst = u; the tables c, s, t follow each other."""

    def body(e, u, p, at, dst, do, tables, to, sign):
        b = e.builder
        c, s, t = (e.load_real(tables, b.add(to, integer(k * LANES))) for k in range(3))
        sign = e.splat(sign)
        s, t = b.fmul(sign, s), b.fneg(b.fmul(sign, t))
        old_u, old_p = e.load(u, at), e.load(p, at)
        new = e.mul_add(s, old_p, e.scale(c, old_u))
        e.store(new, u, at)
        e.store(new, dst, do)
        e.store(e.mul_add(t, old_u, e.scale(c, old_p)), p, at)

    return _emit((u, p, _OFFSET, dst, _OFFSET, tables, _OFFSET, types.float32), body)


@intrinsic(prefer_literal=True)
def add_scaled(typing, a, ao, r, ro, b, bo):
    """a += r b, with a real number r for every lane."""

    def body(e, a, ao, r, ro, b, bo):
        e.store(e.mul_add(e.load_real(r, ro), e.load(b, bo), e.load(a, ao)), a, ao)

    return _emit((a, _OFFSET, r, _OFFSET, b, _OFFSET), body)


@intrinsic(prefer_literal=True)
def scaled(typing, r, ro, a, ao, dst, do):
    """dst = r a, with a real number r for every lane."""

    def body(e, r, ro, a, ao, dst, do):
        e.store(e.scale(e.load_real(r, ro), e.load(a, ao)), dst, do)

    return _emit((r, _OFFSET, a, _OFFSET, dst, _OFFSET), body)
