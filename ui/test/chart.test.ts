import assert from "node:assert/strict";
import test from "node:test";
import { charts, join, linePath, logTicks, nearest, niceTicks, position, rangeOf, short, type Series } from "../src/core/chart";

const series = (key: string, points: [number, number | null][], more: Partial<Series> = {}): Series => ({
  execution: "Rbcdfgh:2:1", key, kind: "metric", group: null, scale: null, total: null, count: points.length, last: points.at(-1) ?? null, points, ...more,
});

test("metrics of one group share a chart, the others theirs by key", () => {
  const group = { name: "training" };
  const found = charts([series("loss", [], { group }), series("accuracy", [], { group }), series("rows", []), series("rows", [], { execution: "Rbcdfgh:3:1" }), series("progress", [], { kind: "progress" })]);
  assert.deepEqual(found.map((chart) => [chart.title, chart.series.length]), [["training", 2], ["rows", 2]]);
});

test("newer points are joined without repeats", () => {
  const joined = join([series("a", [[0, 1], [1, 2]])], [series("a", [[1, 2], [2, 3]]), series("b", [[0, 9]])], 100);
  assert.deepEqual(joined.map((one) => one.points), [[[0, 1], [1, 2], [2, 3]], [[0, 9]]]);
});

test("a long series keeps its shape and a bounded size", () => {
  let all = [series("a", [])];
  for (let i = 0; i < 5000; i++) all = join(all, [series("a", [[i, i]])], 100);
  const points = all[0]!.points;
  assert.ok(points.length <= 200 && points.at(-1)![0] === 4999 && points[0]![0] === 0, String(points.length));
});

test("ticks are round", () => {
  assert.deepEqual(niceTicks(0, 1, 4), [0, 0.5, 1]);
  assert.deepEqual(niceTicks(0.12, 0.31, 4), [0.15, 0.2, 0.25, 0.3]);
  assert.deepEqual(niceTicks(5, 5, 4), [5]);
  assert.deepEqual(logTicks(0.01, 100), [0.01, 0.1, 1, 10, 100]);
});

test("an axis has its own ends, or those of the values", () => {
  assert.deepEqual(rangeOf([3, 7], null), { low: 3, high: 7 });
  assert.deepEqual(rangeOf([3, 7], { name: "share", lower: 0, upper: 1 }), { low: 0, high: 1 });
  assert.deepEqual(rangeOf([], null), { low: 0, high: 1 });
  assert.deepEqual(rangeOf([5], null), { low: 4.5, high: 5.5 });
  assert.deepEqual(rangeOf([-1, 0, 10, 1000], null, true), { low: 10, high: 1000 });
});

test("a gap in the values is a gap in the line", () => {
  assert.equal(linePath([[0, 0], [5, 1], [6, null], [10, 0.5]], { low: 0, high: 10 }, { low: 0, high: 1 }, 100, 10), "M0.0,10.0L50.0,0.0M100.0,5.0");
  assert.equal(Math.round(position(100, { low: 1, high: 10_000 }, 100, true)), 50);
});

test("the nearest point is found on either side", () => {
  const points: [number, number][] = [[0, 0], [10, 1], [20, 2]];
  assert.deepEqual([nearest(points, 4)![0], nearest(points, 6)![0], nearest(points, 99)![0], nearest([], 1)], [0, 10, 20, null]);
});

test("numbers are short", () => {
  assert.deepEqual([0.00001, 0.1234567, 12, 12_345, 1_234_567, -5e9, 0].map(short), ["1.0e-5", "0.1235", "12", "12.3k", "1.23M", "-5G", "0"]);
});
