// A window into a long log: pages are added at either end, and dropped at the other when it gets long.
// Every line keeps its id, so nothing is shown twice or missed. No DOM.
import type { LogLine } from "./model";

/** Most lines kept. */
export const KEPT = 20_000;

export interface Window {
  lines: LogLine[];
  /** Whether there are, or may be, lines before and after. */
  hasEarlier: boolean;
  hasLater: boolean;
}

export const empty: Window = { lines: [], hasEarlier: false, hasLater: false };

/** Adds lines that came after those shown. */
export function append(window: Window, lines: readonly LogLine[], kept = KEPT): Window {
  const last = window.lines[window.lines.length - 1]?.id ?? 0;
  const fresh = lines.filter((line) => line.id > last);
  if (!fresh.length) return window;
  const all = window.lines.concat(fresh);
  const dropped = Math.max(0, all.length - kept);
  return { ...window, lines: dropped ? all.slice(dropped) : all, hasEarlier: window.hasEarlier || dropped > 0 };
}

/** Adds a page of lines that came before those shown. */
export function prepend(window: Window, lines: readonly LogLine[], isFirstPage: boolean, kept = KEPT): Window {
  const first = window.lines[0]?.id ?? Infinity;
  const all = lines.filter((line) => line.id < first).concat(window.lines);
  const isCut = all.length > kept;
  return { lines: isCut ? all.slice(0, kept) : all, hasEarlier: !isFirstPage, hasLater: window.hasLater || isCut };
}
