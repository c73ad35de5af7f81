// Which nodes of a run are shown: siblings of one group or target are stacked when there are many, so
// that no graph grows beyond what a person and a browser can take. No DOM.
import type { Model, Step } from "./model";

export interface StepNode {
  kind: "step";
  id: string;
  step: Step;
  parent: string | null;
  deps: string[];
}

export interface StackNode {
  kind: "stack";
  id: string;
  name: string;
  groupName: string | null;
  /** Steps it stands for; empty when the server folded them. */
  members: Step[];
  /** How many it stands for, by status. */
  counts: Record<string, number>;
  size: number;
  /** Descendants of the members, hidden with them. */
  hidden: number;
  parent: string | null;
  deps: string[];
  isFold: boolean;
}

export type GraphNode = StepNode | StackNode;

const LIMITS = [24, 12, 8, 4, 2];
/** Most nodes, about. */
export const BUDGET = 300;
/** Stacks up to this size may be unfolded in the graph. */
export const UNFOLDABLE = 400;

/** The key of the stack that a step belongs to, if its siblings are stacked. */
export function stackKey(step: Step): string {
  const parent = step.parent ?? 0;
  return step.group !== null ? `${parent}.g${step.group}` : `${parent}.${step.target}`;
}

/** The nodes to show, in creation order. `keep` is never hidden in a stack. */
export function visibleNodes(model: Model, expand: ReadonlySet<string>, keep: number | null, budget = BUDGET): GraphNode[] {
  const sizes = new Map<string, number>();
  for (const step of model.steps) {
    const key = stackKey(step);
    sizes.set(key, (sizes.get(key) ?? 0) + 1);
  }
  const kept = path(model, keep);
  // What was opened stays open: no stack may close over its parents.
  for (const key of expand) for (const number of path(model, parseInt(key, 10) || null)) kept.add(number);
  let nodes: GraphNode[] = [];
  for (const limit of LIMITS) {
    nodes = stackAt(limit, model, sizes, expand, kept);
    const own = expand.size ? nodes.filter((node) => node.kind === "stack" || !expand.has(stackKey(node.step))).length : nodes.length;
    if (own <= budget) break;
  }
  return nodes;
}

function path(model: Model, from: number | null): Set<number> {
  const found = new Set<number>();
  let at = from;
  while (at !== null && !found.has(at)) {
    found.add(at);
    at = model.byNumber.get(at)?.parent ?? null;
  }
  return found;
}

function stackAt(
  limit: number, model: Model, sizes: Map<string, number>, expand: ReadonlySet<string>, kept: Set<number>,
): GraphNode[] {
  const representative = new Map<number, GraphNode>();
  const stacks = new Map<string, StackNode>();
  const nodes: GraphNode[] = [];
  const depsOf = new Map<GraphNode, Set<string>>();
  const withDeps = (node: GraphNode): Set<string> => {
    let set = depsOf.get(node);
    if (!set) depsOf.set(node, (set = new Set()));
    return set;
  };
  for (const step of model.steps) {
    const above = step.parent === null ? undefined : representative.get(step.parent);
    let node: GraphNode;
    if (above?.kind === "stack" && !kept.has(step.number)) {
      above.hidden += 1;
      node = above;
    } else {
      const key = stackKey(step);
      const stacked = sizes.get(key)! > limit && !expand.has(key) && !kept.has(step.number);
      const parent = above?.id ?? null;
      if (!stacked) {
        node = { kind: "step", id: String(step.number), step, parent, deps: [] };
        nodes.push(node);
      } else {
        let stack = stacks.get(key);
        if (!stack) {
          stack = emptyStack(key, step.name, step.groupName, parent, false);
          stacks.set(key, stack);
          nodes.push(stack);
        }
        if (stack.name !== step.name) stack.name = "mixed";
        stack.members.push(step);
        stack.size += 1;
        stack.counts[step.status] = (stack.counts[step.status] ?? 0) + 1;
        node = stack;
      }
    }
    representative.set(step.number, node);
    if (step.deps.length) {
      const deps = withDeps(node);
      for (const dep of step.deps) {
        const from = representative.get(dep);
        if (from && from !== node && from.id !== node.parent) deps.add(from.id);
      }
    }
  }
  for (const fold of model.folds) {
    const above = fold.parent === null ? undefined : representative.get(fold.parent);
    if (above?.kind === "stack") {
      above.hidden += Object.values(fold.counts).reduce((sum, n) => sum + n, 0) + fold.hidden;
      continue;
    }
    const node = emptyStack(fold.key, fold.name, fold.groupName, above?.id ?? null, true);
    node.counts = fold.counts;
    node.size = Object.values(fold.counts).reduce((sum, n) => sum + n, 0);
    node.hidden = fold.hidden;
    nodes.push(node);
  }
  for (const [node, deps] of depsOf) node.deps = [...deps];
  return nodes;
}

function emptyStack(id: string, name: string, groupName: string | null, parent: string | null, isFold: boolean): StackNode {
  return { kind: "stack", id, name, groupName, members: [], counts: {}, size: 0, hidden: 0, parent, deps: [], isFold };
}
