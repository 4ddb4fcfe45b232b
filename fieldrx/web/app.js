"use strict";
// The page: what is shown, its controls and keys, and what they change.

const byId = (id) => document.getElementById(id);
const KINDS = {
  index: { symbol: "n", title: "Refractive index" },
  absorption: { symbol: "κ", title: "Absorption" },
};

class App {
  constructor(film, wanted) {
    const field = (this.field = film.field(0));
    this.film = film;
    this.frame = 0; // of the film
    Object.assign(this, chooseEngine(field, wanted)); // engine, why
    this.scheduler = new Scheduler(this.engine);
    this.engine.canvas?.addEventListener("webglcontextlost", () => this.withoutWebGl());
    this.tables = colourTables(field);
    this.diagonal = Math.hypot(...field.size);
    this.state = this.firstState();
    this.brick = new Brick(this);
    this.planes = [["xy", [2, 1]], ["zy", [0, 1]], ["xz", [2, 0]]].map(([name, axes]) => new PlaneView(this, name, axes));
    this.volume = new VolumeView(this);
    this.active = this.volume;
    this.brick.onGrown = () => this.volume.coarse && this.volume.requestDraw();
    this.contrast = new Contrast((window) => this.setWindow(window));
    this.buildPage();
    this.listen();
    this.scheduler.onChange = () => this.showBusy();
    this.showControls();
    this.point(null);
  }

  firstState() {
    const { middle, quantities, sample_um } = this.field;
    return {
      at: [...middle], centre: [...middle], scale: 1, fitted: true,
      centre3: sample_um.map(([lo, hi]) => (lo + hi) / 2), scale3: 1, fitted3: true, spin: firstSpin(), turning: false,
      quantity: 0, windows: quantities.map((quantity) => [...quantity.window]),
      colours: "fieldrx", style: "translucent", layout: "all",
    };
  }

  get window() {
    return this.state.windows[this.state.quantity];
  }

  get table() {
    return this.tables[this.state.colours];
  }

  get views() {
    return [this.volume, ...this.planes];
  }

  /** Whether everything that can be seen is as fine as the screen. */
  get idle() {
    return !this.scheduler.running && !this.volume.waiting && !this.refit && !this.moving;
  }

  // --- numbers

  /** {index, absorption} at a point (z, y, x) in um, from the network; the medium outside the domain. */
  read(point) {
    const { field, engine } = this, lattice = field.lattice(point, [[0, 0, 0], [0, 0, 0], [0, 0, 0]], [1, 1, 1]);
    const value = (channel) => (field.inside(point) ? field.contrast(engine, lattice, channel)[0] : 0);
    return {
      index: field.medium_index + value(0),
      absorption: field.network.n_outputs > 1 ? value(1) : 0,
    };
  }

  /** A value of the shown quantity, in as many digits as the contrast asks for. */
  write(value) {
    const { quantity, windows } = this.state, kind = this.field.quantities[quantity].name;
    const digits = Math.ceil(-Math.log10((windows[quantity][1] - windows[quantity][0]) * 2e-3));
    return (kind === "index" ? value + this.field.medium_index : value).toFixed(Math.max(4, Math.min(9, digits)));
  }

  /** A length, in as many digits as a pixel of the planes asks for. */
  micrometres(value) {
    const text = value.toFixed(Math.max(2, Math.min(5, Math.ceil(Math.log10(this.state.scale)))));
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
  }

  // --- changes

  /** Some views have a new size: wait for the others, then lay out. */
  resized() {
    this.refit ??= requestAnimationFrame(() => {
      this.refit = null;
      this.fit();
      for (const plane of this.planes) plane.restart();
      if (this.volume.visible) this.volume.moved();
      this.redraw();
    });
  }

  /** Zooms so that the measured region fills the views, unless somebody has zoomed. */
  fit() {
    const { state, field, volume } = this, size = field.size.map((v) => Math.max(v, 1e-6));
    const scales = this.planes.filter((plane) => plane.visible).map((plane) =>
      Math.min(plane.width / size[plane.across], plane.height / size[plane.down]));
    if (state.fitted && scales.length) state.scale = 0.94 * Math.min(...scales);
    if (state.fitted3 && volume.visible) state.scale3 = 0.8 * volume.fittingScale();
  }

  clampScale(scale) {
    const smallest = 0.2 * (200 / this.diagonal), largest = 2000 / Math.min(...this.field.spacing_um);
    return Math.max(smallest, Math.min(largest, scale));
  }

  planesMoved() {
    this.state.fitted = false;
    for (const plane of this.planes) {
      plane.restart();
      plane.requestDraw();
    }
  }

  /** Puts slices, {axis: um}, inside the measured region. */
  moveSlices(places) {
    for (const [axis, place] of Object.entries(places)) {
      const [lo, hi] = this.field.region_um[axis];
      this.state.at[axis] = Math.max(lo, Math.min(hi, place));
    }
    for (const plane of this.planes) if (plane.normal in places) plane.restart();
    this.showSliders();
    this.redraw();
    this.point(null);
    clearTimeout(this.speech);
    this.speech = setTimeout(() => (byId("spoken").textContent = `${byId("value").textContent}, ${byId("place").textContent}`), 600);
  }

  setWindow(window) {
    this.state.windows[this.state.quantity] = window;
    this.recolour(true);
  }

  /** Draws with another contrast or other colours; `reduce` when rays must be computed again too. */
  recolour(reduce) {
    if (reduce && this.volume.visible) this.volume.moved();
    this.showControls();
    this.redraw();
    this.point(this.pointed);
  }

  set(name, value) {
    this.state[name] = value;
    if (name === "quantity") this.restart();
    else this.recolour(name !== "colours");
  }

  /** Evaluates everything again. */
  restart() {
    this.brick.restart();
    for (const plane of this.planes) plane.restart();
    this.recolour(true);
  }

  /** Shows another frame of a film, once the page has drawn what it shows. */
  moveTo(frame) {
    const last = this.film.times.length - 1;
    if (last < 1) return;
    this.frame = Math.max(0, Math.min(last, frame));
    this.showTime();
    this.moving ??= requestAnimationFrame(() => {
      this.moving = null;
      this.field = this.film.field(this.frame);
      this.engine.load(this.field);
      this.restart();
    });
  }

  /** Starts or stops the film: the next frame comes when this one is drawn as finely as the screen, or soon. */
  togglePlaying() {
    const count = this.film.times.length;
    clearInterval(this.playing);
    this.playing = this.playing || count < 2 ? null : setInterval(() => {
      this.waited = this.idle ? 0 : (this.waited ?? 0) + 1;
      if (this.waited % 4 === 0) this.moveTo((this.frame + 1) % count);
    }, 250);
    this.showTime();
  }

  /** The browser has taken the graphics card away, as after a crash of its driver. */
  withoutWebGl() {
    this.engine = this.scheduler.engine = new JsEngine(this.field);
    this.restart();
  }

  next(name) {
    const values = [...byId(name).options].map((option) => option.value);
    const value = values[(values.indexOf(String(this.state[name])) + 1) % values.length];
    this.set(name, name === "quantity" ? Number(value) : value);
  }

  layout(name) {
    this.state.layout = name;
    byId("views").dataset.layout = name;
    for (const button of byId("layouts").children)
      button.setAttribute("aria-pressed", String(button.dataset.layout === name));
    this.active = this.views.find((view) => view.name === name) ?? this.active;
    if (!this.views.includes(this.active)) this.active = this.volume;
  }

  automatic() {
    this.setWindow([...this.field.quantities[this.state.quantity].window]);
  }

  reset() {
    const { quantity } = this.state;
    this.state = this.firstState();
    if (quantity) this.brick.restart();
    this.layout("all");
    this.resized();
    this.showControls();
    this.point(null);
  }

  toggleTurning() {
    const { state } = this;
    state.turning = !state.turning;
    this.showControls();
    const frame = () => {
      if (this.state !== state || !state.turning) return;
      this.volume.turn(0.014, 0);
      requestAnimationFrame(frame);
    };
    frame();
  }

  /** Reads the field where the pointer is, (z, y, x) in um; at the crossing of the slices when it is nowhere. */
  point(place) {
    this.pointed = place;
    this.reading ??= requestAnimationFrame(() => {
      this.reading = null;
      const at = this.pointed ?? this.state.at, read = this.read(at);
      const kind = this.field.quantities[this.state.quantity].name;
      byId("where").textContent = this.pointed
        ? this.field.inside(at) ? "At the pointer" : "Outside the reconstruction" : "At the crossing";
      byId("symbol").textContent = KINDS[kind].symbol;
      byId("index").textContent = this.write(read[kind] - (kind === "index" ? this.field.medium_index : 0));
      byId("place").innerHTML = [2, 1, 0].map((axis) =>
        `<b style="color: var(--${AXES[axis]})">${AXES[axis]}</b> ${this.micrometres(at[axis])}`).join("&ensp;") + " µm";
    });
  }

  redraw() {
    for (const view of this.views) view.requestDraw();
  }

  // --- the page

  buildPage() {
    const { field } = this, number = (v) => Number(v.toPrecision(3));
    byId("title").textContent = field.title;
    const [z, y, x] = field.size.map(number);
    byId("facts").textContent = `${x} × ${y} × ${z} µm in a medium of n = ${Number(field.medium_index.toFixed(4))}`;
    const aside = [field.size[0] / field.size[1], field.size[0] / field.size[2]].map((v) => Math.max(0.3, Math.min(1, v)));
    const told = field.resolution;
    byId("resolution").textContent = told ? `${told[0].toUpperCase()}${told.slice(1)}.` : "";
    byId("views").style.setProperty("--z-rows", `${aside[0]}fr`);
    byId("views").style.setProperty("--z-columns", `${aside[1]}fr`);
    byId("views").classList.toggle("deep", Math.min(...aside) > 0.6); // no room is lost to four equal views
    for (const axis of [2, 1, 0]) {
      const [lo, hi] = field.region_um[axis], name = AXES[axis];
      byId("sliders").insertAdjacentHTML("beforeend", `<div class="slider" style="--thumb: var(--${name})">
        <label for="slice-${name}" style="color: var(--${name})">${name}</label>
        <input type="range" id="slice-${name}" min="${lo}" max="${hi}" step="any" aria-label="Slice along ${name}">
        <output id="at-${name}"></output></div>`);
      const slider = byId(`slice-${name}`);
      slider.addEventListener("input", () => this.moveSlices({ [axis]: Number(slider.value) }));
    }
    byId("time").hidden = this.film.times.length < 2;
    byId("frame").max = Math.max(this.film.times.length - 1, 0);
    if (this.film.times.length > 1) this.showTime();
    byId("quantity").append(...field.quantities.map(({ name }, i) => new Option(KINDS[name].title, i)));
    byId("quantity-row").hidden = field.quantities.length < 2;
    byId("quantity-row").style.display = field.quantities.length < 2 ? "none" : "";
    byId("about").textContent = `Made by fieldrx ${field.version}. This page holds the weights of the neural network and ` +
      `nothing else, and asks no server. Engine: ${this.engine.name} (${this.why}).`;
    this.layout("all");
  }

  showTime() {
    byId("frame").value = this.frame;
    byId("frame").setAttribute("aria-valuetext", this.film.times[this.frame]);
    byId("at-frame").textContent = this.film.times[this.frame];
    byId("play").textContent = this.playing ? "Stop" : "Play";
    byId("play").setAttribute("aria-pressed", String(Boolean(this.playing)));
  }

  showSliders() {
    AXES.forEach((name, axis) => {
      const text = `${this.micrometres(this.state.at[axis])} µm`;
      byId(`slice-${name}`).value = this.state.at[axis];
      byId(`slice-${name}`).setAttribute("aria-valuetext", text);
      byId(`at-${name}`).textContent = text;
    });
  }

  showControls() {
    const { state, field } = this;
    for (const name of ["colours", "style", "quantity"]) byId(name).value = state[name];
    byId("spin").textContent = state.turning ? "Stop" : "Start";
    byId("spin").setAttribute("aria-pressed", String(state.turning));
    this.contrast.show(field.quantities[state.quantity], this.window, this.table, (v) => this.write(v));
    this.showSliders();
    this.showBusy();
  }

  showBusy() {
    const { rate } = this.scheduler;
    document.body.dataset.busy = String(!this.idle);
    byId("engine").textContent = `${this.engine.name}, ${Number((rate / 1e6).toPrecision(1))} million points/s`;
  }

  listen() {
    const click = (id, act) => byId(id).addEventListener("click", act);
    for (const button of byId("layouts").children) button.addEventListener("click", () => this.layout(button.dataset.layout));
    click("screenshot", () => this.screenshot());
    click("reset", () => this.reset());
    click("help", () => byId("keys").showModal());
    click("auto", () => this.automatic());
    click("spin", () => this.toggleTurning());
    click("play", () => this.togglePlaying());
    byId("frame").addEventListener("input", () => this.moveTo(Number(byId("frame").value)));
    for (const name of ["colours", "style"]) byId(name).addEventListener("change", (event) => this.set(name, event.target.value));
    byId("quantity").addEventListener("change", (event) => this.set("quantity", Number(event.target.value)));
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("contextmenu", (event) => event.target.closest("#views") && event.preventDefault());
    window.addEventListener("resize", () => this.contrast.draw());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    const control = event.target.closest?.("input, select, button");
    if (control && (event.key === " " || event.key.startsWith("Arrow") || event.key.startsWith("Page"))) return;
    if (event.target.tagName === "SELECT") return; // which finds its options by their first letters
    const acts = {
      "?": () => byId("keys").showModal(), r: () => this.reset(), s: () => this.screenshot(),
      a: () => this.automatic(), c: () => this.next("colours"), v: () => this.next("style"),
      q: () => this.next("quantity"), " ": () => this.toggleTurning(),
      "[": () => this.moveTo(this.frame - 1), "]": () => this.moveTo(this.frame + 1), t: () => this.togglePlaying(),
      0: () => this.layout("all"), 1: () => this.layout("3d"), 2: () => this.layout("xy"),
      3: () => this.layout("xz"), 4: () => this.layout("zy"),
    };
    const act = acts[event.key.toLowerCase()];
    if (act) act();
    else if (!this.active.key(event)) return;
    event.preventDefault();
  }

  // --- screenshot

  /** All visible views as they stand, with the colour bar: a canvas. */
  picture() {
    const frame = byId("views").getBoundingClientRect(), ratio = this.views.find((view) => view.visible).ratio;
    const canvas = Object.assign(document.createElement("canvas"),
      { width: Math.round(frame.width * ratio), height: Math.round((frame.height + 46) * ratio) });
    const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    context.scale(ratio, ratio);
    context.fillStyle = style.getPropertyValue("--ground");
    context.fillRect(0, 0, frame.width, frame.height + 46);
    for (const view of this.views.filter((view) => view.visible)) {
      const box = view.canvas.getBoundingClientRect();
      context.fillStyle = style.getPropertyValue("--view");
      context.fillRect(box.left - frame.left, box.top - frame.top, box.width, box.height);
      context.drawImage(view.canvas, box.left - frame.left, box.top - frame.top, box.width, box.height);
    }
    this.drawColourBar(context, frame.width, frame.height + 16);
    return canvas;
  }

  drawColourBar(context, width, y) {
    const length = Math.min(240, width / 3), left = width - length - 90, [low, high] = this.window.map((v) => this.write(v));
    for (let i = 0; i < 256; i++) {
      context.fillStyle = `rgb(${this.table.slice(3 * i, 3 * i + 3).join(" ")})`;
      context.fillRect(left + (i / 256) * length, y, length / 256 + 0.5, 12);
    }
    Object.assign(context, { font: "500 12px system-ui, sans-serif", fillStyle: INK, textAlign: "right" });
    context.fillText(`${KINDS[this.field.quantities[this.state.quantity].name].symbol}  ${low}`, left - 8, y + 10);
    context.textAlign = "left";
    context.fillText(high, left + length + 8, y + 10);
    context.fillText(this.field.title, 12, y + 10, left - 120);
  }

  screenshot() {
    this.picture().toBlob((blob) => {
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob) });
      link.download = `${this.field.title.replace(/[^\w-]+/g, "-").replace(/^-|-$/g, "") || "field"}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }
}

/** Seen from above and a little from the side: axes of the screen as (z, y, x). */
function firstSpin() {
  const spin = { right: [0, 0, 1], down: [0, 1, 0], forward: [1, 0, 0] };
  rotate(spin, "right", 0.5);
  rotate(spin, "down", 0.6);
  return spin;
}

function trouble(message) {
  byId("trouble").textContent = message;
  byId("trouble").hidden = false;
}

window.addEventListener("error", (event) => trouble(`Something went wrong: ${event.message}`));

// After the first paint, so that a large field does not leave the window white while it is unpacked.
requestAnimationFrame(() => setTimeout(() => {
  const wanted = new URLSearchParams(location.hash.slice(1)).get("engine");
  window.fieldrx = new App(new Film(JSON.parse(byId("header").textContent), byId("weights").textContent), wanted);
}));
