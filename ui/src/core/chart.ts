// Line charts as arithmetic: which series share a chart, axes with round ticks, paths. No DOM.

export interface Axis {
  name: string;
  units?: string | null;
  lower?: number | null;
  upper?: number | null;
}

export interface Series {
  execution: string;
  key: string;
  kind: "metric" | "progress";
  group: Axis | null;
  scale: Axis | null;
  total: number | null;
  count: number;
  last: [number, number | null] | null;
  points: [number, number | null][];
}

export interface ChartData {
  title: string;
  group: Axis | null;
  series: Series[];
}

/** Series of one group share a chart; those without a group share it by their key. */
export function charts(all: readonly Series[]): ChartData[] {
  const found = new Map<string, ChartData>();
  for (const series of all) {
    if (series.kind === "progress") continue;
    const key = series.group ? `g ${series.group.name}` : `k ${series.key}`;
    const chart = found.get(key);
    if (chart) chart.series.push(series);
    else found.set(key, { title: series.group?.name ?? series.key, group: series.group, series: [series] });
  }
  return [...found.values()];
}

/** Newer points joined to those that are there: of each series only what comes after its end. */
export function join(before: readonly Series[], newer: readonly Series[], most: number): Series[] {
  const byId = new Map(before.map((series) => [`${series.execution} ${series.key}`, series]));
  for (const series of newer) {
    const id = `${series.execution} ${series.key}`;
    const known = byId.get(id);
    if (!known) {
      byId.set(id, series);
      continue;
    }
    const end = known.points.at(-1)?.[0] ?? -Infinity;
    let points = known.points.concat(series.points.filter(([at]) => at > end));
    // Every other point of what is old enough: the shape stays, the size does not grow.
    if (points.length > 2 * most) points = points.filter((_, i) => i % 2 === 0 || i > points.length - most / 2);
    byId.set(id, { ...series, points });
  }
  return [...byId.values()];
}

/** Round numbers from `low` to `high`, about `wanted` of them. */
export function niceTicks(low: number, high: number, wanted: number): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? raw;
  const found: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** Powers of ten for a logarithmic axis. */
export function logTicks(low: number, high: number): number[] {
  const found: number[] = [];
  for (let e = Math.floor(Math.log10(low)); 10 ** e <= high * 1.0001; e++) if (10 ** e >= low * 0.999) found.push(10 ** e);
  return found.length >= 2 ? found : [low, high];
}

export interface Range {
  low: number;
  high: number;
}

/** What the axis spans: its own ends where it has them, else what the values need. */
export function rangeOf(values: Iterable<number>, axis: Axis | null, isLog = false): Range {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (isLog && value <= 0) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (axis?.lower !== null && axis?.lower !== undefined) low = axis.lower;
  if (axis?.upper !== null && axis?.upper !== undefined) high = axis.upper;
  if (!Number.isFinite(low) || !Number.isFinite(high)) return isLog ? { low: 1, high: 10 } : { low: 0, high: 1 };
  if (low === high) return isLog ? { low: low / 2, high: high * 2 } : { low: low - Math.abs(low || 1) * 0.1, high: high + Math.abs(high || 1) * 0.1 };
  return { low, high };
}

export function position(value: number, range: Range, size: number, isLog = false): number {
  const f = isLog ? Math.log10 : (x: number): number => x;
  return ((f(value) - f(range.low)) / (f(range.high) - f(range.low))) * size;
}

/** An SVG path; a gap in the values is a gap in the line. */
export function linePath(points: readonly [number, number | null][], x: Range, y: Range, width: number, height: number, isLog = false): string {
  let path = "";
  let isDown = false;
  for (const [at, value] of points) {
    if (value === null || (isLog && value <= 0)) {
      isDown = false;
      continue;
    }
    path += `${isDown ? "L" : "M"}${position(at, x, width).toFixed(1)},${(height - position(value, y, height, isLog)).toFixed(1)}`;
    isDown = true;
  }
  return path;
}

/** The point nearest to a place on the horizontal axis. */
export function nearest(points: readonly [number, number | null][], at: number): [number, number | null] | null {
  let low = 0;
  let high = points.length - 1;
  if (high < 0) return null;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]![0] < at) low = middle + 1;
    else high = middle;
  }
  const after = points[low]!;
  const before = points[low - 1];
  return before && at - before[0] < after[0] - at ? before : after;
}

/** `0.00123`, `12.5`, `3.4k`, `1.2M`. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${Number((value / 1e9).toPrecision(3))}G`;
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  if (size !== 0 && size < 1e-4) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}
