import assert from "node:assert/strict";
import test from "node:test";
import { ticks, tickLabel, place } from "../src/core/axis";
import { ago, bytes, count, duration, errorName, iso, plural } from "../src/core/format";

test("durations are said as the terminal says them", () => {
  const said = [0, 12, 999, 1000, 3449, 59_999, 60_000, 310_000, 7_500_000, 100_000_000].map(duration);
  assert.deepEqual(said, ["0 ms", "12 ms", "999 ms", "1.0 s", "3.4 s", "59.9 s", "1 min 0 s", "5 min 10 s", "2 h 5 min", "1 d 3 h"]);
});

test("instants are near or far, before or after", () => {
  const now = 1_000_000_000_000;
  assert.deepEqual([ago(now - 1000, now), ago(now - 20_000, now), ago(now + 90_000, now), ago(now - 200_000_000, now)], ["just now", "20 s ago", "in 1 min", "2 d ago"]);
});

test("exact instants carry their zone", () => {
  assert.match(iso(0), /^19(69|70)-\d\d-\d\dT\d\d:\d\d:00\.000[+-]\d\d:\d\d$/);
  assert.equal(new Date(iso(1_234_567_890_123)).getTime(), 1_234_567_890_123);
});

test("counts and sizes", () => {
  assert.deepEqual([count(1234567), count(999), bytes(999), bytes(1500), bytes(2_000_000), plural(1, "step"), plural(0, "child", "children")], ["1,234,567", "999", "999 B", "1.5 kB", "2.0 MB", "1 step", "0 children"]);
});

test("exception names lose only what says nothing", () => {
  assert.deepEqual([errorName("builtins.ValueError"), errorName("app.errors.Bad")], ["ValueError", "app.errors.Bad"]);
});

test("ticks are round and few", () => {
  for (const span of [1, 37, 950, 61_000, 4_000_000, 900_000_000]) {
    const found = ticks(5000, 5000 + span, 5000, 8);
    assert.ok(found.length >= 1 && found.length <= 10, `${span}: ${found.length}`);
    assert.equal(found[0], 0);
  }
  assert.deepEqual([tickLabel(0), tickLabel(500), tickLabel(1500), tickLabel(2000), tickLabel(120_000)], ["0", "500 ms", "1.5 s", "2 s", "2 min"]);
});

test("spans are cut at the window", () => {
  assert.deepEqual(place(0, 50, { from: 25, to: 75 }), { left: 0, width: 50 });
  assert.equal(place(0, 10, { from: 25, to: 75 }), null);
});
