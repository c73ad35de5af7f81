// Addresses of everything: the URL is the state. Paths are relative to the base that the server gives.
// Belongs here: text to place and back, exactly inverse. Not here: the browser's history.

export type RunTab = "graph" | "timeline" | "steps" | "logs" | "metrics" | "assets";
export const RUN_TABS: readonly RunTab[] = ["graph", "timeline", "steps", "logs", "metrics", "assets"];

export interface RunPlace {
  page: "run";
  run: string;
  view: RunTab;
  step?: number;
  attempt?: number;
  /** Key of an open stack. */
  stack?: string;
  tab?: "logs";
  /** A line of the logs, by its id. */
  line?: number;
  expand?: string[];
  /** Only steps of this status family. */
  only?: string;
  q?: string;
  level?: string;
}

export type Place =
  | { page: "home" | "workflows" | "queue" | "environments" | "tokens" | "settings" | "projects" | "agents" | "schedules" | "pools" | "hooks" }
  | { page: "inputs"; state?: "all" }
  | { page: "input"; input: string }
  | { page: "workflow"; repository: string; target: string; submit?: boolean; from?: string }
  | { page: "runs"; status?: string; target?: string; q?: string }
  | RunPlace
  | { page: "assets"; q?: string; asset?: string }
  | { page: "asset"; asset: string; path?: string }
  | { page: "search"; q?: string }
  | { page: "unknown"; path: string };

export interface Address {
  place: Place;
  environment: string | null;
  project: string | null;
}

const SIMPLE = ["workflows", "queue", "environments", "tokens", "settings", "projects", "agents", "schedules", "pools", "hooks"] as const;

/** `path` is relative to the base, without a leading slash; `search` the query string. */
export function parseAddress(path: string, search: string): Address {
  const query = new URLSearchParams(search);
  const segments = path.replace(/^\/+|\/+$/g, "").split("/").filter(Boolean).map(decode);
  return { place: parsePlace(segments, query), environment: query.get("env"), project: query.get("project") };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function parsePlace(segments: string[], query: URLSearchParams): Place {
  const [first, second, ...rest] = segments;
  const text = (name: string): string | undefined => query.get(name) || undefined;
  if (first === undefined) return { page: "home" };
  if (first === "workflows" && second !== undefined && rest.length === 1) {
    return tidy({ page: "workflow", repository: second, target: rest[0]!, submit: query.has("submit") || undefined, from: text("from") });
  }
  if (first === "runs" && second === undefined) {
    return tidy({ page: "runs", status: text("status"), target: text("target"), q: text("q") });
  }
  if (first === "runs" && second !== undefined && rest.length <= 1) return parseRun(second, rest[0], query);
  if (first === "inputs" && second === undefined) return tidy({ page: "inputs", state: query.get("state") === "all" ? "all" : undefined });
  if (first === "inputs" && second !== undefined && rest.length === 1) return { page: "input", input: `${second}/${rest[0]!}` };
  if (first === "assets" && second === undefined) return tidy({ page: "assets", q: text("q"), asset: text("asset") });
  if (first === "assets" && second !== undefined) {
    return tidy({ page: "asset", asset: second, path: rest.join("/") || undefined });
  }
  if (first === "search" && second === undefined) return tidy({ page: "search", q: text("q") });
  const simple = SIMPLE.find((name) => name === first);
  if (simple && second === undefined) return { page: simple };
  return { page: "unknown", path: segments.join("/") };
}

function parseRun(run: string, view: string | undefined, query: URLSearchParams): Place {
  const number = (name: string): number | undefined => {
    const value = query.get(name);
    return value && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
  };
  const text = (name: string): string | undefined => query.get(name) || undefined;
  const known = RUN_TABS.find((name) => name === view);
  if (view !== undefined && !known) return { page: "unknown", path: `runs/${run}/${view}` };
  return tidy({
    page: "run", run, view: known ?? "graph",
    step: number("step"), attempt: number("attempt"), stack: text("stack"),
    tab: query.get("tab") === "logs" ? "logs" : undefined,
    line: number("line"), expand: text("expand")?.split(","), only: text("only"), q: text("q"), level: text("level"),
  });
}

/** Without what is undefined, so that places compare. */
function tidy<T extends object>(place: T): T {
  return Object.fromEntries(Object.entries(place).filter(([, value]) => value !== undefined)) as T;
}

/** The address as a relative URL. */
export function formatAddress({ place, environment, project }: Address): string {
  const query = new URLSearchParams();
  if (project) query.set("project", project);
  if (environment) query.set("env", environment);
  const path = formatPlace(place, query);
  const text = query.toString().replace(/%2C/g, ",").replace(/%3A/g, ":").replace(/%2F/g, "/");
  return (path || "./") + (text ? `?${text}` : "");
}

function formatPlace(place: Place, query: URLSearchParams): string {
  const set = (values: Record<string, string | number | undefined>): void => {
    for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== "") query.set(name, String(value));
  };
  const enc = encodeURIComponent;
  switch (place.page) {
    case "home":
      return "";
    case "workflow":
      set({ submit: place.submit ? 1 : undefined, from: place.from });
      return `workflows/${enc(place.repository)}/${enc(place.target)}`;
    case "runs":
      set({ status: place.status, target: place.target, q: place.q });
      return "runs";
    case "run":
      set({
        step: place.step, attempt: place.attempt, stack: place.stack, tab: place.tab, line: place.line,
        expand: place.expand?.length ? place.expand.join(",") : undefined, only: place.only, q: place.q, level: place.level,
      });
      return `runs/${enc(place.run)}${place.view === "graph" ? "" : `/${place.view}`}`;
    case "inputs":
      set({ state: place.state });
      return "inputs";
    case "input":
      return `inputs/${place.input.split("/").map(enc).join("/")}`;
    case "assets":
      set({ q: place.q, asset: place.asset });
      return "assets";
    case "asset":
      return `assets/${enc(place.asset)}${place.path ? `/${place.path.split("/").map(enc).join("/")}` : ""}`;
    case "search":
      set({ q: place.q });
      return "search";
    case "unknown":
      return place.path;
    default:
      return place.page;
  }
}
