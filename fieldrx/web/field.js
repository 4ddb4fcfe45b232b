"use strict";
// The field: its weights as typed arrays, its domain, and lattices of points in it.

const AXES = ["z", "y", "x"];

/** Bytes of base64 text. */
function bytesOf(base64) {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The 65536 values of half precision. */
function halfValues() {
  const values = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    values[bits] = bits & 0x8000 ? -size : size;
  }
  return values;
}

/** The fields of a page, one a frame: each is unpacked when it is asked for. */
class Film {
  /** From the page's JSON header and its base64 weights, a line a frame. */
  constructor(header, base64) {
    this.lines = base64.trim().split("\n");
    this.header = header;
    this.times = (header.frames ?? []).map((frame) => frame.time); // in words; none of a single field
  }

  field(number) {
    return new Field({ ...this.header, ...this.header.frames?.[number] }, this.lines[number]);
  }
}

class Field {
  /** From the page's JSON header and base64 weights. */
  constructor(header, base64) {
    Object.assign(this, header);
    const bytes = bytesOf(base64.trim());
    let start = 0;
    if (this.encoding.kind === "hash") {
      const { levels, half, coded, features_per_level: perLevel } = this.encoding;
      const last = levels[levels.length - 1];
      const size = (last.first_node + last.nodes) * perLevel;
      if (coded) this.stored = decodeLattice(bytes.subarray(0, coded.bytes), coded);
      else this.stored = half ? new Uint16Array(bytes.buffer, 0, size) : new Float32Array(bytes.buffer, 0, size);
      start = 4 * Math.ceil((coded ? coded.bytes : size * (half ? 2 : 4)) / 4);
    }
    this.layers = this.unpackLayers(new Float32Array(bytes.buffer, start));
    this.nFeatures = this.network.n_inputs;
    this.size = this.region_um.map(([lo, hi]) => hi - lo);
    this.middle = this.region_um.map(([lo, hi]) => (lo + hi) / 2);
  }

  /** {hidden, features, width, weight, bias} per layer; the last one gives contrast. */
  unpackLayers(flat) {
    const { network, output_scale: scale } = this;
    let end = 0;
    return network.layer_shapes.map(([rows, width], layer) => {
      const hidden = layer ? network.width : 0;
      const weight = flat.slice(end, (end += rows * width));
      const bias = flat.slice(end, (end += width));
      if (layer === network.depth) {
        for (const values of [weight, bias]) values.forEach((v, i) => (values[i] = v * scale));
      }
      return { hidden, features: rows - hidden, width, weight, bias };
    });
  }

  /** The hash grid's table in single precision. */
  table() {
    const { levels, half, features_per_level: perLevel } = this.encoding;
    if (!half) return this.stored;
    const values = halfValues(), table = new Float32Array(this.stored.length);
    for (const level of levels) {
      const end = (level.first_node + level.nodes) * perLevel;
      for (let i = level.first_node * perLevel; i < end; i++) table[i] = values[this.stored[i]] * level.scale;
    }
    return table;
  }

  /** Index contrast (part 0) or absorption (part 1) at all points of a lattice, by an engine: Float32Array. */
  contrast(engine, lattice, part) {
    const values = engine.evaluate(lattice, part);
    if (this.quantity === "contrast") return values;
    const other = this.network.n_outputs > 1 ? engine.evaluate(lattice, 1 - part) : new Float32Array(lattice.size);
    const n0 = this.medium_index;
    return values.map((value, i) => {  // of n^2 - n0^2: n - n0 = (n^2 - n0^2) / (n + n0), n the root
      const [real, imaginary] = part ? [other[i], value] : [value, other[i]];
      const size = Math.hypot(n0 * n0 + real, imaginary);
      const re = Math.sqrt((size + n0 * n0 + real) / 2), im = imaginary / (2 * re);
      return part ? im : (real * (re + n0) + imaginary * im) / ((re + n0) ** 2 + im * im);
    });
  }

  /** Whether a point in um lies in the domain; outside it the index is that of the medium. */
  inside(point) {
    return point.every((v, k) => v >= this.bounds_um[k][0] && v <= this.bounds_um[k][1]);
  }

  /**
   * The points origin + i step0 + j step1 + k step2, given in um as (z, y, x), for all i, j, k below counts;
   * k counts fastest.  The lattice holds them normalised to -1 ... 1 over the domain.
   */
  lattice(origin, steps, counts) {
    const unit = this.bounds_um.map(([lo, hi]) => 2 / (hi - lo));
    return {
      origin: origin.map((v, k) => (v - this.bounds_um[k][0]) * unit[k] - 1),
      steps: steps.map((step) => step.map((v, k) => v * unit[k])),
      counts,
      size: counts[0] * counts[1] * counts[2],
    };
  }
}
