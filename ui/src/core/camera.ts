// Where the eye is over the graph: pan and zoom as arithmetic. No DOM.
export interface Camera {
  x: number;
  y: number;
  k: number;
}

export interface Size {
  width: number;
  height: number;
}

export const NODE = { width: 184, height: 48 };
export const CELL = { width: NODE.width + 56, height: NODE.height + 14 };
const MIN = 0.12;
const MAX = 2;
/** How much of the graph always stays in view, in pixels. */
const KEPT = 80;

export const nodeX = (col: number): number => col * CELL.width;
export const nodeY = (row: number): number => row * CELL.height;
export const extent = (cols: number, rows: number): Size => ({ width: cols * CELL.width - 56, height: rows * CELL.height - 14 });

/** Zoom about a point of the screen. */
export function zoom(camera: Camera, factor: number, at: { x: number; y: number }): Camera {
  const k = Math.min(MAX, Math.max(MIN, camera.k * factor));
  const real = k / camera.k;
  return { k, x: at.x - (at.x - camera.x) * real, y: at.y - (at.y - camera.y) * real };
}

/** So that some of the graph stays in view. */
export function clamp(camera: Camera, graph: Size, view: Size): Camera {
  const bound = (value: number, size: number, visible: number): number => Math.min(visible - KEPT, Math.max(KEPT - size * camera.k, value));
  return { k: camera.k, x: bound(camera.x, graph.width, view.width), y: bound(camera.y, graph.height, view.height) };
}

/** All of it, as large as it can be. */
export function fit(graph: Size, view: Size): Camera {
  const k = Math.min(1.1, Math.max(MIN, Math.min((view.width - 48) / graph.width, (view.height - 48) / graph.height)));
  return { k, x: (view.width - graph.width * k) / 2, y: (view.height - graph.height * k) / 2 };
}

/** The first look: all of it where that is readable, else the left end with a node of interest in the middle. */
export function first(graph: Size, view: Size, focus: { x: number; y: number }): Camera {
  const whole = fit(graph, view);
  if (whole.k >= 0.75) return { ...whole, x: Math.min(whole.x, 40) };
  const k = 0.85;
  const x = graph.width * k <= view.width - 48 ? 24 : Math.min(24, view.width / 2 - (focus.x + NODE.width / 2) * k);
  const y = graph.height * k <= view.height - 48 ? 24 : Math.min(24, view.height / 2 - (focus.y + NODE.height / 2) * k);
  return { k, x, y };
}

/** The same view after nodes moved by `dx`, `dy` in the graph. */
export function follow(camera: Camera, dx: number, dy: number): Camera {
  return { k: camera.k, x: camera.x - dx * camera.k, y: camera.y - dy * camera.k };
}

/** The view moved, no more than needed, so that the node is in it. */
export function reveal(camera: Camera, node: { x: number; y: number }, view: Size): Camera {
  const left = node.x * camera.k + camera.x;
  const top = node.y * camera.k + camera.y;
  const right = left + NODE.width * camera.k;
  const bottom = top + NODE.height * camera.k;
  const shift = (low: number, high: number, size: number): number => (low < 16 ? 16 - low : high > size - 16 ? Math.max(size - 16 - high, 16 - low) : 0);
  return { k: camera.k, x: camera.x + shift(left, right, view.width), y: camera.y + shift(top, bottom, view.height) };
}
