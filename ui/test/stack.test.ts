import assert from "node:assert/strict";
import test from "node:test";
import { buildModel } from "../src/core/model";
import { visibleNodes } from "../src/core/stack";
import { fan, run, step } from "./runs";

const none = new Set<string>();

test("few siblings are shown one by one", () => {
  assert.equal(visibleNodes(buildModel(fan(20)), none, null).length, 21);
});

test("many siblings of one target become a stack with counts", () => {
  const nodes = visibleNodes(buildModel(fan(1000, (i) => (i === 7 ? "error" : "value"))), none, null);
  assert.equal(nodes.length, 2);
  const stack = nodes[1]!;
  assert.ok(stack.kind === "stack");
  assert.deepEqual([stack.id, stack.size, stack.counts], ["1.flow/load", 1000, { value: 999, error: 1 }]);
});

test("a group stacks across targets", () => {
  const steps = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [i + 2, step("value", { t: 1 + (i % 2), p: [1, 1], g: 0 })]));
  const nodes = visibleNodes(buildModel(run({ "1": step("running"), ...steps }, { groups: { "1:1": { "0": "days" } } })), none, null);
  assert.equal(nodes.length, 2);
  assert.ok(nodes[1]!.kind === "stack" && nodes[1]!.groupName === "days" && nodes[1]!.name === "mixed");
});

test("an opened stack shows its members", () => {
  assert.equal(visibleNodes(buildModel(fan(100)), new Set(["1.flow/load"]), null).length, 101);
});

test("opening a stack closes none around it", () => {
  const steps: Record<string, ReturnType<typeof step>> = { "1": step("running") };
  let number = 1;
  for (let batch = 0; batch < 12; batch++) {
    const parent = ++number;
    steps[parent] = step("value", { t: 1, p: [1, 1] });
    for (let item = 0; item < 375; item++) steps[++number] = step("value", { t: 2, p: [parent, 1] });
  }
  const nodes = visibleNodes(buildModel(run(steps)), new Set(["2.flow/sum"]), null);
  assert.equal(nodes.length, 1 + 12 + 11 + 375);
});

test("the selected step is never hidden", () => {
  const nodes = visibleNodes(buildModel(fan(100)), none, 42);
  assert.equal(nodes.length, 3);
  assert.ok(nodes.some((node) => node.id === "42"));
  const stack = nodes.find((node) => node.kind === "stack");
  assert.equal(stack?.kind === "stack" && stack.size, 99);
});

test("children of stacked steps are hidden with them and counted", () => {
  const document = fan(50);
  for (let i = 100; i < 150; i++) document.steps[i] = step("value", { t: 2, p: [i - 98, 1] });
  const nodes = visibleNodes(buildModel(document), none, null);
  assert.equal(nodes.length, 2);
  assert.equal(nodes[1]!.kind === "stack" && nodes[1]!.hidden, 50);
});

test("a stack depends on what its members depend on, once each", () => {
  const document = fan(50);
  for (let i = 100; i < 130; i++) document.steps[i] = step("queued", { t: 2, p: [1, 1], d: [i - 98, i - 97] });
  const nodes = visibleNodes(buildModel(document), none, null);
  assert.deepEqual(nodes.map((node) => node.deps), [[], [], ["1.flow/load"]]);
});

test("a run of five thousand mixed steps shows about three hundred nodes, quickly", () => {
  const steps: Record<string, ReturnType<typeof step>> = { "1": step("running") };
  for (let i = 2; i <= 5000; i++) steps[i] = step("value", { t: 1 + (i % 2), p: [Math.max(1, Math.floor(i / 7)), 1], d: i > 10 ? [i - 1] : [] });
  const model = buildModel(run(steps));
  const began = performance.now();
  const nodes = visibleNodes(model, none, null);
  assert.ok(performance.now() - began < 2000);
  assert.ok(nodes.length <= 1300, String(nodes.length));
});

test("what the server folded is a stack", () => {
  const model = buildModel(run({ "1": step("running") }, { folds: { "1.flow/load": { t: 1, p: [1, 1], f: 2, c: { value: 9000 }, h: { value: 4 } } }, counts: { running: 1, value: 9004 } }));
  const nodes = visibleNodes(model, none, null);
  assert.equal(model.total, 9005);
  assert.ok(nodes[1]!.kind === "stack" && nodes[1]!.isFold && nodes[1]!.size === 9000 && nodes[1]!.hidden === 4);
});
