"use strict";
// The network in WebGL2.  Each pass computes four features or neurons of four points per fragment, so
// shaders stay short whatever the width; activations pass through textures (see the .glsl files).

const TILE_WIDTH = 128; // fragments along a row of a tile
const TABLE_BITS = 11, TABLE_WIDTH = 1 << TABLE_BITS; // texels along a side of a layer of the table

class GlEngine {
  /** Throws an Error that says why when the browser cannot do it. */
  constructor(field) {
    this.field = field;
    this.name = "WebGL2";
    this.least = 4 * 4 * TILE_WIDTH; // points that are worth an evaluation
    this.canvas = document.createElement("canvas");
    const gl = (this.gl = this.canvas.getContext("webgl2", { antialias: false, depth: false, alpha: false }));
    if (!gl) throw new Error("this browser has no WebGL2");
    if (!gl.getExtension("EXT_color_buffer_float")) throw new Error("this graphics card cannot draw floats");
    this.quads = Math.ceil(field.nFeatures / 4);
    const widest = Math.max(this.quads, ...field.layers.map((layer) => Math.ceil(layer.width / 4)));
    const limit = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.rows = Math.min(32, Math.floor(limit / widest));
    if (this.rows < 1 || this.weightRows > limit || 4 * (2 * widest + 1) > limit)
      throw new Error("the network is too wide for this graphics card");
    gl.bindVertexArray(gl.createVertexArray());
    gl.disable(gl.BLEND);
    this.programs = {};
    this.buildEncoding();
    this.buildLayers();
    this.targets = [this.quads, widest, widest].map((quads) => this.target(quads));
    if (gl.getError() !== gl.NO_ERROR) throw new Error("the weights do not fit the graphics card");
  }

  /** Takes the weights of another field of the same encoding and network. */
  load(field) {
    this.field = field;
    for (const name of ["table", "levels", "waves", "weights"]) this.gl.deleteTexture(this[name] ?? null);
    this.buildEncoding();
    this.buildLayers();
  }

  /** Rows of the texture of all layers. */
  get weightRows() {
    return this.field.layers.reduce((sum, layer) => sum + Math.ceil(layer.width / 4), 0);
  }

  // --- programs and textures

  program(name, defines) {
    return (this.programs[name] ??= this.compiled(name, defines));
  }

  compiled(name, defines) {
    const { gl } = this;
    const text = (id) => document.getElementById(id).textContent.trim();
    const [version, ...points] = text("points.glsl").split("\n");
    const macros = Object.entries({ WIDTH: TILE_WIDTH, ...defines }).map(([k, v]) => `#define ${k} ${v}`);
    const program = gl.createProgram();
    const corner = `#version 300 es
      void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0, 1); }`;
    const fragment = [version, ...macros, ...points, text(name)].join("\n");
    for (const [type, source] of [[gl.VERTEX_SHADER, corner], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS))
        throw new Error(`${name}: ${gl.getShaderInfoLog(shader)}`);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS))
      throw new Error(`${name}: ${gl.getProgramInfoLog(program)}`);
    const uniforms = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const { name: uniform } = gl.getActiveUniform(program, i);
      uniforms[uniform] = gl.getUniformLocation(program, uniform);
    }
    return { program, uniforms };
  }

  texture(kind, bind) {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.bindTexture(kind, texture);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
      gl.texParameteri(kind, filter, gl.NEAREST);
    bind(gl);
    return texture;
  }

  texture2d(format, width, height, layout, type, data) {
    return this.texture(this.gl.TEXTURE_2D, (gl) =>
      gl.texImage2D(gl.TEXTURE_2D, 0, format, width, height, 0, layout, type, data));
  }

  /** Four float textures to draw into, for one tile of points and some quads of values. */
  target(quads) {
    const { gl } = this;
    const framebuffer = gl.createFramebuffer(), outputs = [0, 1, 2, 3].map((k) => gl.COLOR_ATTACHMENT0 + k);
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
    const textures = outputs.map((attachment) => {
      const texture = this.texture2d(gl.RGBA32F, TILE_WIDTH, this.rows * quads, gl.RGBA, gl.FLOAT, null);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, attachment, gl.TEXTURE_2D, texture, 0);
      return texture;
    });
    gl.drawBuffers(outputs);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE)
      throw new Error("this graphics card cannot draw into four float textures");
    return { framebuffer, textures };
  }

  buildEncoding() {
    const { encoding } = this.field;
    if (encoding.kind === "hash") return this.buildTable(encoding);
    const { gl } = this;
    const waves = new Float32Array(16 * this.quads);
    encoding.frequencies.forEach((frequency, wave) => {
      waves.set([...frequency, 0], 4 * encoding.sin_feature[wave]);
      waves.set([...frequency, 0.25], 4 * encoding.cos_feature[wave]);
    });
    if (4 * this.quads > gl.getParameter(gl.MAX_TEXTURE_SIZE)) throw new Error("too many features");
    this.waves = this.texture2d(gl.RGBA32F, 4 * this.quads, 1, gl.RGBA, gl.FLOAT, waves);
    this.encode = this.program("encode_waves.glsl", {});
  }

  buildTable({ levels, half, smooth, features_per_level: perLevel }) {
    const { gl } = this;
    const channels = perLevel % 4 === 0 ? 4 : perLevel % 2 === 0 ? 2 : 1;
    const [bytes, type] = half ? ["16F", gl.HALF_FLOAT] : ["32F", gl.FLOAT];
    const [name, layout] = { 1: ["R", gl.RED], 2: ["RG", gl.RG], 4: ["RGBA", gl.RGBA] }[channels];
    const texels = this.field.stored.length / channels;
    const height = Math.min(TABLE_WIDTH, Math.ceil(texels / TABLE_WIDTH));
    const depth = Math.ceil(texels / (TABLE_WIDTH * height));
    if (depth > gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS)) throw new Error("the table is too large");
    const data = new this.field.stored.constructor(TABLE_WIDTH * height * depth * channels);
    data.set(this.field.stored);
    this.table = this.texture(gl.TEXTURE_2D_ARRAY, () =>
      gl.texImage3D(gl.TEXTURE_2D_ARRAY, 0, gl[name + bytes], TABLE_WIDTH, height, depth, 0, layout, type, data));
    const rows = new Int32Array(8 * levels.length);
    levels.forEach((level, l) => {
      rows.set([...level.resolution, level.dense ? -1 : level.nodes - 1], 4 * l);
      rows[4 * (levels.length + l)] = level.first_node;
      new Float32Array(rows.buffer)[4 * (levels.length + l) + 1] = level.scale;
    });
    this.levels = this.texture2d(gl.RGBA32I, levels.length, 2, gl.RGBA_INTEGER, gl.INT, rows);
    this.groups = this.field.nFeatures / channels;
    this.encode = this.program("encode_hash.glsl", {
      CHANNELS: channels, TEXELS: perLevel / channels, SMOOTH: smooth, TABLE_BITS, TABLE_WIDTH,
    });
  }

  /** All layers in one texture: a row per quad of neurons; four texels per quad of inputs, then the bias. */
  buildLayers() {
    const { gl, weightRows: nRows } = this;
    const inputs = (layer) => Math.ceil(layer.hidden / 4) + Math.ceil(layer.features / 4);
    const width = 4 * Math.max(...this.field.layers.map(inputs)) + 1;
    const data = new Float32Array(4 * width * nRows);
    let firstRow = 0;
    this.layers = this.field.layers.map((layer) => {
      const nHidden = Math.ceil(layer.hidden / 4), nFeatures = Math.ceil(layer.features / 4);
      for (let j = 0; j < layer.width; j++) {
        const start = (firstRow + (j >> 2)) * width * 4 + (j & 3);
        for (let k = 0; k < layer.hidden + layer.features; k++) {
          const column = k < layer.hidden ? k : 4 * nHidden + k - layer.hidden;
          data[start + 4 * column] = layer.weight[k * layer.width + j];
        }
        data[start + 16 * (nHidden + nFeatures)] = layer.bias[j];
      }
      const row = firstRow, quads = Math.ceil(layer.width / 4);
      firstRow += quads;
      return { row, quads, nHidden, nFeatures };
    });
    this.weights = this.texture2d(gl.RGBA32F, width, nRows, gl.RGBA, gl.FLOAT, data);
    this.layer = this.program("layer.glsl", {});
  }

  // --- evaluation

  /** As of JsEngine. */
  evaluate(lattice, channel = 0) {
    const out = new Float32Array(lattice.size), whole = 4 * TILE_WIDTH * this.rows;
    for (let first = 0; first < out.length; first += whole)
      this.tile(lattice, first, channel, out.subarray(first, first + whole));
    return out;
  }

  tile(lattice, first, channel, out) {
    const { gl, field } = this;
    const rows = Math.ceil(out.length / (4 * TILE_WIDTH));
    this.use(this.encode, rows);
    this.setLattice(this.encode.uniforms, lattice, first);
    this.bind(this.encode.uniforms);
    this.draw(this.targets[0], rows * this.quads);
    this.use(this.layer, rows);
    const { uniforms } = this.layer;
    const activation = field.network.activation === "sine" ? 2 : 1;
    gl.uniform1f(uniforms.slope, field.network.activation === "relu" ? 0 : field.network.slope);
    gl.uniform1f(uniforms.turns, field.network.omega / (2 * Math.PI));
    this.bindTexture(uniforms.weights, 8, gl.TEXTURE_2D, this.weights);
    this.layers.forEach((layer, l) => {
      const last = l === this.layers.length - 1;
      const from = this.targets[1 + (l & 1)].textures, features = this.targets[0].textures;
      for (let k = 0; k < 4; k++) {
        this.bindTexture(uniforms[`hidden${k}`], k, gl.TEXTURE_2D, from[k]);
        this.bindTexture(uniforms[`features${k}`], 4 + k, gl.TEXTURE_2D, features[k]);
      }
      gl.uniform1i(uniforms.n_hidden, layer.nHidden);
      gl.uniform1i(uniforms.n_features, layer.nFeatures);
      gl.uniform1i(uniforms.first_row, layer.row + (last ? channel >> 2 : 0));
      gl.uniform1i(uniforms.activation, last ? 0 : activation);
      gl.uniform1i(uniforms.channel, last ? channel & 3 : -1);
      this.draw(this.targets[1 + ((l + 1) & 1)], rows * (last ? 1 : layer.quads));
    });
    this.read(rows, out);
  }

  use({ program, uniforms }, rows) {
    this.gl.useProgram(program);
    this.gl.uniform1i(uniforms.rows, rows);
  }

  setLattice(uniforms, { origin, steps, counts }, first) {
    const { gl } = this;
    gl.uniform3uiv(uniforms.counts, counts);
    gl.uniform3fv(uniforms.origin, origin);
    steps.forEach((step, k) => gl.uniform3fv(uniforms[`step${k}`], step));
    gl.uniform1ui(uniforms.first, first);
  }

  bind(uniforms) {
    const { gl } = this;
    if (this.table) {
      this.bindTexture(uniforms.table, 0, gl.TEXTURE_2D_ARRAY, this.table);
      this.bindTexture(uniforms.levels, 1, gl.TEXTURE_2D, this.levels);
      gl.uniform1i(uniforms.n_groups, this.groups);
    } else this.bindTexture(uniforms.waves, 0, gl.TEXTURE_2D, this.waves);
  }

  bindTexture(uniform, unit, kind, texture) {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit);
    this.gl.bindTexture(kind, texture);
    this.gl.uniform1i(uniform, unit);
  }

  draw({ framebuffer }, height) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
    gl.viewport(0, 0, TILE_WIDTH, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** The first target's first rows: four points a fragment, in order. */
  read(rows, out) {
    const { gl } = this;
    gl.readBuffer(gl.COLOR_ATTACHMENT0);
    const whole = 4 * TILE_WIDTH * rows;
    const to = out.length === whole ? out : new Float32Array(whole);
    gl.readPixels(0, 0, TILE_WIDTH, rows, gl.RGBA, gl.FLOAT, to);
    if (to !== out) out.set(to.subarray(0, out.length));
  }
}

/**
 * The engine to use: WebGL2 where it works, agrees with plain JavaScript and is no slower than it (a software
 * renderer is); else plain JavaScript.  `wanted`, "webgl2" or "js", overrules the speed.
 */
function chooseEngine(field, wanted) {
  const plain = new JsEngine(field);
  if (wanted === "js") return { engine: plain, why: "as asked for" };
  try {
    const engine = new GlEngine(field);
    const steps = field.size.map((size, k) => field.size.map((_, axis) => (axis === k ? size / 7 : 0)));
    const corner = field.region_um.map(([lo, hi]) => lo + (hi - lo) / 14);
    const lattice = field.lattice(corner, steps, [7, 7, 7]);
    const [expected, plainTime] = timed(() => plain.evaluate(lattice), 2);
    const [got, time] = timed(() => engine.evaluate(lattice), 4);
    const [lo, hi] = field.quantities[0].window;
    const error = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - got[i])), 0) / (hi - lo);
    if (!(error < 1e-3)) throw new Error(`WebGL2 differs by ${error.toExponential(1)} of the contrast`);
    if (wanted !== "webgl2" && time > Math.max(plainTime, 5)) throw new Error("WebGL2 is slower here");
    return { engine, why: `differs from JavaScript by ${error.toExponential(1)} of the contrast` };
  } catch (error) {
    return { engine: plain, why: error.message };
  }
}

/** What a function gives, and the shortest time [ms] it took of some runs. */
function timed(compute, runs) {
  let result, best = Infinity;
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    result = compute();
    best = Math.min(best, performance.now() - start);
  }
  return [result, best];
}
