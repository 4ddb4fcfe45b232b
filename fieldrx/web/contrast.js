"use strict";
// The contrast window on the histogram of the shown quantity.

const STEPS = 1000; // of the two sliders

class Contrast {
  /** `change(window)` is called when the window is moved. */
  constructor(change) {
    this.change = change;
    this.canvas = document.getElementById("histogram");
    this.inputs = ["low", "high"].map((id) => document.getElementById(id));
    this.labels = ["low-value", "high-value"].map((id) => document.getElementById(id));
    this.inputs.forEach((input, end) => input.addEventListener("input", () => this.moved(end)));
  }

  /** Shows a quantity of the field, a window on it, the colours, and how its numbers are written. */
  show(quantity, window, table, write) {
    Object.assign(this, { quantity, window, table, write });
    const [low, high] = quantity.range;
    window.forEach((value, end) => {
      this.inputs[end].value = Math.round(((value - low) / (high - low)) * STEPS);
      this.inputs[end].setAttribute("aria-valuetext", write(value));
      this.labels[end].textContent = write(value);
    });
    this.draw();
  }

  moved(end) {
    const [low, high] = this.quantity.range, window = [...this.window];
    const value = low + (Number(this.inputs[end].value) / STEPS) * (high - low), least = (high - low) / STEPS;
    window[end] = end ? Math.max(value, window[0] + least) : Math.min(value, window[1] - least);
    this.change(window);
  }

  draw() {
    const { canvas, quantity, window, table } = this, ratio = Math.min(devicePixelRatio || 1, 2);
    const width = (canvas.width = Math.round(canvas.clientWidth * ratio));
    const height = (canvas.height = Math.round(canvas.clientHeight * ratio));
    const context = canvas.getContext("2d"), counts = quantity.histogram, [low, high] = quantity.range;
    const strip = Math.round(9 * ratio), top = Math.sqrt(Math.max(...counts));
    const colourAt = (x) => {
      const value = low + (x / width) * (high - low);
      const level = 3 * Math.max(0, Math.min(255, Math.floor(((value - window[0]) / (window[1] - window[0])) * 256)));
      return `rgb(${table[level]} ${table[level + 1]} ${table[level + 2]})`;
    };
    const bar = width / counts.length;
    counts.forEach((count, i) => { // square roots, so that a small organelle can be seen beside the medium
      const size = (Math.sqrt(count) / top) * (height - strip - 2 * ratio), inside = i * bar;
      const value = low + ((i + 0.5) / counts.length) * (high - low);
      context.fillStyle = value >= window[0] && value <= window[1] ? "#7b84a6" : "#363b55";
      context.fillRect(inside, height - strip - 2 * ratio - size, Math.max(bar - 0.5 * ratio, 1), size);
    });
    for (let x = 0; x < width; x++) {
      context.fillStyle = colourAt(x);
      context.fillRect(x, height - strip, 1, strip);
    }
  }
}
