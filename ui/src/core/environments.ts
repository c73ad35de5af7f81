// The hierarchy of environments. No DOM.
import type { Environment } from "./model";

export interface Branch {
  environment: Environment;
  depth: number;
}

const byName = (a: Environment, b: Environment): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** Bases before what is based on them, archived ones last. */
export function hierarchy(all: readonly Environment[]): Branch[] {
  const live = all.filter((e) => e.state !== "archived").sort(byName);
  const names = new Set(live.map((e) => e.name));
  const found: Branch[] = [];
  const add = (environment: Environment, depth: number): void => {
    found.push({ environment, depth });
    for (const child of live) if (child.base === environment.name && depth < 64) add(child, depth + 1);
  };
  for (const environment of live) if (environment.base === null || !names.has(environment.base)) add(environment, 0);
  const archived = all.filter((e) => e.state === "archived").sort(byName);
  return [...found, ...archived.map((environment) => ({ environment, depth: 0 }))];
}

/** The environment and its bases, nearest first. */
export function lineage(all: readonly Environment[], name: string): string[] {
  const byNames = new Map(all.filter((e) => e.state !== "archived").map((e) => [e.name, e]));
  const found: string[] = [];
  let at: string | null = name;
  while (at !== null && !found.includes(at)) {
    found.push(at);
    at = byNames.get(at)?.base ?? null;
  }
  return found;
}

/** Where a step whose base is `name` may be run again: there and below (RR). */
export function descendants(all: readonly Environment[], name: string): Environment[] {
  return hierarchy(all)
    .map((branch) => branch.environment)
    .filter((e) => e.state !== "archived" && lineage(all, e.name).includes(name));
}

/** Whether a pattern of a scope (`*`, a name, `prefix/*`) covers an environment. */
export function covers(pattern: string, name: string): boolean {
  return pattern === "*" || pattern === name || (pattern.endsWith("/*") && name.startsWith(pattern.slice(0, -1)));
}

export type Right = "read" | "run" | "admin";
export interface Scope {
  environment: string;
  right: Right;
}
const RIGHTS: Right[] = ["read", "run", "admin"];

/** Whether the scopes give a right, in an environment or, without one, anywhere. */
export function may(scopes: readonly Scope[], right: Right, environment?: string): boolean {
  return scopes.some((scope) => RIGHTS.indexOf(scope.right) >= RIGHTS.indexOf(right)
    && (environment === undefined || covers(scope.environment, environment)));
}
