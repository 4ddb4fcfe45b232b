"use strict";
// The table of a compressed field: the entropy code and the cosines of blocks, as fieldrx/backends/cpu/entropy.py
// and fieldrx/field/coded.py write them.

const ACTIVITY = [1, 2, 3, 4, 5, 6, 9, 13, 18, 25, 35, 50, 70, 100, 140, 200, 400, 800, 1600, 3200];
const RUN = 18, LONGEST = 25, MOST_SEEN = 127; // as there

class RangeDecoder {
  constructor(bytes) {
    this.bytes = bytes;
    this.place = this.code = 0;
    this.range = 0xffffffff;
    for (let i = 0; i < 5; i++) this.next();
    this.models = new Int32Array((ACTIVITY.length + 1) * (RUN + LONGEST) * 3);
  }

  /** Forget what was learnt. */
  reset() {
    for (let i = 0; i < this.models.length; i += 3) {
      this.models[i] = this.models[i + 1] = 1 << 15;
      this.models[i + 2] = 0;
    }
  }

  next() {
    this.code = this.code * 256 + (this.place < this.bytes.length ? this.bytes[this.place] : 0);
    this.place++;
  }

  take(bound) {
    const bit = this.code < bound;
    if (bit) this.range = bound;
    else {
      this.code -= bound;
      this.range -= bound;
    }
    while (this.range < 1 << 24) {
      this.range *= 256;
      this.next();
    }
    return bit;
  }

  even() {
    return this.take(this.range >>> 1);
  }

  /** A decision by the model that begins at `at`: two probabilities, of 65536, and decisions seen. */
  learnt(at) {
    const { models } = this;
    const likely = Math.min(Math.max((models[at] + models[at + 1]) >> 1, 64), 65536 - 64) >> 1;
    const bit = this.take((this.range >>> 15) * likely);
    const target = bit ? 65536 : 0, rate = 32 - Math.clz32(models[at + 2] + 1);
    models[at] += (target - models[at]) >> Math.min(rate, 5);
    models[at + 1] += (target - models[at + 1]) >> Math.min(rate, 8);
    if (models[at + 2] < MOST_SEEN) models[at + 2]++;
    return bit;
  }

  symbol(context) {
    const first = context * (RUN + LONGEST) * 3;
    let size = 0;
    while (size < RUN && this.learnt(first + 3 * size)) size++;
    if (size === RUN) {
      let bits = 0, rest = 1;
      while (bits < LONGEST - 1 && this.learnt(first + 3 * (RUN + bits))) bits++;
      for (let i = 0; i < bits; i++) rest = 2 * rest + (this.even() ? 1 : 0);
      size += rest - 1;
    }
    return size && this.even() ? -size : size;
  }
}

/** One output's symbols (fz, fy, fx, gz, gy, gx), of blocks of (bz, by, bx) voxels. */
function decodeSymbols(decoder, [bz, by, bx], [gz, gy, gx]) {
  const blocks = gz * gy * gx, fx = blocks, fy = bx * fx, fz = by * fy;
  const q = new Int32Array(bz * fz), size = (at) => Math.abs(q[at]);
  decoder.reset();
  let at = 0;
  for (let a = 0; a < bz; a++)
    for (let b = 0; b < by; b++)
      for (let c = 0; c < bx; c++)
        for (let i = 0; i < gz; i++)
          for (let j = 0; j < gy; j++)
            for (let k = 0; k < gx; k++, at++) {
              let lower = 0, before = 0;
              if (a > 0) lower += 2 * size(at - fz);
              if (b > 0) lower += 2 * size(at - fy) + (c > 0 ? size(at - fy - fx) : 0);
              if (b > 1) lower += size(at - 2 * fy);
              if (c > 0) lower += 2 * size(at - fx);
              if (c > 1) lower += size(at - 2 * fx);
              if (i > 0) before += size(at - gy * gx);
              if (j > 0) before += 2 * size(at - gx);
              if (k > 0) before += 2 * size(at - 1);
              const activity = (lower + 2 * before) >> 1;
              let context = 0;
              while (context < ACTIVITY.length && activity >= ACTIVITY[context]) context++;
              q[at] = decoder.symbol(context);
            }
  return q;
}

/** cosines[f * n + i]: frequency f of n at voxel i (DCT-II, orthonormal). */
function cosinesOf(n) {
  const cosines = new Float64Array(n * n);
  for (let f = 0; f < n; f++)
    for (let i = 0; i < n; i++)
      cosines[f * n + i] = Math.sqrt((f ? 2 : 1) / n) * Math.cos((Math.PI * (i + 0.5) * f) / n);
  return cosines;
}

/** Sums over the frequencies along one axis of a block: (outer, n, inner), into `to`, which is returned. */
function alongAxis(from, to, cosines, n, outer, inner) {
  to.fill(0);
  for (let o = 0; o < outer; o++)
    for (let f = 0; f < n; f++)
      for (let k = 0; k < inner; k++) {
        const value = from[(o * n + f) * inner + k];
        if (value === 0) continue;
        for (let i = 0, at = o * n * inner + k; i < n; i++, at += inner) to[at] += cosines[f * n + i] * value;
      }
  return to;
}

/** The grid's table, (z, y, x, output): voxels, and one node more beyond each face, as its neighbour. */
function decodeLattice(bytes, { shape, block, counts, before, outputs, step, relative_steps }) {
  const decoder = new RangeDecoder(bytes), tables = block.map(cosinesOf);
  const [bz, by, bx] = block, size = bz * by * bx, blocks = relative_steps.length;
  const nodes = shape.map((n) => n + 2), table = new Float32Array(nodes[0] * nodes[1] * nodes[2] * outputs);
  const whole = counts.map((g, k) => g * block[k]);
  let values = new Float64Array(size), other = new Float64Array(size);
  for (let output = 0; output < outputs; output++) {
    const symbols = decodeSymbols(decoder, block, counts), voxels = new Float32Array(size * blocks);
    for (let g = 0; g < blocks; g++) {
      const scale = step * relative_steps[g];
      for (let f = 0; f < size; f++) values[f] = symbols[f * blocks + g] * scale;
      [values, other] = [alongAxis(values, other, tables[2], bx, bz * by, 1), values];
      [values, other] = [alongAxis(values, other, tables[1], by, bz, bx), values];
      [values, other] = [alongAxis(values, other, tables[0], bz, 1, by * bx), values];
      const x0 = (g % counts[2]) * bx, y0 = (Math.floor(g / counts[2]) % counts[1]) * by;
      const z0 = Math.floor(g / (counts[2] * counts[1])) * bz;
      for (let z = 0, i = 0; z < bz; z++)
        for (let y = 0; y < by; y++)
          for (let x = 0, at = ((z0 + z) * whole[1] + y0 + y) * whole[2] + x0; x < bx; x++)
            voxels[at++] = values[i++];
    }
    const within = (node, axis) => Math.min(Math.max(node - 1, 0), shape[axis] - 1) + before[axis];
    for (let z = 0, at = output; z < nodes[0]; z++)
      for (let y = 0; y < nodes[1]; y++) {
        const row = (within(z, 0) * whole[1] + within(y, 1)) * whole[2];
        for (let x = 0; x < nodes[2]; x++, at += outputs) table[at] = voxels[row + within(x, 2)];
      }
  }
  return table;
}
