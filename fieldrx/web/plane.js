"use strict";
// A plane across the sample: evaluated at every pixel of the screen, whatever the zoom.

class PlaneView extends View {
  /** `axes`: which of (z, y, x) runs to the right and which down; the third one is the slice's. */
  constructor(app, name, [across, down]) {
    super(app, name, name.toUpperCase());
    this.across = across;
    this.down = down;
    this.normal = 3 - across - down;
    this.held = []; // slice lines that are being dragged
  }

  get scale() {
    return this.app.state.scale;
  }

  /** Point [um] under a CSS pixel. */
  place(x, y) {
    const { at, centre } = this.app.state, point = [...at];
    point[this.across] = centre[this.across] + (x - this.width / 2) / this.scale;
    point[this.down] = centre[this.down] + (y - this.height / 2) / this.scale;
    return point;
  }

  /** CSS pixel of a point. */
  pixel(point) {
    const { centre } = this.app.state;
    return [
      this.width / 2 + (point[this.across] - centre[this.across]) * this.scale,
      this.height / 2 + (point[this.down] - centre[this.down]) * this.scale,
    ];
  }

  // --- evaluation

  *refine() {
    const { canvas } = this, { scheduler } = this.app;
    const geometry = { corner: this.place(0, 0), pixelUm: this.pixelUm };
    let raster = null;
    for (const stride of scheduler.strides(canvas.width * canvas.height)) {
      const next = raster ? raster.resampled(stride) : new Raster(canvas.width, canvas.height, stride);
      next.geometry = geometry;
      if (raster) this.raster = next;
      this.urgency = stride;
      for (const block of blocks(next.w, next.h, scheduler.chunk)) {
        this.fill(next, block, geometry);
        yield;
      }
      this.raster = raster = next;
    }
  }

  fill(raster, { x, y, w, h }, { corner, pixelUm }) {
    const { field, scheduler, state } = this.app, step = pixelUm * raster.stride;
    const along = (axis, length) => [0, 1, 2].map((k) => (k === axis ? length : 0));
    const origin = [...corner];
    origin[this.across] += (x + 0.5) * step;
    origin[this.down] += (y + 0.5) * step;
    const lattice = field.lattice(
      origin, [along(this.down, step), along(this.across, step), [0, 0, 0]], [h, w, 1]);
    const values = scheduler.evaluate(lattice, state.quantity);
    const within = (axis, v) => v >= field.bounds_um[axis][0] && v <= field.bounds_um[axis][1];
    const open = within(this.normal, corner[this.normal]);
    const columns = Array.from({ length: w }, (_, i) => open && within(this.across, origin[this.across] + i * step));
    for (let j = 0; j < h; j++) {
      const row = within(this.down, origin[this.down] + j * step), start = (y + j) * raster.w + x;
      for (let i = 0; i < w; i++) {
        raster.value[start + i] = values[j * w + i];
        raster.alpha[start + i] = row && columns[i] ? 1 : 0;
      }
    }
  }

  // --- drawing

  draw() {
    const { context, raster, app } = this, { state } = app, finish = this.begin();
    if (raster) {
      const { corner, pixelUm } = raster.geometry, now = this.place(0, 0);
      const zoom = pixelUm / this.pixelUm;
      const picture = raster.canvas(paintValues(app.table, app.window));
      context.drawImage(picture, (corner[this.across] - now[this.across]) / this.pixelUm,
        (corner[this.down] - now[this.down]) / this.pixelUm,
        raster.w * raster.stride * zoom, raster.h * raster.stride * zoom);
    }
    finish();
    this.drawFrame();
    for (const axis of [this.across, this.down]) this.drawSlice(axis);
    const around = state.at[this.normal];
    this.text(this.label, 12, 21);
    this.text(`${AXES[this.normal]} ${app.micrometres(around)} µm`, 38, 21, "left", AXIS_COLOURS[this.normal]);
    this.scaleBar();
    this.canvas.setAttribute("aria-label", `${this.label} plane at ${AXES[this.normal]} = ` +
      `${app.micrometres(around)} micrometres. Arrow keys move, plus and minus zoom, page up and down change the slice.`);
  }

  /** The measured region. */
  drawFrame() {
    const [x0, y0] = this.pixel(this.app.field.region_um.map(([lo]) => lo));
    const [x1, y1] = this.pixel(this.app.field.region_um.map(([, hi]) => hi));
    this.line([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], FAINT, 1, [1, 4]);
  }

  /** Where the slice of another axis cuts this plane: a line with a gap around the crossing. */
  drawSlice(axis) {
    const [x, y] = this.pixel(this.app.state.at), gap = 9;
    const width = this.held.includes(axis) ? 2 : 1, colour = `${AXIS_COLOURS[axis]}b0`;
    if (axis === this.across) {
      this.line([[x, 0], [x, y - gap]], colour, width);
      this.line([[x, y + gap], [x, this.height]], colour, width);
    } else {
      this.line([[0, y], [x - gap, y]], colour, width);
      this.line([[x + gap, y], [this.width, y]], colour, width);
    }
  }

  // --- input

  /** Axes whose slice lines lie under a pixel. */
  lines(x, y) {
    const [lx, ly] = this.pixel(this.app.state.at);
    const near = [];
    if (Math.abs(x - lx) < 6) near.push(this.across);
    if (Math.abs(y - ly) < 6) near.push(this.down);
    return near;
  }

  grab(x, y, event) {
    this.held = event.pointerType === "touch" ? [] : this.lines(x, y);
  }

  release() {
    this.held = [];
    this.requestDraw();
  }

  drag(dx, dy, event, x, y) {
    if (!this.held.length) return this.pan(dx, dy);
    const point = this.place(x, y);
    this.app.moveSlices(Object.fromEntries(this.held.map((axis) => [axis, point[axis]])));
  }

  click(x, y) {
    const point = this.place(x, y);
    this.app.moveSlices({ [this.across]: point[this.across], [this.down]: point[this.down] });
  }

  hover(x, y) {
    const near = this.lines(x, y);
    this.canvas.style.cursor = ["crosshair", near[0] === this.across ? "ew-resize" : "ns-resize", "move"][near.length];
    this.app.point(this.place(x, y));
  }

  pan(dx, dy) {
    const { centre } = this.app.state;
    centre[this.across] -= dx / this.scale;
    centre[this.down] -= dy / this.scale;
    this.app.planesMoved();
  }

  zoom(factor, x, y) {
    const { state } = this.app, before = this.place(x, y);
    state.scale = this.app.clampScale(state.scale * factor);
    const after = this.place(x, y);
    for (const axis of [this.across, this.down]) state.centre[axis] += before[axis] - after[axis];
    this.app.planesMoved();
  }

  arrow(dx, dy, far) {
    this.pan(-24 * far * dx, -24 * far * dy);
  }

  through(sign) {
    const step = Math.max(this.app.field.spacing_um[this.normal] / 2, 0);
    this.app.moveSlices({ [this.normal]: this.app.state.at[this.normal] + sign * Math.min(step, 20 / this.scale) });
  }
}
