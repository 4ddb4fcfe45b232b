"use strict";
// A picture before it has colours: one value, opacity and depth per pixel, at some stride of screen pixels.

class Raster {
  constructor(width, height, stride) {
    Object.assign(this, { width, height, stride });
    this.w = Math.ceil(width / stride);
    this.h = Math.ceil(height / stride);
    this.value = new Float32Array(this.w * this.h);
    this.alpha = new Float32Array(this.w * this.h);
    this.depth = new Float32Array(this.w * this.h);
  }

  /** The same picture at another stride, bilinearly: what is seen until better values come. */
  resampled(stride) {
    const to = new Raster(this.width, this.height, stride), ratio = stride / this.stride;
    const at = (i, n) => {
      const place = Math.min(Math.max((i + 0.5) * ratio - 0.5, 0), n - 1), low = Math.min(Math.floor(place), n - 2);
      return n < 2 ? [0, 0, 0] : [low, low + 1, place - low];
    };
    const columns = Array.from({ length: to.w }, (_, i) => at(i, this.w));
    const { value, alpha, depth } = this;
    for (let y = 0, i = 0; y < to.h; y++) {
      const [y0, y1, wy] = at(y, this.h), top = y0 * this.w, bottom = y1 * this.w;
      for (const [x0, x1, wx] of columns) {
        // by opacity, so that nothing mixes with what is not there
        const a = (1 - wy) * (1 - wx) * alpha[top + x0], b = (1 - wy) * wx * alpha[top + x1];
        const c = wy * (1 - wx) * alpha[bottom + x0], d = wy * wx * alpha[bottom + x1], sum = a + b + c + d;
        const mean = (v) => (a * v[top + x0] + b * v[top + x1] + c * v[bottom + x0] + d * v[bottom + x1]) / sum;
        to.alpha[i] = sum;
        if (sum > 0) {
          to.value[i] = mean(value);
          to.depth[i] = mean(depth);
        }
        i++;
      }
    }
    return to;
  }

  /** The canvas to draw, stride times smaller than the screen's pixels; `paint(raster, pixels)` colours it. */
  canvas(paint) {
    this.picture ??= Object.assign(document.createElement("canvas"), { width: this.w, height: this.h });
    const context = this.picture.getContext("2d");
    const image = context.createImageData(this.w, this.h);
    paint(this, image.data);
    context.putImageData(image, 0, 0);
    return this.picture;
  }
}

/** Colours of 256 levels from black to white: 768 bytes. */
function colourTables(field) {
  const grey = Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3));
  return { fieldrx: bytesOf(field.colours), grey, inverted: grey.map((v) => 255 - v) };
}

/** Paints values between the two ends of the contrast window by a table of colours. */
function paintValues(table, [low, high]) {
  return ({ value, alpha }, pixels) => {
    const scale = 256 / (high - low);
    for (let i = 0, p = 0; i < value.length; i++, p += 4) {
      const level = 3 * Math.max(0, Math.min(255, Math.floor((value[i] - low) * scale)));
      pixels[p] = table[level];
      pixels[p + 1] = table[level + 1];
      pixels[p + 2] = table[level + 2];
      pixels[p + 3] = 255 * alpha[i];
    }
  };
}

/** Paints a surface, lit from the upper left, by the slopes of its depth [pixels per pixel]. */
function paintSurface(table, pixelUm) {
  return ({ w, h, alpha, depth, stride }, pixels) => {
    const pixel = pixelUm * stride;
    const slope = (i, back, forth) => {
      // at the edge of a surface before another one, the difference on the near side of it
      const a = back && alpha[i - back] ? depth[i] - depth[i - back] : NaN;
      const b = forth && alpha[i + forth] ? depth[i + forth] - depth[i] : NaN;
      if (a !== a && b !== b) return 0;
      if (a !== a || b !== b) return (a === a ? a : b) / pixel;
      const edge = Math.abs(a - b) > 4 * pixel;
      return (edge ? (Math.abs(a) < Math.abs(b) ? a : b) : (a + b) / 2) / pixel;
    };
    for (let y = 0, i = 0, p = 0; y < h; y++)
      for (let x = 0; x < w; x++, i++, p += 4) {
        if (!alpha[i]) continue;
        const gx = slope(i, x ? 1 : 0, x < w - 1 ? 1 : 0), gy = slope(i, y ? w : 0, y < h - 1 ? w : 0);
        const norm = 1 / Math.hypot(gx, gy, 1);
        const light = 0.5 + 0.5 * (0.72 - 0.4 * gx - 0.55 * gy) * norm, shine = light ** 40; // soft, as from a window
        const level = 3 * Math.min(255, Math.round(50 + 170 * light + 30 * shine));
        for (let c = 0; c < 3; c++) pixels[p + c] = Math.min(255, table[level + c] * (0.3 + 0.7 * light) + 45 * shine);
        pixels[p + 3] = 255 * alpha[i];
      }
  };
}
