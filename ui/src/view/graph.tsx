// The run as a graph: edges on a canvas, nodes as links. Moves only when asked; grows without jumping.
import { memo } from "./memo";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { clamp, extent, first, fit, follow, NODE, nodeX, nodeY, reveal, zoom, type Camera, type Size } from "../core/camera";
import { count, duration, plural } from "../core/format";
import { layout, type Box } from "../core/layout";
import { hasFailed, isTicking, ranFor, type Model, type Step } from "../core/model";
import type { Place } from "../core/route";
import { stackKey, UNFOLDABLE, visibleNodes, type GraphNode, type StackNode } from "../core/stack";
import { byFamily, isFailed, lookOf, overall } from "../core/states";
import { useNow } from "../data/hooks";
import { useSurroundings } from "./context";
import { drawEdges, drawMinimap, MINIMAP, minimapScale, palette } from "./graph_canvas";
import { StateIcon } from "./icon";
import { Link } from "./link";
import { Button } from "./parts";

export interface GraphProps {
  model: Model;
  selected: string | null;
  expand: readonly string[];
  /** Family to which others stand back. */
  only: string | null;
  placeOf: (node: GraphNode) => Place;
  onToggle: (key: string) => void;
  onClear: () => void;
}

/** Where each run's graph was looked at, for the way back. */
const cameras = new Map<string, Camera>();

export function Graph({ model, selected, expand, only, placeOf, onToggle, onClear }: GraphProps) {
  const { nav, isEmbedded } = useSurroundings();
  const keep = selected !== null && /^\d+$/.test(selected) ? Number(selected) : null;
  const expandKey = expand.join();
  const nodes = useMemo(() => visibleNodes(model, new Set(expand), keep), [model, expandKey, keep]);
  const placed = useMemo(() => {
    const byId = new Map(nodes.map((node) => [node.id, node]));
    return { byId, ...layout(nodes.map((node) => node.id), (id) => byId.get(id)!.parent, (id) => byId.get(id)!.deps) };
  }, [nodes]);
  const graph = extent(placed.cols, placed.rows);

  const root = useRef<HTMLDivElement>(null);
  const world = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const map = useRef<HTMLCanvasElement>(null);
  const probe = useRef<HTMLSpanElement>(null);
  const camera = useRef<Camera | null>(cameras.get(model.header.run) ?? null);
  const view = useRef<Size>({ width: 0, height: 0 });
  const before = useRef<Map<string, Box>>(new Map());
  const drag = useRef<{ isDragging: boolean }>({ isDragging: false });
  const frame = useRef(0);
  const [hovered, setHovered] = useState<string | null>(null);
  const [active, setActive] = useState<string | null>(null);
  const [isFar, setFar] = useState(false);
  const [isPartial, setPartial] = useState(false);
  const [window_, setWindow] = useState<[number, number, number, number] | null>(null);
  const lit = hovered ?? selected;

  const latest = useRef({ nodes, placed, graph, lit });
  latest.current = { nodes, placed, graph, lit };

  const draw = (): void => {
    frame.current = 0;
    const at = camera.current;
    const { nodes: all, placed: now, graph: size, lit: bright } = latest.current;
    if (!at || !canvas.current || !probe.current || !world.current || !view.current.width) return;
    world.current.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.k})`;
    const colours = palette(probe.current);
    drawEdges(canvas.current, view.current, at, all, now.boxes, bright, colours);
    const isWhole = at.x >= 0 && at.y >= 0 && at.x + size.width * at.k <= view.current.width && at.y + size.height * at.k <= view.current.height;
    setPartial(!isWhole);
    setFar(at.k < 0.45);
    if (map.current && !isWhole) drawMinimap(map.current, view.current, at, size, all, now.boxes, colours);
    if (all.length > 400) {
      // Only what is in view, in steps of half a screen.
      const step = (value: number, by: number): number => Math.floor(value / by) * by;
      const [w, h] = [view.current.width / at.k, view.current.height / at.k];
      const next: [number, number, number, number] = [step(-at.x / at.k - w / 2, w / 2), step(-at.y / at.k - h / 2, h / 2), w * 2.5, h * 2.5];
      setWindow((old) => (old && old.every((value, i) => Math.abs(value - next[i]!) < 1) ? old : next));
    } else setWindow(null);
  };
  const redraw = (): void => {
    if (!frame.current) frame.current = requestAnimationFrame(draw);
  };
  const move = (next: Camera): void => {
    camera.current = clamp(next, latest.current.graph, view.current);
    cameras.set(model.header.run, camera.current);
    redraw();
  };
  const positionOf = (id: string | null): { x: number; y: number } | null => {
    const box = id === null ? undefined : latest.current.placed.boxes.get(id);
    return box ? { x: nodeX(box.col), y: nodeY(box.row) } : null;
  };

  // The first look, once there is a size; later sizes only redraw.
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => {
      const element = root.current;
      if (!element) return;
      view.current = { width: element.clientWidth, height: element.clientHeight };
      if (!view.current.width) return;
      if (!camera.current) {
        const interesting = latest.current.nodes.find((node) => (node.kind === "step" ? hasFailed(node.step) || node.step.status === "running" : false));
        camera.current = first(latest.current.graph, view.current, positionOf(selected) ?? positionOf(interesting?.id ?? null) ?? { x: 0, y: 0 });
      }
      redraw();
    });
    observer.observe(root.current!);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const onTheme = (): void => redraw();
    scheme.addEventListener("change", onTheme);
    const themes = new MutationObserver(onTheme);
    const themed = root.current!.closest("[data-theme]") ?? document.documentElement;
    themes.observe(themed, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      observer.disconnect();
      themes.disconnect();
      scheme.removeEventListener("change", onTheme);
      cancelAnimationFrame(frame.current);
      frame.current = 0;
    };
  }, []);

  // New steps may move bands down: what the person looks at stays where it is.
  useLayoutEffect(() => {
    const old = before.current;
    before.current = placed.boxes;
    const at = camera.current;
    if (at && old.size && !drag.current.isDragging) {
      const anchor = selected !== null && old.has(selected) ? selected : nearestToCentre(old, at, view.current);
      const [was, is] = [old.get(anchor ?? ""), placed.boxes.get(anchor ?? "")];
      if (was && is && (was.col !== is.col || was.row !== is.row)) {
        camera.current = follow(at, nodeX(is.col) - nodeX(was.col), nodeY(is.row) - nodeY(was.row));
      }
    }
    redraw();
  }, [placed]);
  // The minimap is there only after it was found to be needed.
  useEffect(redraw, [lit, isPartial]);

  useEffect(() => {
    const at = positionOf(selected);
    if (at && camera.current && view.current.width) move(reveal(camera.current, at, view.current));
    if (selected !== null) setActive(selected);
  }, [selected]);

  usePointers(root, camera, move, drag, isEmbedded);

  const zoomBy = (factor: number): void => {
    if (camera.current) move(zoom(camera.current, factor, { x: view.current.width / 2, y: view.current.height / 2 }));
  };
  const fitAll = (): void => move(fit(latest.current.graph, view.current));
  const focusOn = (id: string): void => {
    setActive(id);
    const at = positionOf(id);
    if (at && camera.current) move(reveal(camera.current, at, view.current));
    const element = (): HTMLElement | null | undefined => world.current?.querySelector<HTMLElement>(`[data-node="${CSS.escape(id)}"]`);
    // One that is out of view is there after the next drawing.
    if (element()) element()!.focus({ preventScroll: true });
    else requestAnimationFrame(() => element()?.focus({ preventScroll: true }));
  };
  const current = active !== null && placed.byId.has(active) ? active : nodes[0]?.id ?? null;

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = placed.byId.get((event.target as HTMLElement).dataset?.["node"] ?? current ?? "");
    if (!at) return;
    const next = neighbour(event.key, at, nodes, placed.boxes);
    if (next) focusOn(next.id);
    else if (event.key === " " && at.kind === "stack" && canUnfold(at)) onToggle(at.id);
    else if (event.key === " " && at.kind === "step" && expand.includes(stackKey(at.step))) onToggle(stackKey(at.step));
    else if (event.key === "+" || event.key === "=") zoomBy(1.25);
    else if (event.key === "-") zoomBy(0.8);
    else if (event.key === "0") fitAll();
    else if (event.key === "f") cycle(nodes, at, (n) => (n.kind === "step" ? hasFailed(n.step) : Object.keys(n.counts).some(isFailed)), focusOn);
    else if (event.key === "r") cycle(nodes, at, (n) => (n.kind === "step" ? n.step.status : overall(n.counts)) === "running", focusOn);
    else if (event.key === "Escape") onClear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const shown = window_ ? nodes.filter((node) => {
    const box = placed.boxes.get(node.id)!;
    const [x, y] = [nodeX(box.col), nodeY(box.row)];
    return node.id === current || (x + NODE.width > window_[0] && x < window_[0] + window_[2] && y + NODE.height > window_[1] && y < window_[1] + window_[3]);
  }) : nodes;

  return (
    <div class={`graph${isFar ? " far" : ""}`} ref={root} role="group" aria-label={`Graph of ${plural(model.total, "step")}; arrow keys move`} onKeyDown={onKeyDown}>
      <span ref={probe} hidden />
      <canvas ref={canvas} class="edges" aria-hidden="true" />
      <div ref={world} class="world">
        {shown.map((node) => {
          const box = placed.boxes.get(node.id)!;
          const place = placeOf(node);
          const common = {
            x: nodeX(box.col), y: nodeY(box.row), place, href: nav.href(place), isSelected: node.id === selected, isActive: node.id === current,
            isDim: only !== null && !matches(node, only), onHover: setHovered, drag,
          };
          return node.kind === "step"
            ? <StepBox key={node.id} {...common} step={node.step} />
            : <StackBox key={node.id} {...common} stack={node} />;
        })}
      </div>
      <div class="graph-tools">
        {expand.length > 0 && <Button small onClick={() => expand.forEach(onToggle)}>Stack again</Button>}
        <Button small icon="plus" label="Zoom in (+)" onClick={() => zoomBy(1.25)} />
        <Button small label="Zoom out (-)" onClick={() => zoomBy(0.8)}>−</Button>
        <Button small title="Show all (0)" onClick={fitAll}>Fit</Button>
      </div>
      {isPartial && (
        <canvas
          ref={map} class="minimap" aria-hidden="true" style={{ width: `${MINIMAP.width}px`, height: `${MINIMAP.height}px` }}
          onPointerDown={(event) => {
            event.stopPropagation();
            const scale = minimapScale(graph);
            const x = (event.offsetX - (MINIMAP.width - graph.width * scale) / 2) / scale;
            const y = (event.offsetY - (MINIMAP.height - graph.height * scale) / 2) / scale;
            const k = camera.current!.k;
            move({ k, x: view.current.width / 2 - x * k, y: view.current.height / 2 - y * k });
          }}
        />
      )}
    </div>
  );
}

const canUnfold = (stack: StackNode): boolean => !stack.isFold && stack.size <= UNFOLDABLE;

function matches(node: GraphNode, only: string): boolean {
  return node.kind === "step" ? lookOf(node.step.status).family === only : byFamily(node.counts).has(only as never);
}

interface BoxProps {
  x: number;
  y: number;
  place: Place;
  href: string;
  isSelected: boolean;
  isActive: boolean;
  isDim: boolean;
  onHover: (id: string | null) => void;
  drag: { current: { isDragging: boolean } };
}

function boxAttributes(id: string, props: BoxProps, look: string) {
  const { x, y, isSelected, isActive, isDim, onHover, drag } = props;
  return {
    class: `node f-${look}${isSelected ? " selected" : ""}${isDim ? " dimmed" : ""}`,
    style: { left: `${x}px`, top: `${y}px`, width: `${NODE.width}px`, height: `${NODE.height}px` },
    "data-node": id,
    "aria-current": isSelected ? ("true" as const) : undefined,
    tabIndex: isActive ? 0 : -1,
    draggable: false,
    onPointerEnter: () => onHover(id),
    onPointerLeave: () => onHover(null),
    onClick: (event: MouseEvent) => {
      if (drag.current.isDragging) event.preventDefault();
    },
  };
}

/** Unchanged steps in unchanged places are not drawn again. */
const isSame = (a: BoxProps, b: BoxProps): boolean =>
  a.x === b.x && a.y === b.y && a.isSelected === b.isSelected && a.isActive === b.isActive && a.isDim === b.isDim && a.href === b.href;

const StepBox = memo<BoxProps & { step: Step }>(function StepBox({ step, ...props }) {
  const look = lookOf(step.status);
  return (
    <Link {...boxAttributes(String(step.number), props, look.family)} to={props.place}>
      <span class="node-name"><StateIcon status={step.status} />{step.name}<span class="sr">, step {step.number}, {look.word}</span></span>
      <span class="node-about">
        {step.groupName && <span class="node-group">{step.groupName}</span>}
        <StepTime step={step} />
        {step.attempts.length > 1 && <span title="attempts"><span class="sr">attempt </span>#{step.latest.number}</span>}
        {hasFailed(step) && !isFailed(step.status) && <StateIcon status={step.outcome} size={11} />}
      </span>
    </Link>
  );
}, (a, b) => a.step === b.step && isSame(a, b));

function StepTime({ step }: { step: Step }) {
  const isRunning = isTicking(step.latest) && step.latest.as !== undefined;
  const now = useNow(isRunning);
  const time = ranFor(step.latest, now);
  return <span class="num">{isRunning || time === null ? lookOf(step.status).word : ""}{time !== null && `${isRunning ? " " : ""}${duration(time)}`}</span>;
}

type StackProps = BoxProps & { stack: StackNode };
const isSameStack = (a: StackProps, b: StackProps): boolean =>
  isSame(a, b) && a.stack.size === b.stack.size && a.stack.hidden === b.stack.hidden && JSON.stringify(a.stack.counts) === JSON.stringify(b.stack.counts);

const StackBox = memo<StackProps>(function StackBox({ stack, ...props }) {
  const status = overall(stack.counts);
  const families = byFamily(stack.counts);
  const failed = families.get("failed") ?? 0;
  const done = stack.size - (families.get("active") ?? 0) - (families.get("pending") ?? 0);
  const attributes = boxAttributes(stack.id, props, lookOf(status).family);
  return (
    <Link {...attributes} class={`${attributes.class} stack`} to={props.place}>
      <span class="node-name"><StateIcon status={status} />{stack.groupName ?? stack.name}<span class="times">×{count(stack.size)}</span></span>
      <Histogram counts={stack.counts} />
      <span class="node-about">
        <span class="num">{count(done)}/{count(stack.size)}<span class="sr"> done</span></span>
        {failed > 0 && <span class="failed-count">{count(failed)} failed</span>}
        {stack.hidden > 0 && <span title="steps below them">+{count(stack.hidden)}</span>}
      </span>
    </Link>
  );
}, isSameStack);

export function Histogram({ counts }: { counts: Record<string, number> }) {
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0) || 1;
  return (
    <span class="histogram" aria-hidden="true">
      {[...byFamily(counts)].map(([family, n]) => <span key={family} class={`bar f-${family}`} style={{ flexGrow: String(Math.max(n / total, 0.02)) }} />)}
    </span>
  );
}

function nearestToCentre(boxes: Map<string, Box>, camera: Camera, view: Size): string | null {
  const x = (view.width / 2 - camera.x) / camera.k;
  const y = (view.height / 2 - camera.y) / camera.k;
  let best: string | null = null;
  let least = Infinity;
  for (const box of boxes.values()) {
    const distance = Math.abs(nodeX(box.col) - x) + Math.abs(nodeY(box.row) - y);
    if (distance < least) [best, least] = [box.id, distance];
  }
  return best;
}

/** Where an arrow key leads: left to what it came from, right to what comes of it, up and down the column. */
function neighbour(key: string, from: GraphNode, nodes: readonly GraphNode[], boxes: Map<string, Box>): GraphNode | undefined {
  const box = boxes.get(from.id)!;
  if (key === "ArrowLeft") return nodes.find((node) => node.id === (from.deps[0] ?? from.parent));
  if (key === "ArrowRight") {
    return nodes.find((node) => node.deps.includes(from.id)) ?? nodes.find((node) => node.parent === from.id);
  }
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
  const sign = key === "ArrowDown" ? 1 : -1;
  let best: GraphNode | undefined;
  let least = Infinity;
  for (const node of nodes) {
    const other = boxes.get(node.id)!;
    const rows = (other.row - box.row) * sign;
    const distance = rows + Math.abs(other.col - box.col) * 1000;
    if (rows > 0 && distance < least) [best, least] = [node, distance];
  }
  return best;
}

function cycle(nodes: readonly GraphNode[], from: GraphNode, fits: (node: GraphNode) => boolean, focus: (id: string) => void): void {
  const start = nodes.indexOf(from);
  const found = [...nodes.slice(start + 1), ...nodes.slice(0, start)].find(fits);
  if (found) focus(found.id);
}

/** Drag pans, two fingers zoom, the wheel pans or, with Ctrl, zooms; in a notebook a plain wheel scrolls the page. */
function usePointers(
  root: { current: HTMLDivElement | null }, camera: { current: Camera | null }, move: (next: Camera) => void,
  drag: { current: { isDragging: boolean } }, isEmbedded: boolean,
): void {
  useEffect(() => {
    const element = root.current!;
    const pointers = new Map<number, { x: number; y: number }>();
    let travelled = 0;
    const down = (event: PointerEvent): void => {
      if (event.button !== 0 || (event.target as HTMLElement).closest(".graph-tools")) return;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      travelled = 0;
      drag.current.isDragging = false;
    };
    const moved = (event: PointerEvent): void => {
      const was = pointers.get(event.pointerId);
      const at = camera.current;
      if (!was || !at) return;
      const is = { x: event.clientX, y: event.clientY };
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      pointers.set(event.pointerId, is);
      travelled += Math.abs(is.x - was.x) + Math.abs(is.y - was.y);
      if (travelled < 5) return;
      if (!drag.current.isDragging) {
        drag.current.isDragging = true;
        element.setPointerCapture(event.pointerId);
        element.classList.add("dragging");
      }
      if (other) {
        const rect = element.getBoundingClientRect();
        const apart = (p: { x: number; y: number }): number => Math.hypot(p.x - other.x, p.y - other.y) || 1;
        move(zoom(at, apart(is) / apart(was), { x: (is.x + other.x) / 2 - rect.left, y: (is.y + other.y) / 2 - rect.top }));
      } else move({ k: at.k, x: at.x + is.x - was.x, y: at.y + is.y - was.y });
    };
    const up = (event: PointerEvent): void => {
      pointers.delete(event.pointerId);
      element.classList.remove("dragging");
      // The click that follows a drag selects nothing.
      setTimeout(() => { drag.current.isDragging = false; }, 0);
    };
    const wheel = (event: WheelEvent): void => {
      const at = camera.current;
      const isZoom = event.ctrlKey || event.metaKey;
      if (!at || (isEmbedded && !isZoom)) return;
      event.preventDefault();
      const scale = event.deltaMode === 1 ? 16 : 1;
      const rect = element.getBoundingClientRect();
      if (isZoom) move(zoom(at, Math.exp(-event.deltaY * scale * 0.004), { x: event.clientX - rect.left, y: event.clientY - rect.top }));
      else move({ k: at.k, x: at.x - (event.shiftKey ? event.deltaY : event.deltaX) * scale, y: at.y - (event.shiftKey ? 0 : event.deltaY) * scale });
    };
    element.addEventListener("pointerdown", down);
    element.addEventListener("pointermove", moved);
    element.addEventListener("pointerup", up);
    element.addEventListener("pointercancel", up);
    element.addEventListener("wheel", wheel, { passive: false });
    return () => {
      element.removeEventListener("pointerdown", down);
      element.removeEventListener("pointermove", moved);
      element.removeEventListener("pointerup", up);
      element.removeEventListener("pointercancel", up);
      element.removeEventListener("wheel", wheel);
    };
  }, []);
}
