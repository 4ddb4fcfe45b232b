"use strict";
// The sample in space: parallel rays through the measured region, each reduced to one value.
// While it moves, rays read the brick; at rest they ask the network, coarse to fine.

const REST_MS = 160;
const NOTHING = [0, -1]; // depths of a ray that crosses the region and meets nothing

// Ways to reduce the samples of a ray, first + k * step deep for k = 0 ... n - 1, to {value, alpha, depth}.
const STYLES = {
  /** The largest value. */
  maximum(samples, from, n, first, step, window, result) {
    let best = from;
    for (let k = from + 1; k < from + n; k++) if (samples[k] > samples[best]) best = k;
    result.value = samples[best];
    result.alpha = 1;
    result.depth = first + (best - from) * step;
  },
  /** Light from a cloud that is denser where the value is higher: emission and absorption. */
  translucent(samples, from, n, first, step, [low, high, size], result) {
    let clear = 1, sum = 0, brightest = 0;
    result.depth = first;
    for (let k = from; k < from + n && clear > 0.01; k++) {
      const v = Math.min((samples[k] - low) / (high - low), 1);
      if (v <= 0) continue;
      const share = clear * (1 - Math.exp((-16 * v * v * v * step) / size));
      clear -= share;
      sum += share * samples[k];
      if (share > brightest) {
        brightest = share;
        result.depth = first + (k - from) * step;
      }
    }
    result.alpha = 1 - clear;
    result.value = clear < 1 ? sum / result.alpha : low;
  },
  /** The first crossing of a third of the contrast window. */
  surface(samples, from, n, first, step, [low, high], result) {
    const level = low + (high - low) / 3;
    result.alpha = 0;
    result.value = level;
    for (let k = from; k < from + n; k++) {
      if (samples[k] < level) continue;
      const back = k > from ? (samples[k] - level) / (samples[k] - samples[k - 1]) : 0;
      result.alpha = 1;
      result.depth = first + (k - from - back) * step;
      return;
    }
  },
};

// Values below this share of the contrast window do not show in a style: rays need not visit them.
const UNSEEN = { maximum: 0, translucent: 0.12, surface: 0.15 };

class VolumeView extends View {
  constructor(app) {
    super(app, "3d", "3D");
    this.samples = new Float64Array(1024); // of one ray through the brick
  }

  get scale() {
    return this.app.state.scale3;
  }

  /** Point [um] under a CSS pixel at some depth from the plane through the centre. */
  place(x, y, depth = 0) {
    const { spin, centre3 } = this.app.state;
    const a = (x - this.width / 2) / this.scale, b = (y - this.height / 2) / this.scale;
    return centre3.map((c, k) => c + a * spin.right[k] + b * spin.down[k] + depth * spin.forward[k]);
  }

  pixel(point) {
    const { spin, centre3 } = this.app.state, from = point.map((v, k) => v - centre3[k]);
    return [this.width / 2 + dot(from, spin.right) * this.scale, this.height / 2 + dot(from, spin.down) * this.scale];
  }

  /** The zoom at which the sample just fits the canvas, as it is turned first [CSS pixels per um]. */
  fittingScale() {
    const size = this.app.field.sample_um.map(([lo, hi]) => hi - lo), { right, down } = firstSpin();
    const shadow = (axis) => Math.hypot(...axis.map((v, k) => v * size[k]), 1e-6);
    return Math.min(this.width / shadow(right), this.height / shadow(down));
  }

  /** Depths where a ray enters and leaves the measured region; null when it misses. */
  crossing(point) {
    const { forward } = this.app.state.spin;
    let near = -Infinity, far = Infinity;
    for (let k = 0; k < 3; k++) {
      const [lo, hi] = this.app.field.region_um[k];
      if (Math.abs(forward[k]) < 1e-9) {
        if (point[k] < lo || point[k] > hi) return null;
        continue;
      }
      const a = (lo - point[k]) / forward[k], b = (hi - point[k]) / forward[k];
      near = Math.max(near, Math.min(a, b));
      far = Math.min(far, Math.max(a, b));
    }
    return near <= far ? [near, far] : null;
  }

  /**
   * The part of a crossing in which something can be seen, by the brick, and some more on both sides; null when
   * there is nothing.  All of the crossing while the brick is still rough.
   */
  seenPart(point, crossing) {
    const { brick, state } = this.app, { forward } = state.spin;
    if (!crossing || !brick.fine) return crossing;
    const [low, high] = this.app.window, floor = low + UNSEEN[state.style] * (high - low);
    const step = Math.max(Math.min(...brick.ready.spacing), this.app.diagonal / 1000);
    const n = Math.ceil((crossing[1] - crossing[0]) / step) + 1;
    brick.sample(point.map((v, k) => v + crossing[0] * forward[k]), forward.map((f) => f * step), n, this.samples);
    let first = 0, last = n - 1;
    while (first < n && this.samples[first] <= floor) first++;
    while (last > first && this.samples[last] <= floor) last--;
    if (first === n) return null;
    return [Math.max(crossing[0], crossing[0] + (first - 2) * step), Math.min(crossing[1], crossing[0] + (last + 2) * step)];
  }

  /** Distance of samples that misses nothing the optics resolve, within 160 to 480 along the longest ray. */
  finestStep() {
    const { spin } = this.app.state, { field, diagonal } = this.app;
    const resolved = 0.7 / Math.hypot(...spin.forward.map((f, k) => f / field.spacing_um[k]));
    return Math.max(diagonal / 480, Math.min(diagonal / 160, resolved));
  }

  get window() {
    return [...this.app.window, Math.cbrt(this.app.field.size.reduce((a, b) => a * Math.max(b, 1e-6), 1))];
  }

  // --- while it moves

  /** Call when the view or what it shows has changed: coarse at once, fine when nothing moves. */
  moved() {
    this.stop();
    this.coarse = true;
    this.requestDraw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.restart(), REST_MS);
    this.app.showBusy();
  }

  get waiting() {
    return this.coarse && this.visible;
  }

  preview() {
    const { brick } = this.app, { forward } = this.app.state.spin, { width, height } = this.canvas;
    const raster = new Raster(width, height, Math.max(2, Math.ceil(Math.sqrt((width * height) / 24000))));
    if (!brick.ready) return raster;
    const { stride } = raster, step = Math.max(0.8 * Math.min(...brick.ready.spacing), this.app.diagonal / 1000);
    const stepVector = forward.map((f) => f * step), reduce = STYLES[this.app.state.style];
    const { window } = this, result = {};
    for (let y = 0, i = 0; y < raster.h; y++)
      for (let x = 0; x < raster.w; x++, i++) {
        const start = this.place(((x + 0.5) * stride) / this.ratio, ((y + 0.5) * stride) / this.ratio);
        const depths = this.crossing(start);
        if (!depths) continue;
        const n = Math.min(this.samples.length, Math.floor((depths[1] - depths[0]) / step) + 1);
        brick.sample(start.map((v, k) => v + depths[0] * forward[k]), stepVector, n, this.samples);
        reduce(this.samples, 0, n, depths[0], step, window, result);
        raster.value[i] = result.value;
        raster.alpha[i] = result.alpha;
        raster.depth[i] = result.depth;
      }
    return raster;
  }

  // --- at rest

  *refine() {
    this.coarse = false;
    this.raster ??= this.preview();
    for (let stride = this.firstStride(); stride >= 1; stride /= 2) {
      const raster = (this.raster = this.raster.resampled(stride));
      const step = Math.max(this.finestStep(), this.pixelUm * stride);
      this.urgency = stride;
      const side = this.patchSide(step);
      for (const patch of this.patches(raster, side)) if (this.fill(raster, patch, step)) yield;
    }
  }

  firstStride() {
    const { width, height } = this.canvas;
    const n = (stride) => (width * height * this.app.diagonal) / Math.max(this.finestStep(), this.pixelUm * stride);
    let stride = 1;
    while (stride < 16 && n(stride) / stride ** 2 > 1.5 * this.app.scheduler.rate) stride *= 2;
    return stride;
  }

  patchSide(step) {
    const rays = (this.app.scheduler.chunk * step) / (0.6 * this.app.diagonal);
    return Math.max(1, Math.min(96, Math.floor(Math.sqrt(rays))));
  }

  /** Squares that cover the picture, the middle first. */
  patches({ w, h }, side) {
    const all = [];
    for (let y = 0; y < h; y += side)
      for (let x = 0; x < w; x += side) all.push({ x, y, w: Math.min(side, w - x), h: Math.min(side, h - y) });
    const away = (p) => Math.hypot(p.x + p.w / 2 - w / 2, p.y + p.h / 2 - h / 2);
    return all.sort((p, q) => away(p) - away(q));
  }

  /** Asks the network along the rays of a patch; false when all of them miss the region. */
  fill(raster, { x, y, w, h }, step) {
    const { field, scheduler, state } = this.app, { spin } = state, { stride } = raster;
    const start = this.place(((x + 0.5) * stride) / this.ratio, ((y + 0.5) * stride) / this.ratio);
    const across = spin.right.map((v) => v * this.pixelUm * stride);
    const down = spin.down.map((v) => v * this.pixelUm * stride);
    const crossings = [];
    let near = Infinity, far = -Infinity;
    for (let j = 0; j < h; j++)
      for (let i = 0; i < w; i++) {
        const point = start.map((v, k) => v + j * down[k] + i * across[k]), crossing = this.crossing(point);
        const depths = this.seenPart(point, crossing);
        crossings.push(depths ?? (crossing && NOTHING));
        if (!depths) continue;
        near = Math.min(near, Math.ceil(depths[0] / step));
        far = Math.max(far, Math.floor(depths[1] / step));
      }
    const n = far - near + 1;
    const values = n > 0 && scheduler.evaluate(
      field.lattice(start.map((v, k) => v + near * step * spin.forward[k]),
        [down, across, spin.forward.map((f) => f * step)], [h, w, n]), state.quantity);
    this.reduce(raster, { x, y, w, h }, crossings, values, near, n, step);
    return n > 0;
  }

  reduce(raster, { x, y, w, h }, crossings, values, near, n, step) {
    const reduce = STYLES[this.app.state.style], { window } = this, result = {};
    for (let ray = 0; ray < w * h; ray++) {
      const i = (y + Math.floor(ray / w)) * raster.w + x + (ray % w), depths = crossings[ray];
      raster.alpha[i] = 0;
      if (!depths) continue;
      const first = Math.ceil(depths[0] / step), count = Math.floor(depths[1] / step) - first + 1;
      if (depths === NOTHING || count < 1) {
        raster.value[i] = window[0];
        raster.alpha[i] = this.app.state.style === "maximum" ? 1 : 0;
        continue;
      }
      reduce(values, ray * n + first - near, count, first * step, step, window, result);
      raster.value[i] = result.value;
      raster.alpha[i] = result.alpha;
      raster.depth[i] = result.depth;
    }
  }

  // --- drawing

  draw() {
    if (this.coarse) this.raster = this.preview();
    const { context, raster, app } = this, finish = this.begin();
    const paint = app.state.style === "surface"
      ? paintSurface(app.table, this.pixelUm) : paintValues(app.table, app.window);
    finish();
    this.drawBox(true);
    if (raster) {
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(raster.canvas(paint), 0, 0, raster.w * raster.stride, raster.h * raster.stride);
      finish();
    }
    this.drawBox(false);
    this.drawAxes();
    this.text("3D", 12, 21);
    this.scaleBar();
  }

  /** The edges of the region, those behind the sample or those before it, and the outlines of the slices. */
  drawBox(behind) {
    const { region_um } = this.app.field, { spin, at } = this.app.state;
    const corner = (bits) => region_um.map((range, k) => range[(bits >> k) & 1]);
    const hidden = spin.forward.map((f) => (f > 0 ? 1 : 0));
    for (let axis = 0; axis < 3; axis++) {
      const [u, v] = [(axis + 1) % 3, (axis + 2) % 3];
      for (let side = 0; side < 4; side++) {
        const bits = ((side & 1) << u) | ((side >> 1) << v);
        const far = (side & 1) === hidden[u] || side >> 1 === hidden[v];
        if (far === behind) this.line([this.pixel(corner(bits)), this.pixel(corner(bits | (1 << axis)))], FAINT, 1);
      }
      if (behind) continue;
      const outline = [0, 1, 3, 2, 0].map((side) => {
        const point = corner(((side & 1) << u) | ((side >> 1) << v));
        point[axis] = at[axis];
        return this.pixel(point);
      });
      this.line(outline, `${AXIS_COLOURS[axis]}48`, 1);
    }
  }

  drawAxes() {
    const { spin } = this.app.state, x0 = 34, y0 = this.height - 34, length = 20;
    [0, 1, 2].map((axis) => [spin.forward[axis], axis]).sort((a, b) => b[0] - a[0]).forEach(([, axis]) => {
      const x = x0 + length * spin.right[axis], y = y0 + length * spin.down[axis];
      this.line([[x0, y0], [x, y]], AXIS_COLOURS[axis], 2);
      this.text(AXES[axis], x0 + 1.45 * (x - x0), y0 + 1.45 * (y - y0) + 4, "center", AXIS_COLOURS[axis]);
    });
  }

  // --- input

  grab() {
    this.canvas.style.cursor = "grabbing";
  }

  release() {
    this.canvas.style.cursor = "grab";
  }

  drag(dx, dy, event) {
    if (event.shiftKey || event.buttons === 4 || event.buttons === 2) this.pan(dx, dy);
    else this.turn(dx * 0.009, dy * 0.009);
  }

  /** Turns the sample by angles [rad]: its front to the right, and down. */
  turn(right, down) {
    const { spin } = this.app.state;
    rotate(spin, "right", right);
    rotate(spin, "down", down);
    this.moved();
  }

  /** Puts the crossing of the slices on what is seen under a pixel. */
  click(x, y) {
    const point = this.seen(x, y);
    if (point) this.app.moveSlices(Object.fromEntries(point.map((v, axis) => [axis, v])));
  }

  /** The point of the sample that is seen under a CSS pixel. */
  seen(x, y) {
    const { raster } = this;
    if (!raster) return null;
    const column = Math.floor((x * this.ratio) / raster.stride), row = Math.floor((y * this.ratio) / raster.stride);
    const i = row * raster.w + column;
    return raster.alpha[i] > 0.05 ? this.place(x, y, raster.depth[i]) : null;
  }

  hover(x, y) {
    this.app.point(this.seen(x, y));
  }

  pan(dx, dy) {
    const { spin, centre3 } = this.app.state;
    centre3.forEach((_, k) => (centre3[k] -= (dx * spin.right[k] + dy * spin.down[k]) / this.scale));
    this.moved();
  }

  zoom(factor, x, y) {
    const { state } = this.app, before = this.place(x, y);
    state.scale3 = this.app.clampScale(state.scale3 * factor);
    const after = this.place(x, y);
    state.fitted3 = false;
    state.centre3 = state.centre3.map((v, k) => v + before[k] - after[k]);
    this.moved();
  }

  arrow(dx, dy, far) {
    this.turn(0.1 * far * dx, 0.1 * far * dy);
  }

  through(sign) {
    this.zoom(sign > 0 ? 1.25 : 0.8, this.width / 2, this.height / 2);
  }
}

function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/** Turns the axes of the screen so that what is in front moves along `name` by an angle [rad]. */
function rotate(spin, name, angle) {
  const c = Math.cos(angle), s = Math.sin(angle), along = spin[name], { forward } = spin;
  spin[name] = along.map((v, k) => c * v - s * forward[k]);
  spin.forward = forward.map((v, k) => c * v + s * along[k]);
  const other = name === "right" ? "down" : "right"; // rounding must not add up
  const slip = dot(spin[other], spin.forward), tilt = dot(spin[other], spin[name]);
  const straight = spin[other].map((v, k) => v - slip * spin.forward[k] - tilt * spin[name][k]);
  const length = Math.hypot(...straight);
  spin[other] = straight.map((v) => v / length);
  const norm = Math.hypot(...spin.forward);
  spin.forward = spin.forward.map((v) => v / norm);
}
