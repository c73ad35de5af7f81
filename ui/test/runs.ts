// Runs for tests, in the form of the topic `graph`.
import type { RawAttempt, RawStep, RunDocument } from "../src/core/model";

export const header = {
  run: "Rbcdfgh", target: "flow/root", environment: "default", status: "running", parent: null, created_at: 1_000_000, created_by: "ada",
};

export function attempt(s: string, more: Partial<RawAttempt> = {}): RawAttempt {
  return { s, q: 1_000_000, ...more };
}

export function step(s: string, more: Partial<RawStep> = {}): RawStep {
  return { t: 0, a: { "1": attempt(s) }, ...more };
}

export function run(steps: Record<string, RawStep>, more: Partial<RunDocument> = {}): RunDocument {
  return { ...header, targets: { "0": ["flow/root", "workflow"], "1": ["flow/load", "task"], "2": ["flow/sum", "task"] }, groups: {}, steps, ...more };
}

/** A root with `n` children. */
export function fan(n: number, status: (i: number) => string = () => "value"): RunDocument {
  const steps: Record<string, RawStep> = { "1": step("running") };
  for (let i = 2; i <= n + 1; i++) steps[i] = step(status(i), { t: 1, p: [1, 1] });
  return run(steps);
}
