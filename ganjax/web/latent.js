// The generator's input: a point, random points, and the way between two.
"use strict";

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

// The generator's input: z = rest + Σ coordinates[i] · directions[i], and a label.
class Point {
  constructor(settings) {
    this.settings = settings;
    this.label = 0;
    this.move(settings.start);
  }

  move(z) {
    const { directions } = this.settings;
    this.coordinates = directions.map((direction) => dot(direction, z));
    this.rest = z.map(
      (x, i) => x - directions.reduce((s, d, k) => s + this.coordinates[k] * d[i], 0),
    );
  }

  // z, or that of a neighbor whose first coordinates differ by `offset`.
  z(offset = []) {
    const values = this.coordinates.map((x, k) => x + (offset[k] ?? 0));
    return this.rest.map((x, i) =>
      this.settings.directions.reduce((sum, d, k) => sum + values[k] * d[i], x),
    );
  }
}

// A random z of the prior.
function randomZ({ z_dim, prior, scale }) {
  if (prior === "uniform") {
    return Array.from({ length: z_dim }, () => scale * Math.sqrt(3) * (2 * Math.random() - 1));
  }
  const z = Array.from(
    { length: z_dim },
    () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );
  const length = prior === "sphere" ? Math.sqrt(dot(z, z) / z_dim) : 1;
  return z.map((x) => (scale * x) / length);
}

// The point at a fraction of the way along the arc from a to b: samples of a normal
// distribution lie near a sphere, and the points in between do too.
function slerp(a, b, fraction) {
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  // Nearly the same, opposite, or a zero: there is no arc.
  if (!(Math.sin(angle) > 1e-3)) return a.map((x, i) => x + fraction * (b[i] - x));
  const from = Math.sin((1 - fraction) * angle) / Math.sin(angle);
  const to = Math.sin(fraction * angle) / Math.sin(angle);
  return a.map((x, i) => from * x + to * b[i]);
}
