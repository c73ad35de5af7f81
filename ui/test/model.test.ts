import assert from "node:assert/strict";
import test from "node:test";
import { buildModel, endOf, hasFailed, inTreeOrder, ranFor, type RunDocument } from "../src/core/model";
import { applyOps } from "../src/core/patch";
import { attempt, fan, run, step } from "./runs";

test("the latest attempt counts, by number and not by text", () => {
  const model = buildModel(run({ "1": { t: 0, a: { "10": attempt("value"), "9": attempt("error"), "2": attempt("error") } } }));
  assert.equal(model.steps[0]!.status, "value");
  assert.deepEqual(model.steps[0]!.attempts.map((a) => a.number), [2, 9, 10]);
});

test("unchanged steps stay identical after a patch", () => {
  const before = fan(3);
  const old = buildModel(before);
  const after = buildModel(applyOps(before, [["set", ["steps", "2"], step("error", { t: 1, p: [1, 1] })]]) as typeof before);
  assert.equal(after.byNumber.get(3), old.byNumber.get(3));
  assert.notEqual(after.byNumber.get(2), old.byNumber.get(2));
});

test("a cached failure is a failure", () => {
  const model = buildModel(run({ "1": { t: 0, a: { "1": attempt("cached", { o: "error", x: "Rbcdfgh:9:1" }) } }, "2": { t: 0, a: { "1": attempt("cached", { o: "value" }) } } }));
  assert.deepEqual(model.steps.map(hasFailed), [true, false]);
});

test("tree order puts children below their parents", () => {
  const model = buildModel(run({ "1": step("value"), "2": step("value", { p: [1, 1] }), "3": step("value", { p: [1, 1] }), "4": step("value", { p: [2, 1] }) }));
  assert.deepEqual(inTreeOrder(model).map(({ step: s, depth }) => [s.number, depth]), [[1, 0], [2, 1], [4, 2], [3, 1]]);
});

test("a run has an end once everything has", () => {
  assert.equal(endOf(buildModel(run({ "1": { t: 0, a: { "1": attempt("value", { en: 5 }) } }, "2": step("running") }))), null);
  assert.equal(endOf(buildModel(run({ "1": { t: 0, a: { "1": attempt("error", { en: 5 }), "2": attempt("value", { en: 9 }) } } }))), 9);
});

test("time runs from the start, not from the queue", () => {
  assert.equal(ranFor(attempt("queued"), 9), null);
  assert.equal(ranFor(attempt("running", { as: 3, st: 4 }), 9), 5);
  assert.equal(ranFor(attempt("value", { as: 3, st: 4, en: 6 }), 9), 2);
});

test("a step that waits for a person says so, and stays the same object", () => {
  const row = { input: "Rbcdfgh/i1", run: "Rbcdfgh", environment: "default", state: "open" as const, awaited: true, created_at: 1, execution: "Rbcdfgh:1:1", target: "f/t", title: null, message: "?", requires: {}, actions: { respond: "Submit", dismiss: "Dismiss" } };
  const doc: RunDocument = {
    run: "Rbcdfgh", target: "f/t", environment: "default", status: "running", parent: null, created_at: 1, created_by: "x",
    targets: { 0: ["f/t", "task"] }, groups: {}, steps: { 1: { t: 0, a: { 1: { s: "waiting", q: 1 } } } }, inputs: [row],
  };
  const model = buildModel(doc);
  assert.equal(model.steps[0]!.status, "asking");
  assert.deepEqual(model.counts, { asking: 1 });
  assert.equal(buildModel(doc).steps[0], model.steps[0]);
  assert.equal(buildModel({ ...doc, inputs: [{ ...row, awaited: false }] }).steps[0]!.status, "waiting");
  assert.equal(buildModel({ ...doc, inputs: [{ ...row, state: "answered" }] }).steps[0]!.status, "waiting");
});
