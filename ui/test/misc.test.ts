import assert from "node:assert/strict";
import test from "node:test";
import { clamp, first, fit, follow, NODE, reveal, zoom } from "../src/core/camera";
import { parseTable } from "../src/core/csv";
import { covers, descendants, hierarchy, lineage, may } from "../src/core/environments";
import { append, empty, prepend } from "../src/core/lines";
import type { Environment, LogLine } from "../src/core/model";
import { idPlace, rank, type Candidate } from "../src/core/search";
import { byFamily, lookOf, overall, STATES } from "../src/core/states";

const environment = (name: string, base: string | null, state: Environment["state"] = "active"): Environment => ({ id: `E${name}`, name, base, state });

test("environments are shown as a tree, archived ones last", () => {
  const all = [environment("dev", "prod"), environment("prod", null), environment("ada", "dev"), environment("old", "prod", "archived")];
  assert.deepEqual(hierarchy(all).map((b) => [b.environment.name, b.depth]), [["prod", 0], ["dev", 1], ["ada", 2], ["old", 0]]);
  assert.deepEqual(lineage(all, "ada"), ["ada", "dev", "prod"]);
  assert.deepEqual(descendants(all, "dev").map((e) => e.name), ["dev", "ada"]);
});

test("a circle of bases ends", () => {
  assert.deepEqual(lineage([environment("a", "b"), environment("b", "a")], "a"), ["a", "b"]);
});

test("scopes cover as AU-2 says", () => {
  assert.deepEqual([covers("*", "x"), covers("dev", "dev"), covers("dev/*", "dev/ada"), covers("dev/*", "dev")], [true, true, true, false]);
  const scopes = [{ environment: "dev/*", right: "run" as const }, { environment: "*", right: "read" as const }];
  assert.deepEqual([may(scopes, "run", "dev/ada"), may(scopes, "run", "prod"), may(scopes, "read", "prod"), may(scopes, "admin")], [true, false, true, false]);
});

const line = (id: number): LogLine => ({ id, execution: "R:1:1", at: id, level: "info", template: null, values: {}, text: String(id), seq: id });

test("log lines are neither repeated nor missed, at either end", () => {
  let window = append(empty, [line(5), line(6)]);
  window = append(window, [line(6), line(7)]);
  window = prepend(window, [line(3), line(4), line(5)], false);
  assert.deepEqual(window.lines.map((l) => l.id), [3, 4, 5, 6, 7]);
  assert.deepEqual([window.hasEarlier, window.hasLater], [true, false]);
});

test("a long log keeps a window of bounded size", () => {
  let window = append(empty, Array.from({ length: 10 }, (_, i) => line(i + 1)), 6);
  assert.deepEqual([window.lines[0]!.id, window.lines.length, window.hasEarlier], [5, 6, true]);
  window = prepend(window, [line(1), line(2), line(3), line(4)], true, 6);
  assert.deepEqual([window.lines.map((l) => l.id), window.hasEarlier, window.hasLater], [[1, 2, 3, 4, 5, 6], false, true]);
});

test("tables in text are read with their quotes", () => {
  assert.deepEqual(parseTable('a,b\n"x, ""y""",2\r\n\n3,"multi\nline"', ",", 10), [["a", "b"], ['x, "y"', "2"], ["3", "multi\nline"]]);
  assert.equal(parseTable("a\n".repeat(1000), ",", 5).length, 5);
});

const view = { width: 800, height: 600 };

test("zooming keeps the point under the pointer", () => {
  const camera = zoom({ x: 10, y: 20, k: 1 }, 1.5, { x: 100, y: 100 });
  assert.deepEqual([(100 - camera.x) / camera.k, (100 - camera.y) / camera.k], [90, 80]);
});

test("the graph cannot be pushed out of sight", () => {
  const camera = clamp({ x: -1e6, y: 1e6, k: 1 }, { width: 500, height: 300 }, view);
  assert.ok(camera.x + 500 >= 80 && camera.y <= 520);
});

test("the first look is readable, also of a graph that is not", () => {
  assert.ok(fit({ width: 20_000, height: 9000 }, view).k < 0.2);
  const camera = first({ width: 20_000, height: 9000 }, view, { x: 5000, y: 4000 });
  assert.equal(camera.k, 0.85);
  assert.ok(Math.abs((5000 + NODE.width / 2) * 0.85 + camera.x - 400) < 1);
});

test("what moved is followed, what is hidden comes into view", () => {
  assert.deepEqual(follow({ x: 5, y: 5, k: 2 }, 0, 62), { x: 5, y: -119, k: 2 });
  const camera = reveal({ x: 0, y: 0, k: 1 }, { x: 2000, y: -50 }, view);
  assert.ok(2000 + camera.x + NODE.width <= 800 && -50 + camera.y >= 0);
  assert.deepEqual(reveal({ x: 0, y: 0, k: 1 }, { x: 100, y: 100 }, view), { x: 0, y: 0, k: 1 });
});

test("a stack shows what runs before what failed before what is done", () => {
  assert.equal(overall({ value: 10, error: 1, running: 1 }), "running");
  assert.equal(overall({ value: 10, error: 1 }), "error");
  assert.equal(overall({ value: 10 }), "value");
  assert.deepEqual([...byFamily({ value: 3, error: 1, crashed: 2 })], [["failed", 3], ["ok", 3]]);
});

test("an unknown status is shown as it is", () => {
  assert.equal(lookOf("brand new").word, "brand new");
  assert.ok(Object.values(STATES).every((look) => look.word));
});

const candidates: Candidate[] = ["report", "daily_report", "reporter", "import"].map((label) => ({ place: { page: "home" }, label, about: "flows", kind: "workflow" }));

test("search puts the beginning of a name first", () => {
  assert.deepEqual(rank(candidates, "report", 10).map((c) => c.label), ["report", "reporter", "daily_report"]);
  assert.deepEqual(rank(candidates, "drt", 10).map((c) => c.label), ["daily_report"]);
  assert.deepEqual(rank(candidates, "zzz", 10), []);
});

test("an id leads straight to what it names", () => {
  assert.deepEqual(idPlace(" Rbcdfgh:3:2 "), { page: "run", run: "Rbcdfgh", view: "graph", step: 3, attempt: 2 });
  assert.deepEqual(idPlace("Abcdfgh"), { page: "asset", asset: "Abcdfgh" });
  assert.equal(idPlace("report"), null);
});
