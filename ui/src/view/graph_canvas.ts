// Edges and the minimap, drawn on canvases in the colours of the style sheet.
import { CELL, NODE, nodeX, nodeY, type Camera, type Size } from "../core/camera";
import type { Box } from "../core/layout";
import { overall } from "../core/states";
import { lookOf } from "../core/states";
import type { GraphNode } from "../core/stack";

export interface Palette {
  line: string;
  faint: string;
  accent: string;
  text: string;
  families: Record<string, string>;
}

/** Colours as they are now; custom properties are resolved by the browser on a probe. */
export function palette(probe: HTMLElement): Palette {
  const of = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const families = Object.fromEntries(["pending", "active", "ok", "reused", "failed", "stopped", "input"].map((name) => [name, of(name)]));
  return { line: of("edge"), faint: of("edge-faint"), accent: of("accent"), text: of("text"), families };
}

function prepare(canvas: HTMLCanvasElement, view: Size): CanvasRenderingContext2D | null {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(view.width * ratio);
  const height = Math.round(view.height * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  context?.clearRect(0, 0, view.width, view.height);
  return context;
}

export function drawEdges(
  canvas: HTMLCanvasElement, view: Size, camera: Camera, nodes: readonly GraphNode[], boxes: Map<string, Box>, lit: string | null, colours: Palette,
): void {
  const context = prepare(canvas, view);
  if (!context) return;
  context.translate(camera.x, camera.y);
  context.scale(camera.k, camera.k);
  const seen = seenBy(camera, view);
  const spawn = new Path2D();
  const needs = new Path2D();
  const bright = new Path2D();
  for (const node of nodes) {
    const to = boxes.get(node.id);
    if (!to) continue;
    for (const dep of node.deps) {
      const from = boxes.get(dep);
      if (!from || !isSeen(from, to, seen)) continue;
      curve(lit !== null && (lit === node.id || lit === dep) ? bright : needs, from, to);
    }
    if (node.parent !== null && !node.deps.length) {
      const from = boxes.get(node.parent);
      if (from && isSeen(from, to, seen)) elbow(lit !== null && lit === node.id ? bright : spawn, from, to, seen);
    }
  }
  context.lineWidth = 1.3;
  context.strokeStyle = colours.faint;
  context.setLineDash([DASH / 2, DASH / 2]);
  context.stroke(spawn);
  context.setLineDash([]);
  context.lineWidth = 1.6;
  context.strokeStyle = colours.line;
  context.stroke(needs);
  context.lineWidth = 2.2;
  context.strokeStyle = colours.accent;
  context.stroke(bright);
}

interface Seen {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** What of the graph is in view, and a little round it: curves bulge. */
function seenBy(camera: Camera, view: Size): Seen {
  const margin = CELL.width;
  return {
    left: -camera.x / camera.k - margin, right: (view.width - camera.x) / camera.k + margin,
    top: -camera.y / camera.k - margin, bottom: (view.height - camera.y) / camera.k + margin,
  };
}

function isSeen(from: Box, to: Box, seen: Seen): boolean {
  const [x1, y1, x2, y2] = ends(from, to);
  return Math.max(x1, x2) >= seen.left && Math.min(x1, x2) <= seen.right && Math.max(y1, y2) >= seen.top && Math.min(y1, y2) <= seen.bottom;
}

function ends(from: Box, to: Box): [number, number, number, number] {
  return [nodeX(from.col) + NODE.width, nodeY(from.row) + NODE.height / 2, nodeX(to.col), nodeY(to.row) + NODE.height / 2];
}

function curve(path: Path2D, from: Box, to: Box): void {
  const [x1, y1, x2, y2] = ends(from, to);
  const bend = Math.max(28, (x2 - x1) / 2.4);
  path.moveTo(x1, y1);
  path.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2, y2);
}

/** One dash and one gap. */
const DASH = 6;

/**
 * Down the gutter right of the parent, then to the child: children of one parent share the line. Only what is seen is drawn:
 * the browser makes the dashes of all of a line, and in a big graph most of it is far away.
 */
function elbow(path: Path2D, from: Box, to: Box, seen: Seen): void {
  const [x1, y1, x2, y2] = ends(from, to);
  const gutter = x1 + 20;
  if (y1 === y2) {
    path.moveTo(x1, y1);
    path.lineTo(x2, y2);
    return;
  }
  const clip = (y: number): number => Math.min(seen.bottom, Math.max(seen.top, y));
  const [start, end] = [clip(y1), clip(y2)];
  if (start === y1) {
    path.moveTo(x1, y1);
    path.lineTo(gutter, y1);
    // In whole dashes, so that they do not run along the line when the graph is moved.
  } else path.moveTo(gutter, y1 + Math.trunc((start - y1) / DASH) * DASH);
  if (end === y2) {
    path.arcTo(gutter, y2, gutter + 10, y2, Math.min(10, Math.abs(y2 - y1) / 2));
    path.lineTo(x2, y2);
  } else path.lineTo(gutter, end);
}

export const MINIMAP: Size = { width: 168, height: 104 };

export function minimapScale(graph: Size): number {
  return Math.min((MINIMAP.width - 12) / graph.width, (MINIMAP.height - 12) / graph.height);
}

export function drawMinimap(
  canvas: HTMLCanvasElement, view: Size, camera: Camera, graph: Size, nodes: readonly GraphNode[], boxes: Map<string, Box>, colours: Palette,
): void {
  const context = prepare(canvas, MINIMAP);
  if (!context) return;
  const scale = minimapScale(graph);
  context.translate((MINIMAP.width - graph.width * scale) / 2, (MINIMAP.height - graph.height * scale) / 2);
  for (const node of nodes) {
    const box = boxes.get(node.id);
    if (!box) continue;
    const status = node.kind === "step" ? node.step.status : overall(node.counts);
    context.fillStyle = colours.families[lookOf(status).family] ?? colours.line;
    context.fillRect(nodeX(box.col) * scale, nodeY(box.row) * scale, Math.max(2, NODE.width * scale), Math.max(1.5, NODE.height * scale));
  }
  context.strokeStyle = colours.text;
  context.lineWidth = 1;
  context.strokeRect((-camera.x / camera.k) * scale, (-camera.y / camera.k) * scale, (view.width / camera.k) * scale, (view.height / camera.k) * scale);
}
