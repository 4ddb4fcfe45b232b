"use strict";
// What planes and the 3D view share: canvas, pointer, wheel, keys, progressive refinement, scale bar.

const AXIS_COLOURS = ["#5ec8d8", "#e8a33d", "#e0668c"]; // z, y, x
const INK = "rgba(236, 240, 250, 0.92)", FAINT = "rgba(236, 240, 250, 0.22)";

class View {
  constructor(app, name, label) {
    Object.assign(this, { app, name, label, urgency: 0, raster: null, work: null });
    this.canvas = document.getElementById(`view-${name}`);
    this.context = this.canvas.getContext("2d");
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.listen();
    app.scheduler.add(this);
  }

  // --- size

  resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.width = Math.round(width);
    this.height = Math.round(height);
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(height * this.ratio);
    this.raster = null;
    this.stop(); // what is under way is for a picture of another size
    if (this.visible) this.app.resized();
  }

  get visible() {
    return this.width > 0 && this.height > 0;
  }

  /** Micrometres per pixel of the canvas. */
  get pixelUm() {
    return 1 / (this.scale * this.ratio);
  }

  // --- refinement: `refine()` of the subclass is a generator that sets `urgency` to its stride

  restart() {
    if (!this.visible) return this.stop();
    this.work = this.refine();
    this.urgency = 64;
    this.app.scheduler.wake();
  }

  stop() {
    this.work = null;
    this.urgency = 0;
  }

  step() {
    if (this.work.next().done) this.stop();
    this.requestDraw();
  }

  requestDraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.visible) this.draw();
    });
  }

  // --- input

  listen() {
    const { canvas } = this, pointers = new Map();
    let moved = 0;
    const middle = () => {
      const all = [...pointers.values()];
      const [x, y] = [0, 1].map((k) => all.reduce((sum, at) => sum + at[k], 0) / all.length);
      return { x, y, spread: all.length > 1 ? Math.hypot(all[0][0] - all[1][0], all[0][1] - all[1][1]) : 0 };
    };
    const position = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      pointers.set(event.pointerId, position(event));
      if (pointers.size === 1) moved = 0;
      this.grab(...position(event), event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const at = position(event);
      this.hover(...at);
      if (!pointers.has(event.pointerId)) return;
      const before = middle();
      pointers.set(event.pointerId, at);
      const after = middle(), dx = after.x - before.x, dy = after.y - before.y;
      moved += Math.hypot(dx, dy);
      if (before.spread > 0) {
        this.zoom(after.spread / before.spread, after.x, after.y);
        this.pan(dx, dy);
      } else if (moved > 3) this.drag(dx, dy, event, ...at);
    });
    const release = (event) => {
      const single = pointers.size === 1;
      if (!pointers.delete(event.pointerId)) return;
      if (event.type === "pointerup" && single && moved <= 3) this.click(...position(event));
      if (single) this.release();
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => this.app.point(null));
    canvas.addEventListener("dblclick", () => this.app.layout(this.app.state.layout === this.name ? "all" : this.name));
    canvas.addEventListener("focus", () => (this.app.active = this));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 24 : 1, turn = (event.deltaY || event.deltaX) * unit;
      if (event.shiftKey) this.through(-Math.sign(turn));
      else this.zoom(Math.exp(-turn * (event.ctrlKey ? 0.01 : 0.0016)), ...position(event));
    }, { passive: false });
  }

  /** Keys of a view: whether it knew this one. */
  key(event) {
    const far = event.shiftKey ? 4 : 1;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in arrows) this.arrow(...arrows[event.key], far);
    else if (event.key === "+" || event.key === "=") this.zoom(1.25, this.width / 2, this.height / 2);
    else if (event.key === "-" || event.key === "_") this.zoom(0.8, this.width / 2, this.height / 2);
    else if (event.key === "PageUp" || event.key === ".") this.through(1);
    else if (event.key === "PageDown" || event.key === ",") this.through(-1);
    else return false;
    return true;
  }

  // --- drawing on top of the picture, in CSS pixels

  /** Clears the canvas and sets CSS pixels as the unit. */
  begin() {
    const { context, ratio } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    return () => context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  text(text, x, y, align = "left", colour = INK) {
    const { context } = this;
    Object.assign(context, { font: "500 12px system-ui, sans-serif", textAlign: align, textBaseline: "alphabetic" });
    Object.assign(context, { lineWidth: 3, lineJoin: "round", strokeStyle: "rgba(6, 6, 18, 0.7)", fillStyle: colour });
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }

  line(points, colour, width = 1, dash = []) {
    const { context } = this;
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.setLineDash(dash);
    Object.assign(context, { strokeStyle: colour, lineWidth: width, lineCap: "round" });
    context.stroke();
    context.setLineDash([]);
  }

  scaleBar() {
    const wanted = Math.min(110, 0.6 * this.width) / this.scale, power = 10 ** Math.floor(Math.log10(wanted));
    const length = power * [5, 2, 1].find((digit) => digit * power <= wanted);
    const right = this.width - 14, y = this.height - 14, left = right - length * this.scale;
    this.line([[left, y], [right, y]], "rgba(6, 6, 18, 0.7)", 5);
    this.line([[left, y], [right, y]], INK, 2.5);
    const text = length >= 1 ? `${length} µm` : `${Number((1000 * length).toPrecision(1))} nm`;
    this.text(text, (left + right) / 2, y - 8, "center");
  }
}
