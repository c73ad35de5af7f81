import assert from "node:assert/strict";
import test from "node:test";
import { layout } from "../src/core/layout";

interface Node {
  id: string;
  parent: string | null;
  deps: string[];
}

/** A random run: parents and dependencies are older, as in real ones. */
function randomRun(size: number, seed: number): Node[] {
  let state = seed;
  const next = (n: number): number => (state = (state * 1103515245 + 12345) % 2147483648) % n;
  const nodes: Node[] = [{ id: "1", parent: null, deps: [] }];
  for (let i = 2; i <= size; i++) {
    const parent = String(1 + next(Math.min(i - 1, 1 + Math.floor(i / 4))));
    const deps = next(3) ? [] : [String(1 + next(i - 1))];
    nodes.push({ id: String(i), parent, deps });
  }
  return nodes;
}

function place(nodes: Node[]) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return layout(nodes.map((node) => node.id), (id) => byId.get(id)!.parent, (id) => byId.get(id)!.deps);
}

test("no two steps share a place", () => {
  for (const size of [1, 2, 30, 400, 5000]) {
    const { boxes } = place(randomRun(size, size));
    assert.equal(new Set([...boxes.values()].map((box) => `${box.col},${box.row}`)).size, size);
  }
});

test("edges lead from left to right", () => {
  const nodes = randomRun(500, 7);
  const { boxes } = place(nodes);
  for (const node of nodes) {
    for (const from of [...node.deps, ...(node.parent ? [node.parent] : [])]) {
      if (Number(from) < Number(node.id)) assert.ok(boxes.get(from)!.col < boxes.get(node.id)!.col);
    }
  }
});

test("a growing run never moves a step to another column and never swaps siblings", () => {
  const nodes = randomRun(300, 3);
  let before = place(nodes.slice(0, 20)).boxes;
  for (let size = 25; size <= 300; size += 5) {
    const after = place(nodes.slice(0, size)).boxes;
    for (const [id, box] of before) assert.equal(after.get(id)!.col, box.col);
    for (const a of before.values()) {
      for (const b of before.values()) {
        const siblings = nodes[Number(a.id) - 1]!.parent === nodes[Number(b.id) - 1]!.parent;
        if (siblings && a.col === b.col && a.row < b.row) assert.ok(after.get(a.id)!.row < after.get(b.id)!.row);
      }
    }
    before = after;
  }
});

test("five thousand steps are placed in a few milliseconds", () => {
  const nodes = randomRun(5000, 11);
  place(nodes);
  const began = performance.now();
  place(nodes);
  assert.ok(performance.now() - began < 1500);
});

test("unknown parents and dependencies are ignored", () => {
  const { boxes } = layout(["2", "5"], () => "1", () => ["4", "9"]);
  assert.deepEqual([...boxes.values()], [{ id: "2", col: 0, row: 0 }, { id: "5", col: 0, row: 1 }]);
});
