// One language of states for page, widget and terminal: family (colour), glyph, word.
// Belongs here: what each status looks like and which one stands for many. Not here: drawing.

export type Family = "pending" | "active" | "ok" | "reused" | "failed" | "stopped" | "input";
export type Glyph =
  | "ring" | "quarter" | "dot" | "half" | "dotted" | "loop" | "dashed" | "hook" | "bars" | "tick" | "cross" | "barred" | "question";

export interface Look {
  family: Family;
  glyph: Glyph;
  word: string;
}

const look = (family: Family, glyph: Glyph, word: string): Look => ({ family, glyph, word });

/** The same glyphs and words as coflux/cli/output.py. */
export const STATES: Record<string, Look> = {
  queued: look("pending", "ring", "queued"),
  assigned: look("active", "quarter", "assigned"),
  running: look("active", "dot", "running"),
  waiting: look("active", "half", "waiting"),
  suspended: look("active", "dotted", "suspended"),
  recurred: look("ok", "loop", "recurred"),
  superseded: look("pending", "dashed", "superseded"),
  deferred: look("reused", "dashed", "deferred"),
  spawned: look("reused", "hook", "spawned"),
  cached: look("reused", "bars", "cached"),
  value: look("ok", "tick", "done"),
  succeeded: look("ok", "tick", "succeeded"),
  error: look("failed", "cross", "failed"),
  failed: look("failed", "cross", "failed"),
  crashed: look("failed", "cross", "crashed"),
  abandoned: look("failed", "cross", "abandoned"),
  timeout: look("failed", "cross", "timeout"),
  cancelled: look("stopped", "barred", "cancelled"),
  // Of the page alone: a step that waits for a person, and the states of inputs.
  asking: look("input", "question", "waiting for you"),
  open: look("input", "question", "open"),
  answered: look("ok", "tick", "answered"),
  dismissed: look("stopped", "barred", "dismissed"),
  active: look("ok", "dot", "active"),
  paused: look("stopped", "dotted", "paused"),
  archived: look("pending", "ring", "archived"),
};

export function lookOf(status: string): Look {
  return STATES[status] ?? look("pending", "ring", status);
}

const UNFINISHED = new Set(["queued", "assigned", "running", "waiting", "asking"]);
const FAILED = new Set(["error", "failed", "crashed", "abandoned", "timeout"]);
const LINKS = new Set(["cached", "deferred", "spawned"]);

export const isUnfinished = (status: string): boolean => UNFINISHED.has(status);
export const isFailed = (status: string): boolean => FAILED.has(status);
/** Whether a result of this kind takes another execution's outcome. */
export const isLink = (status: string): boolean => LINKS.has(status);
/** Whether a run of this status will change by itself. */
export const isLive = (status: string): boolean => UNFINISHED.has(status) || status === "suspended";

/** Chips and histograms show families in this order. */
export const FAMILIES: readonly Family[] = ["failed", "active", "pending", "stopped", "reused", "ok", "input"];

/** What a stack as a whole is shown as: running while anything runs, else its worst member. */
export function overall(counts: Record<string, number>): string {
  const order = ["asking", "running", "waiting", "assigned", "queued", "suspended", "error", "crashed", "timeout", "abandoned",
    "cancelled", "value", "recurred", "cached", "spawned", "deferred", "superseded"];
  return order.find((status) => (counts[status] ?? 0) > 0) ?? Object.keys(counts)[0] ?? "queued";
}

/** How many of each family. */
export function byFamily(counts: Record<string, number>): Map<Family, number> {
  const found = new Map<Family, number>();
  for (const family of FAMILIES) {
    let total = 0;
    for (const [status, count] of Object.entries(counts)) if (lookOf(status).family === family) total += count;
    if (total) found.set(family, total);
  }
  return found;
}
