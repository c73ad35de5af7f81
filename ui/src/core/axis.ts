// The time axis of the timeline: nice ticks, their labels, where a span lies. No DOM.
import { duration } from "./format";

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
  600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000];

/** Ticks as ms after `origin`, about `wanted` of them. */
export function ticks(from: number, to: number, origin: number, wanted: number): number[] {
  const span = Math.max(1, to - from);
  const step = STEPS.find((size) => span / size <= wanted) ?? Math.ceil(span / wanted / 86_400_000) * 86_400_000;
  const found: number[] = [];
  for (let at = Math.ceil((from - origin) / step) * step; origin + at <= to; at += step) found.push(at);
  return found;
}

/** `0`, `500 ms`, `1.5 s`, `2 min`. */
export function tickLabel(ms: number): string {
  if (ms === 0) return "0";
  if (ms >= 1000 && ms < 60_000) return ms % 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms / 1000} s`;
  return duration(ms).replace(/ 0 (s|min|h)$/, "");
}

export interface Window {
  from: number;
  to: number;
}

/** Left and width in percent, or null if it lies outside. */
export function place(start: number, end: number, view: Window): { left: number; width: number } | null {
  const span = view.to - view.from;
  if (end < view.from || start > view.to || span <= 0) return null;
  const left = ((Math.max(start, view.from) - view.from) / span) * 100;
  const right = ((Math.min(end, view.to) - view.from) / span) * 100;
  return { left, width: right - left };
}
