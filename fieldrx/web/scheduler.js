"use strict";
// Who computes next.  Everything slow is cut into short steps, so that the page always answers.

const STEP_MS = 14; // aimed at for one evaluation

class Scheduler {
  constructor(engine) {
    this.engine = engine;
    this.rate = 2e5; // points per second, learnt from every evaluation
    this.tasks = [];
    this.running = false;
    this.channel = new MessageChannel();
    this.channel.port1.onmessage = () => this.step();
    this.onChange = () => {};
  }

  /** A task has `urgency`, 0 when it has nothing to do, and `step()`. */
  add(task) {
    this.tasks.push(task);
  }

  /** Call when a task has got something to do. */
  wake() {
    if (this.running) return;
    this.running = true;
    this.onChange();
    this.channel.port2.postMessage(0);
  }

  step() {
    const end = performance.now() + STEP_MS;
    do {
      const task = this.tasks.reduce((best, task) => (task.urgency > best.urgency ? task : best));
      if (task.urgency <= 0) {
        this.running = false;
        this.onChange();
        return;
      }
      task.step();
    } while (performance.now() < end);
    this.channel.port2.postMessage(0);
  }

  /** Points that take about one step. */
  get chunk() {
    return Math.max(this.engine.least, Math.min(1 << 18, Math.round((this.rate * STEP_MS) / 1000)));
  }

  evaluate(lattice, channel) {
    const start = performance.now();
    const values = this.engine.field.contrast(this.engine, lattice, channel);
    const seconds = Math.max((performance.now() - start) / 1000, 1e-5);
    if (lattice.size >= this.engine.least) {
      const weight = Math.min(0.5, lattice.size / this.chunk / 3);
      this.rate *= (lattice.size / seconds / this.rate) ** weight;
    }
    return values;
  }

  /** Pixel strides, coarse to fine, of which the first takes some 50 ms for an image of n points. */
  strides(n) {
    let stride = 1;
    while (stride < 32 && n / stride ** 2 > 0.05 * this.rate) stride *= 2;
    const list = [];
    for (; stride >= 1; stride /= 2) list.push(stride);
    return list;
  }
}

/** Rectangles {x, y, w, h} that cover w x h pixels, row by row, none of more than `limit` pixels. */
function* blocks(width, height, limit) {
  const across = Math.min(width, Math.max(1, limit)), down = Math.max(1, Math.floor(limit / width));
  for (let y = 0; y < height; y += down)
    for (let x = 0; x < width; x += across)
      yield { x, y, w: Math.min(across, width - x), h: Math.min(down, height - y) };
}
