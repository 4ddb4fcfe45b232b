"use strict";
// The network in plain JavaScript: the reference of the page, and its engine where there is no WebGL2.

const BLOCK = 16; // points that travel through the layers together

class JsEngine {
  constructor(field) {
    this.name = "JavaScript";
    this.least = BLOCK; // points that are worth an evaluation
    this.points = [0, 1, 2].map(() => new Float64Array(BLOCK));
    this.load(field);
  }

  /** Takes the weights of a field. */
  load(field) {
    this.field = field;
    this.features = new Float64Array(field.nFeatures * BLOCK);
    this.layers = field.layers.map((layer) => this.packed(layer));
    if (field.encoding.kind === "hash") this.table = field.table();
  }

  /** A layer with its neurons in quads: the weights of a quad lie together, input by input. */
  packed({ hidden, features, width, weight, bias }) {
    const quads = Math.ceil(width / 4), rows = hidden + features;
    const layer = { hidden, features, quads, bias: new Float64Array(4 * quads) };
    layer.bias.set(bias);
    layer.weight = new Float64Array(4 * quads * rows);
    for (let row = 0; row < rows; row++)
      for (let j = 0; j < width; j++)
        layer.weight[((j >> 2) * rows + row) * 4 + (j & 3)] = weight[row * width + j];
    layer.out = new Float64Array(4 * quads * BLOCK);
    return layer;
  }

  /** One output of the network, scaled to contrast, at all points of a lattice: Float32Array. */
  evaluate(lattice, channel = 0) {
    const out = new Float32Array(lattice.size);
    for (let first = 0; first < out.length; first += BLOCK) {
      const n = Math.min(BLOCK, out.length - first);
      this.place(lattice, first, n);
      if (this.table) this.encodeHash(n);
      else this.encodeWaves(n);
      const result = this.forward();
      for (let i = 0; i < n; i++) out[first + i] = result[channel * BLOCK + i];
    }
    return out;
  }

  place({ origin, steps, counts }, first, n) {
    for (let i = 0; i < n; i++) {
      const k = (first + i) % counts[2], ray = Math.floor((first + i) / counts[2]);
      const row = Math.floor(ray / counts[1]), column = ray % counts[1];
      for (let axis = 0; axis < 3; axis++)
        this.points[axis][i] =
          origin[axis] + row * steps[0][axis] + column * steps[1][axis] + k * steps[2][axis];
    }
  }

  encodeWaves(n) {
    const { frequencies, sin_feature, cos_feature } = this.field.encoding;
    const [z, y, x] = this.points;
    for (let wave = 0; wave < frequencies.length; wave++) {
      const [fz, fy, fx] = frequencies[wave], s = sin_feature[wave] * BLOCK, c = cos_feature[wave] * BLOCK;
      for (let i = 0; i < n; i++) {
        const turns = fz * z[i] + fy * y[i] + fx * x[i];
        const angle = 2 * Math.PI * (turns - Math.round(turns));
        this.features[s + i] = Math.sin(angle);
        this.features[c + i] = Math.cos(angle);
      }
    }
  }

  encodeHash(n) {
    const { levels, features_per_level: perLevel, smooth } = this.field.encoding;
    const { table, points, features } = this;
    const cell = [0, 0, 0], weight = [0, 0, 0];
    levels.forEach((level, l) => {
      const [, ny, nx] = level.resolution, mask = level.nodes - 1;
      for (let i = 0; i < n; i++) {
        for (let axis = 0; axis < 3; axis++) {
          const last = level.resolution[axis] - 1;
          const at = Math.min(Math.max((points[axis][i] + 1) * 0.5 * last, 0), last);
          cell[axis] = Math.min(Math.floor(at), last - 1);
          const w = at - cell[axis];
          weight[axis] = smooth ? w * w * (3 - 2 * w) : w;
        }
        for (let f = 0; f < perLevel; f++) features[(l * perLevel + f) * BLOCK + i] = 0;
        for (let corner = 0; corner < 8; corner++) {
          const cz = corner >> 2, cy = (corner >> 1) & 1, cx = corner & 1;
          const w = (cz ? weight[0] : 1 - weight[0]) * (cy ? weight[1] : 1 - weight[1]) *
            (cx ? weight[2] : 1 - weight[2]);
          const z = cell[0] + cz, y = cell[1] + cy, x = cell[2] + cx;
          const index = level.dense
            ? (z * ny + y) * nx + x
            : (x ^ Math.imul(y, 2654435761) ^ Math.imul(z, 805459861)) & mask;
          const at = (level.first_node + index) * perLevel;
          for (let f = 0; f < perLevel; f++) features[(l * perLevel + f) * BLOCK + i] += w * table[at + f];
        }
      }
    });
  }

  forward() {
    const { activation, slope, omega, depth } = this.field.network;
    let before = this.features;
    this.layers.forEach((layer, l) => {
      const { out, hidden, features, quads, bias, weight } = layer;
      for (let j = 0; j < bias.length; j++) out.fill(bias[j], j * BLOCK, (j + 1) * BLOCK);
      addProduct(weight, hidden + features, 0, quads, before, hidden, out);
      addProduct(weight, hidden + features, hidden, quads, this.features, features, out);
      if (l < depth && activation === "sine")
        for (let i = 0; i < out.length; i++) out[i] = Math.sin(omega * out[i]);
      else if (l < depth) {
        const s = activation === "relu" ? 0 : slope;
        for (let i = 0; i < out.length; i++) if (out[i] < 0) out[i] *= s;
      }
      before = out;
    });
    return before;
  }
}

/** out[j, i] += sum over k of weight[first + k, j] x[k, i], for quads of neurons j and pairs of points i. */
function addProduct(weight, rows, first, quads, x, n, out) {
  for (let quad = 0; quad < quads; quad++) {
    const from = (quad * rows + first) * 4, to = 4 * quad * BLOCK;
    for (let i = 0; i < BLOCK; i += 2) {
      let a0 = 0, a1 = 0, b0 = 0, b1 = 0, c0 = 0, c1 = 0, d0 = 0, d1 = 0;
      for (let k = 0, w = from, at = i; k < n; k++, w += 4, at += BLOCK) {
        const x0 = x[at], x1 = x[at + 1];
        a0 += weight[w] * x0;
        a1 += weight[w] * x1;
        b0 += weight[w + 1] * x0;
        b1 += weight[w + 1] * x1;
        c0 += weight[w + 2] * x0;
        c1 += weight[w + 2] * x1;
        d0 += weight[w + 3] * x0;
        d1 += weight[w + 3] * x1;
      }
      out[to + i] += a0;
      out[to + i + 1] += a1;
      out[to + BLOCK + i] += b0;
      out[to + BLOCK + i + 1] += b1;
      out[to + 2 * BLOCK + i] += c0;
      out[to + 2 * BLOCK + i + 1] += c1;
      out[to + 3 * BLOCK + i] += d0;
      out[to + 3 * BLOCK + i + 1] += d1;
    }
  }
}
