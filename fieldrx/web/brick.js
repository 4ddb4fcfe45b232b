"use strict";
// A coarse copy of the field in the measured region, made by the page from the network, finer and finer.
// It is only what the 3D view shows while it moves.

class Brick {
  constructor(app) {
    this.app = app;
    this.onGrown = () => {};
    app.scheduler.add(this);
    this.restart();
  }

  restart() {
    this.ready = null;
    this.work = this.grow();
    this.urgency = 40;
    this.app.scheduler.wake();
  }

  /** Whether it shows all but the smallest things, so that empty space can be told from it. */
  get fine() {
    return this.ready !== null && this.ready.values.length > 25000;
  }

  step() {
    if (this.work.next().done) this.urgency = 0;
  }

  *grow() {
    const { scheduler } = this.app;
    for (const [points, urgency] of [[1 << 12, 40], [1 << 15, 10], [1 << 18, 1.5]]) {
      if (this.ready && points / scheduler.rate > 8) return;
      this.urgency = urgency;
      const next = this.empty(points);
      const [nz, ny, nx] = next.shape, plane = ny * nx;
      for (let z = 0; z < nz; z++)
        for (const { x, y, w, h } of blocks(nx, ny, scheduler.chunk)) {
          const values = this.values(next, z, y, x, h, w);
          for (let row = 0; row < h; row++)
            next.values.set(values.subarray(row * w, (row + 1) * w), z * plane + (y + row) * nx + x);
          yield;
        }
      this.ready = next;
      this.onGrown();
    }
  }

  /** Nodes on the corners of the region, about as far apart along all axes. */
  empty(points) {
    const { field } = this.app, sizes = field.size.map((size) => Math.max(size, 1e-6));
    const step = Math.cbrt((sizes[0] * sizes[1] * sizes[2]) / points);
    const shape = sizes.map((size) => Math.min(256, Math.max(2, Math.round(size / step))));
    const spacing = sizes.map((size, k) => size / (shape[k] - 1));
    return { shape, spacing, values: new Float32Array(shape[0] * shape[1] * shape[2]) };
  }

  values({ spacing }, z, y, x, h, w) {
    const { field, scheduler, state } = this.app, [dz, dy, dx] = spacing;
    const origin = field.region_um.map(([lo], k) => lo + spacing[k] * [z, y, x][k]);
    return scheduler.evaluate(field.lattice(origin, [[0, dy, 0], [0, 0, dx], [dz, 0, 0]], [h, w, 1]), state.quantity);
  }

  /** Trilinear values at from + k step, k = 0 ... n - 1, into `out`. */
  sample(from, step, n, out) {
    const { shape, spacing, values } = this.ready, [nz, ny, nx] = shape, plane = ny * nx;
    const corner = this.app.field.region_um.map(([lo]) => lo);
    let z = (from[0] - corner[0]) / spacing[0], y = (from[1] - corner[1]) / spacing[1];
    let x = (from[2] - corner[2]) / spacing[2];
    const dz = step[0] / spacing[0], dy = step[1] / spacing[1], dx = step[2] / spacing[2];
    for (let k = 0; k < n; k++, z += dz, y += dy, x += dx) {
      const iz = z < 0 ? 0 : z >= nz - 1 ? nz - 2 : z | 0, iy = y < 0 ? 0 : y >= ny - 1 ? ny - 2 : y | 0;
      const ix = x < 0 ? 0 : x >= nx - 1 ? nx - 2 : x | 0;
      const wz = z - iz, wy = y - iy, wx = x - ix, i = (iz * ny + iy) * nx + ix, j = i + plane;
      const a = values[i] + wx * (values[i + 1] - values[i]);
      const b = values[i + nx] + wx * (values[i + nx + 1] - values[i + nx]);
      const c = values[j] + wx * (values[j + 1] - values[j]);
      const d = values[j + nx] + wx * (values[j + nx + 1] - values[j + nx]);
      const ab = a + wy * (b - a);
      out[k] = ab + wz * (c + wy * (d - c) - ab);
    }
  }
}
