import assert from "node:assert/strict";
import test from "node:test";
import { applyOps, type Op } from "../src/core/patch";

test("a patch changes what it names and leaves the rest identical", () => {
  const before = { steps: { "1": { a: 1 }, "2": { a: 2 } }, status: "running" };
  const after = applyOps(before, [["set", ["steps", "2"], { a: 3 }], ["set", ["steps", "3"], { a: 4 }], ["set", ["status"], "done"]]) as typeof before;
  assert.deepEqual(after, { steps: { "1": { a: 1 }, "2": { a: 3 }, "3": { a: 4 } }, status: "done" });
  assert.equal(after.steps["1"], before.steps["1"]);
  assert.deepEqual(before, { steps: { "1": { a: 1 }, "2": { a: 2 } }, status: "running" });
});

test("a patch deletes", () => {
  assert.deepEqual(applyOps({ a: { b: 1, c: 2 } }, [["del", ["a", "b"]]]), { a: { c: 2 } });
});

test("a patch reaches into lists", () => {
  assert.deepEqual(applyOps({ a: [{ s: 1 }] }, [["set", ["a", 0, "s"], 2]]), { a: [{ s: 2 }] });
});

test("a patch of the whole replaces it", () => {
  assert.equal(applyOps({ a: 1 }, [["set", [], 5]]), 5);
});

test("a patch that leads nowhere is an error, not a guess", () => {
  assert.throws(() => applyOps({ a: 1 }, [["set", ["b", "c"], 1]]), /leads nowhere/);
  assert.throws(() => applyOps({ a: 1 }, [["set", ["a", "c"], 1]]), /no object/);
});

test("several operations on one object copy it once", () => {
  const steps = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [String(i), { i }]));
  const began = performance.now();
  applyOps({ steps }, Array.from({ length: 500 }, (_, i): Op => ["set", ["steps", String(i)], { i: -i }]));
  assert.ok(performance.now() - began < 1000);
});
