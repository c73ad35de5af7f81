// What the server sends (topic `graph`, `step` and the lists), and a run as views use it.
// Belongs here: types and derivation without DOM. A step is derived once per version of its raw form,
// so unchanged steps stay identical and views can skip them.
import { isFailed, isLink, isUnfinished } from "./states";

// --- as sent -------------------------------------------------------------------------------------

export interface RawAttempt {
  /** Status, or kind of the result. */
  s: string;
  /** Status at the end of links and successors, where that is another execution. */
  o?: string;
  /** Environment, where it is not the run's. */
  e?: string;
  /** Origin, where it is not `submit`. */
  by?: string;
  q: number;
  due?: number;
  as?: number;
  st?: number;
  en?: number;
  /** The execution that a link leads to. */
  x?: string;
  /** The error in a line. */
  er?: string;
  /** Steps of this run whose results it asked for. */
  w?: number[];
}

export interface RawStep {
  /** Index into `targets`. */
  t: number;
  /** Parent: step and attempt. */
  p?: [number, number];
  g?: number;
  /** Steps of this run that its arguments refer to. */
  d?: number[];
  a: Record<string, RawAttempt>;
}

export interface RawFold {
  t: number;
  p?: [number, number];
  g?: number;
  /** Number of its first step. */
  f: number;
  /** Members by status. */
  c: Record<string, number>;
  /** Descendants of members, folded away with them, by status. */
  h?: Record<string, number>;
  q?: number;
  st?: number;
  en?: number;
}

export interface RunHeader {
  run: string;
  target: string;
  environment: string;
  status: string;
  parent: string | null;
  created_at: number;
  created_by: string;
  idempotency_key?: string | null;
  /** Targets of which the run has run several versions. */
  mixed_code?: string[];
  schedule?: string | null;
  scheduled_at?: number | null;
  /** What it has asked people. */
  inputs?: InputRow[];
  /** A cap that the run has reached, and its value. */
  held?: { setting: string; value: number } | null;
  pinned?: Pin | null;
}

/** Who wants a run kept for ever, and since when. */
export interface Pin {
  by: string;
  at: number;
}

export interface RunDocument extends RunHeader {
  /** `repository/name`, type. */
  targets: Record<string, [string, string]>;
  /** Names of groups by parent execution (`step:attempt`) and number. */
  groups: Record<string, Record<string, string | null>>;
  steps: Record<string, RawStep>;
  /** Siblings that the server folded because the run is too big to send whole. */
  folds?: Record<string, RawFold>;
  /** All steps by status, folded ones included. */
  counts?: Record<string, number>;
}

export interface ErrorShown {
  type: string;
  message: string;
  frames: { file: string; line: number; function: string; source?: string }[];
  notes?: string[];
  cause?: ErrorShown | null;
}

export interface ValueShown {
  preview: string;
  type: string;
  size: number;
  value?: unknown;
  references?: { kind: string; id: string }[];
  problem?: string;
}

export interface ResultShown extends Partial<ValueShown> {
  kind: string;
  error?: ErrorShown;
  execution?: string;
  retryable?: boolean;
  last_lines?: string[];
  peak_memory?: number | null;
}

export interface Reason {
  code: string;
  text: string;
  data?: Record<string, unknown>;
}

export interface AttemptShown {
  execution: string;
  environment: string;
  origin: string;
  status: string;
  reason: Reason | null;
  result: ResultShown | null;
  resolved: { execution: string; status: string } | null;
  successor: string | null;
  predecessor: string | null;
  suspensions?: number;
  code: string | null;
  older_code?: boolean;
  cache: { outcome: string; execution: string | null; detail: string; namespace: string; key: string | null } | null;
  children: { execution: string; group: number | null }[];
  groups: Record<string, string | null>;
  dependencies: string[];
  session: string | null;
  process: string;
  created_at: number;
  due_at: number | null;
  assigned_at: number | null;
  started_at: number | null;
  ended_at: number | null;
  by: string | null;
  note: string | null;
}

export interface StepShown {
  step: string;
  target: string;
  type: string;
  parent: string | null;
  group: { number: number; name: string | null } | null;
  arguments: Record<string, string>;
  values: Record<string, ValueShown>;
  created_at: number;
  options: Record<string, unknown>;
  note: string | null;
  executions: Record<string, AttemptShown>;
}

export interface RunSummary {
  run: string;
  target: string;
  environment: string;
  status: string;
  created_at: number;
  finished_at: number | null;
  created_by: string;
  parent: string | null;
  pinned?: Pin | null;
}

export interface Environment {
  id: string;
  name: string;
  base: string | null;
  state: "active" | "paused" | "archived";
}

export interface Parameter {
  name: string;
  kind?: "positional" | "normal" | "args" | "keyword" | "kwargs";
  annotation?: string | null;
  default?: { preview?: string; format?: string } | null;
}

export interface Definition {
  name: string;
  type?: string;
  parameters?: Parameter[];
  options?: Record<string, unknown>;
  doc?: string;
  code?: string | null;
}

export type Manifests = Record<string, { targets: Definition[]; revision: number }>;

export interface Agent {
  session: string;
  environment: string;
  connected: boolean;
  draining: boolean;
  /** `repository/name`. */
  targets: string[];
  failures: Record<string, string>;
  /** What an agent says of how it runs a repository's targets, such as packages that differ. */
  remarks?: Record<string, string[]>;
  running: string[];
  waiting: string[];
  concurrency: number;
  provides: Record<string, string[]>;
  accepts: Record<string, unknown>;
  python: string;
  host: string;
  pid: number;
  lost_at: number | null;
}

export interface Queued {
  execution: string;
  target: string;
  environment: string;
  due_at: number | null;
  requires?: Record<string, unknown> | null;
  reason: Reason;
}

/** The beginning of the queue, and how long it is. */
export interface Waiting {
  entries: Record<string, Queued>;
  total: number;
}

export interface LogLine {
  /** Place in the order of arrival. */
  id: number;
  execution: string;
  at: number;
  level: string;
  template: string | null;
  values: Record<string, ValueShown>;
  text: string;
  seq: number;
  partial?: boolean;
}

export interface InputRow {
  /** `RUN/i1`. */
  input: string;
  run: string;
  environment: string;
  state: "open" | "answered" | "dismissed" | "cancelled";
  /** Somebody waits for it now. */
  awaited: boolean;
  created_at: number;
  /** Who asked. */
  execution: string;
  target: string;
  title: string | null;
  message: string;
  requires: Record<string, unknown>;
  actions: { respond: string; dismiss: string };
}

export interface InputShown extends InputRow {
  schema: boolean | Record<string, unknown> | null;
  initial: unknown;
  has_initial: boolean;
  answer: unknown;
  ended_at: number | null;
  by: string | null;
  cause?: string | null;
}

export interface AssetShown {
  id: string;
  name: string | null;
  path?: string;
  entries: { path: string; blob: string; size: number; mode: number; media_type?: string | null }[];
  execution: string | null;
  /** All files, of which lists over many runs give the first. */
  files?: number;
  size?: number;
  target?: string;
  environment?: string;
  created_at?: number;
}

export interface Schedule {
  id: string;
  name: string;
  environment: string;
  target: string;
  arguments: Record<string, string>;
  cron: string;
  zone: string;
  catch_up: "none" | "latest" | "all";
  overlap: "skip" | "queue" | "allow";
  state: "active" | "paused";
  declared: boolean;
  next: number[];
  run: string | null;
  problem: string | null;
  unfinished: string[];
  created_by: string;
}

export interface ScheduleDetail extends Schedule {
  history: { instant: number; run: string | null; reason: string | null; at: number }[];
}

export interface Pool {
  id: string;
  name: string;
  environment: string;
  state: "active" | "disabled" | "deleted";
  revision: number;
  repositories: string[];
  launcher: string;
  settings: Record<string, string>;
  min: number;
  max: number;
  concurrency: number;
  provides: Record<string, string[]>;
  accepts: Record<string, unknown>;
  env: Record<string, string>;
  secrets: Record<string, string>;
  launches: { launch: string; session: string | null; status: string; created_at: number; reason: string | null }[];
  failures: number;
  retry_at: number | null;
  error: string | null;
  lines: string[];
}

// --- as used -------------------------------------------------------------------------------------

export interface Attempt extends RawAttempt {
  number: number;
}

export interface Step {
  number: number;
  target: string;
  name: string;
  type: string;
  parent: number | null;
  parentAttempt: number;
  group: number | null;
  groupName: string | null;
  deps: number[];
  attempts: Attempt[];
  latest: Attempt;
  /** Status of the latest attempt. */
  status: string;
  /** How that turned out, links followed. */
  outcome: string;
}

/** Siblings folded by the server. */
export interface Fold {
  key: string;
  first: number;
  target: string;
  name: string;
  parent: number | null;
  group: number | null;
  groupName: string | null;
  counts: Record<string, number>;
  hidden: number;
  created: number;
  started: number | undefined;
  ended: number | undefined;
}

export interface Model {
  header: RunHeader;
  /** In creation order. */
  steps: Step[];
  byNumber: Map<number, Step>;
  children: Map<number, Step[]>;
  folds: Fold[];
  counts: Record<string, number>;
  total: number;
}

const derived = new WeakMap<RawStep, Step>();
const waitingForYou = new WeakMap<Step, Step>();

/** The step as one that waits for a person; the same object each time. */
function asAsking(step: Step): Step {
  let asking = waitingForYou.get(step);
  if (!asking) waitingForYou.set(step, (asking = { ...step, status: "asking", outcome: "asking" }));
  return asking;
}

export function buildModel(doc: RunDocument): Model {
  const steps: Step[] = [];
  const asked = new Set((doc.inputs ?? []).filter((row) => row.state === "open" && row.awaited).map((row) => stepNumber(row.execution)));
  for (const [key, raw] of Object.entries(doc.steps)) {
    let step = derived.get(raw);
    if (!step) derived.set(raw, (step = deriveStep(Number(key), raw, doc)));
    const isAsking = asked.has(step.number) && (step.status === "waiting" || step.status === "queued");
    steps.push(isAsking ? asAsking(step) : step);
  }
  steps.sort((a, b) => a.number - b.number);
  const byNumber = new Map(steps.map((step) => [step.number, step]));
  const children = new Map<number, Step[]>();
  const counted: Record<string, number> = {};
  for (const step of steps) {
    counted[step.status] = (counted[step.status] ?? 0) + 1;
    if (step.parent === null) continue;
    const siblings = children.get(step.parent);
    if (siblings) siblings.push(step);
    else children.set(step.parent, [step]);
  }
  const folds = Object.entries(doc.folds ?? {}).map(([key, raw]) => deriveFold(key, raw, doc));
  const counts = doc.counts ?? counted;
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  return { header: doc, steps, byNumber, children, folds, counts, total };
}

function deriveStep(number: number, raw: RawStep, doc: RunDocument): Step {
  const [target, type] = doc.targets[raw.t] ?? ["?/?", "task"];
  const attempts = Object.entries(raw.a)
    .map(([n, a]) => ({ ...a, number: Number(n) }))
    .sort((a, b) => a.number - b.number);
  const latest = attempts[attempts.length - 1]!;
  return {
    number, target, type,
    name: target.slice(target.lastIndexOf("/") + 1),
    parent: raw.p?.[0] ?? null,
    parentAttempt: raw.p?.[1] ?? 1,
    group: raw.g ?? null,
    groupName: groupName(doc, raw.p, raw.g),
    deps: raw.d ?? [],
    attempts, latest,
    status: latest.s,
    outcome: latest.o ?? latest.s,
  };
}

function deriveFold(key: string, raw: RawFold, doc: RunDocument): Fold {
  const [target] = doc.targets[raw.t] ?? ["?/?"];
  return {
    key, target,
    first: raw.f,
    name: target.slice(target.lastIndexOf("/") + 1),
    parent: raw.p?.[0] ?? null,
    group: raw.g ?? null,
    groupName: groupName(doc, raw.p, raw.g),
    counts: raw.c,
    hidden: Object.values(raw.h ?? {}).reduce((sum, n) => sum + n, 0),
    created: raw.q ?? doc.created_at,
    started: raw.st,
    ended: raw.en,
  };
}

function groupName(doc: RunDocument, parent?: [number, number], group?: number): string | null {
  if (!parent || group === undefined) return null;
  return doc.groups[`${parent[0]}:${parent[1]}`]?.[group] ?? null;
}

/** Whether the attempt holds or wants an agent: its time still runs. */
export const isTicking = (attempt: RawAttempt): boolean => isUnfinished(attempt.s);

/** Time in a process so far or in all; null if it never was in one. */
export function ranFor(attempt: RawAttempt, now: number): number | null {
  const start = attempt.st ?? attempt.as;
  if (start === undefined) return null;
  return (attempt.en ?? now) - start;
}

/** Whether something went wrong with it, also through a link: a cached failure is no success. */
export const hasFailed = (step: Step): boolean => isFailed(step.status) || (isLink(step.status) && isFailed(step.outcome));

/** When the last thing of the run happened, if all is over. */
export function endOf(model: Model): number | null {
  let end = 0;
  for (const step of model.steps) {
    for (const attempt of step.attempts) {
      if (attempt.en === undefined) return null;
      end = Math.max(end, attempt.en);
    }
  }
  for (const fold of model.folds) {
    if (fold.ended === undefined) return null;
    end = Math.max(end, fold.ended);
  }
  return end || null;
}

/** Steps in tree order with their depth: parents before children, siblings by number. */
export function inTreeOrder(model: Model): { step: Step; depth: number }[] {
  const found: { step: Step; depth: number }[] = [];
  const roots = model.steps.filter((step) => step.parent === null || !model.byNumber.has(step.parent));
  const stack = roots.reverse().map((step) => ({ step, depth: 0 }));
  while (stack.length) {
    const at = stack.pop()!;
    found.push(at);
    const below = model.children.get(at.step.number) ?? [];
    for (let i = below.length - 1; i >= 0; i--) stack.push({ step: below[i]!, depth: at.depth + 1 });
  }
  return found;
}

export const stepNumber = (id: string): number => Number(id.split(":")[1] ?? "1");
export const attemptNumber = (id: string): number => Number(id.split(":")[2] ?? "1");
export const runOf = (id: string): string => id.split(":")[0]!;
