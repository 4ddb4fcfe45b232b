"""Complex arithmetic with one source in every SIMD lane, and FFT butterflies of radix 2, 3, 4 and 5.

An element is the complex values of all lanes, real parts first: 2 * len(lanes) float32.  `lanes` is a tuple
whose length, 8 or 16, is known to the compiler: it says how wide vectors are; its numbers are not read.
Offsets and strides count float32.

Numba's disk cache of a function does not notice an edit in this file: after one, remove ``__pycache__``.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

import math

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fieldrx.backends.cpu.simd import integer, pointer_to

_FLOAT, _BITS, _INDEX = ir.FloatType(), ir.IntType(32), ir.IntType(32)
_OFFSET = types.int64


class _Emitter:
    """Emits vector instructions; a complex value is a pair of IR vectors."""

    def __init__(self, context, builder, lanes):
        self.context, self.builder, self.count = context, builder, lanes.count
        self.vector = ir.VectorType(_FLOAT, lanes.count)

    def pointer(self, array_type, array):
        return pointer_to(self.context, self.builder, array_type, array, integer(0))

    # ---- memory ----

    def _address(self, pointer, offset):
        place = self.builder.gep(pointer, [offset])
        return self.builder.bitcast(place, self.vector.as_pointer())

    def load_real(self, pointer, offset):
        return self.builder.load(self._address(pointer, offset), align=4)

    def load(self, pointer, offset):
        second = self.builder.add(offset, integer(self.count))
        return self.load_real(pointer, offset), self.load_real(pointer, second)

    def store(self, value, pointer, offset):
        self.builder.store(value[0], self._address(pointer, offset), align=4)
        second = self.builder.add(offset, integer(self.count))
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
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.Constant(_INDEX, 0))
        zeros = ir.Constant(ir.VectorType(_INDEX, self.count), [0] * self.count)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def constant(self, number):
        return ir.Constant(self.vector, [number] * self.count)

    # ---- arithmetic ----

    def _call(self, name, result, arguments):
        kinds = [a.type for a in arguments]
        function = ir.FunctionType(result, kinds)
        name = f"{name}.v{self.count}f32"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, function, name), arguments
        )

    def fma(self, a, b, c):
        return self._call("llvm.fma", self.vector, [a, b, c])

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
        t = f.fsub(turns, self._call("llvm.rint", self.vector, [turns]))
        q = f.fmul(t, t)
        # Minimax fits of sin(pi t) / t and cos(pi t) on |t| <= 1/2; then the angle is doubled.
        s = f.fmul(t, self.polynomial(q, [0.07722012, -0.59804517, 2.55003138, -5.16770688, 3.14159258]))
        c = self.polynomial(q, [-0.0244207, 0.23495392, -1.3352161, 4.0587096, -4.93480216, 1.0])
        double = f.fmul(self.constant(-2.0), s)
        return self.fma(double, s, self.constant(1.0)), f.fneg(f.fmul(double, c))

    def exp(self, x):
        """exp(x) to 3e-7 relative, for x from -80 to 80."""
        f, integers = self.builder, ir.VectorType(_BITS, self.count)
        y = f.fmul(x, self.constant(1.4426950408889634))
        whole = self._call("llvm.rint", self.vector, [y])
        part = f.fsub(y, whole)
        series = [math.log(2) ** k / math.factorial(k) for k in range(7, -1, -1)]
        shift = ir.Constant(integers, [23] * self.count)
        power = f.shl(f.fptosi(whole, integers), shift)
        value = f.bitcast(self.polynomial(part, series), integers)
        return f.bitcast(f.add(value, power), self.vector)


def _emit(lanes, operands, body, result=types.void):
    """Signature and code of an intrinsic: `body(emitter, *values)`, arrays as pointers."""
    signature = result(lanes, *operands)

    def generate(context, builder, signature, args):
        emitter = _Emitter(context, builder, lanes)
        values = [
            emitter.pointer(kind, value) if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args[1:], args[1:], strict=True)
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
def butterfly(typing, lanes, radix, inverse, twiddled, src, so, ss, dst, do, ds, w, wo):
    """One butterfly of a decimation-in-frequency FFT, or (inverse) of its decimation-in-time inverse.

    Legs lie `ss` apart in src and `ds` apart in dst; w holds the complex factors of legs 1 ... radix - 1.
    radix, inverse and twiddled are literals.
    """
    r, back, factors = radix.literal_value, bool(inverse.literal_value), bool(twiddled.literal_value)
    i = _OFFSET

    def body(e, _radix, _inverse, _twiddled, src, so, ss, dst, do, ds, w, wo):
        b = e.builder
        x = [e.load(src, b.add(so, b.mul(ss, integer(q)))) for q in range(r)]
        legs = range(1, r) if factors else ()
        factor = [e.complex_scalar(w, b.add(wo, integer(2 * p - 2)), back) for p in legs]
        if back and factors:
            x = [x[0], *(e.mul(v, f) for v, f in zip(x[1:], factor, strict=True))]
        x = _dft(e, x, 1 if back else -1)
        if factors and not back:
            x = [x[0], *(e.mul(v, f) for v, f in zip(x[1:], factor, strict=True))]
        for q in range(r):
            e.store(x[q], dst, b.add(do, b.mul(ds, integer(q))))

    return _emit(lanes, (radix, inverse, twiddled, src, i, i, dst, i, i, w, i), body)


@intrinsic(prefer_literal=True)
def copy(typing, lanes, src, so, dst, do):
    """dst = src."""
    return _emit(lanes, (src, _OFFSET, dst, _OFFSET),
                 lambda e, src, so, dst, do: e.store(e.load(src, so), dst, do))


@intrinsic(prefer_literal=True)
def multiply(typing, lanes, a, ao, conjugate, h, ho):
    """a *= h, or conj(h) where the literal `conjugate` says so; a different factor in every lane."""
    conj = bool(conjugate.literal_value)

    def body(e, a, ao, _conjugate, h, ho):
        real, imaginary = e.load(h, ho)
        e.store(e.mul(e.load(a, ao), (real, e.builder.fneg(imaginary) if conj else imaginary)), a, ao)

    return _emit(lanes, (a, _OFFSET, conjugate, h, _OFFSET), body)


@intrinsic(prefer_literal=True)
def potential(typing, lanes, a, ao, conjugate, q, qo, factor):
    """a *= factor q, or factor conj(q); one complex number for all lanes."""
    conj = bool(conjugate.literal_value)

    def body(e, a, ao, _conjugate, q, qo, factor):
        value = e.scale(e.splat(factor), e.complex_scalar(q, qo, conj))
        e.store(e.mul(e.load(a, ao), value), a, ao)

    return _emit(lanes, (a, _OFFSET, conjugate, q, _OFFSET, types.float32), body)


@intrinsic(prefer_literal=True)
def screen(typing, lanes, a, ao, conjugate, absorbing, q, qo, g):
    """a *= exp(i g q), or its conjugate; g a number for every lane, q one complex number.

    Without the literal `absorbing` the imaginary part of q is not read.
    """
    conj, lossy = bool(conjugate.literal_value), bool(absorbing.literal_value)

    def body(e, a, ao, _conjugate, _absorbing, q, qo, g):
        b = e.builder
        length = e.load_real(g, integer(0))
        angle = b.fmul(length, e.scalar(q, qo))
        wave = e.cis(b.fneg(angle) if conj else angle)
        if lossy:
            loss = b.fmul(length, e.scalar(q, b.add(qo, integer(1))))
            wave = e.scale(e.exp(b.fneg(loss)), wave)
        e.store(e.mul(e.load(a, ao), wave), a, ao)

    return _emit(lanes, (a, _OFFSET, conjugate, absorbing, q, _OFFSET, g), body)


@intrinsic(prefer_literal=True)
def add_inner(typing, lanes, a, ao, b, bo, g, out, oo):
    """out += sum over lanes of g conj(a) b, a complex number."""

    def body(e, a, ao, b, bo, g, out, oo):
        f = e.builder
        x, y, weight = e.load(a, ao), e.load(b, bo), e.load_real(g, integer(0))
        real = e.fma(x[0], y[0], f.fmul(x[1], y[1]))
        imaginary = e.fma(x[0], y[1], f.fneg(f.fmul(x[1], y[0])))
        kind = ir.FunctionType(_FLOAT, [_FLOAT, e.vector])
        name = f"llvm.vector.reduce.fadd.v{e.count}f32"
        reduce = cgutils.get_or_insert_function(f.module, kind, name)
        for part, offset in ((real, oo), (imaginary, f.add(oo, integer(1)))):
            place = f.gep(out, [offset])
            total = f.call(reduce, [f.load(place), f.fmul(weight, part)], fastmath=("reassoc",))
            f.store(total, place)

    return _emit(lanes, (a, _OFFSET, b, _OFFSET, g, out, _OFFSET), body)


@intrinsic(prefer_literal=True)
def kick(typing, lanes, a, ao, b, bo):
    """a -= b."""
    return _emit(lanes, (a, _OFFSET, b, _OFFSET),
                 lambda e, a, ao, b, bo: e.store(e.sub(e.load(a, ao), e.load(b, bo)), a, ao))


@intrinsic(prefer_literal=True)
def rotate(typing, lanes, u, p, at, dst, do, tables, to, sign):
    """(u, p) <- (c u + sign s p, c p - sign t u), and dst = u; the tables c, s, t follow each other."""

    def body(e, u, p, at, dst, do, tables, to, sign):
        b = e.builder
        c, s, t = (e.load_real(tables, b.add(to, integer(k * e.count))) for k in range(3))
        sign = e.splat(sign)
        s, t = b.fmul(sign, s), b.fneg(b.fmul(sign, t))
        old_u, old_p = e.load(u, at), e.load(p, at)
        new = e.mul_add(s, old_p, e.scale(c, old_u))
        e.store(new, u, at)
        e.store(new, dst, do)
        e.store(e.mul_add(t, old_u, e.scale(c, old_p)), p, at)

    return _emit(lanes, (u, p, _OFFSET, dst, _OFFSET, tables, _OFFSET, types.float32), body)


@intrinsic(prefer_literal=True)
def add_scaled(typing, lanes, a, ao, r, ro, b, bo):
    """a += r b, with a real number r for every lane."""

    def body(e, a, ao, r, ro, b, bo):
        e.store(e.mul_add(e.load_real(r, ro), e.load(b, bo), e.load(a, ao)), a, ao)

    return _emit(lanes, (a, _OFFSET, r, _OFFSET, b, _OFFSET), body)


@intrinsic(prefer_literal=True)
def scaled(typing, lanes, r, ro, a, ao, dst, do):
    """dst = r a, with a real number r for every lane."""

    def body(e, r, ro, a, ao, dst, do):
        e.store(e.scale(e.load_real(r, ro), e.load(a, ao)), dst, do)

    return _emit(lanes, (r, _OFFSET, a, _OFFSET, dst, _OFFSET), body)
