import assert from "node:assert/strict";
import test from "node:test";
import { formatAddress, parseAddress, type Place } from "../src/core/route";

const PLACES: Place[] = [
  { page: "home" }, { page: "workflows" }, { page: "queue" }, { page: "hooks" }, { page: "agents" }, { page: "environments" }, { page: "tokens" }, { page: "settings" }, { page: "projects" },
  { page: "workflow", repository: "my.flows", target: "report" },
  { page: "workflow", repository: "my.flows", target: "report", submit: true, from: "Rbcdfgh" },
  { page: "runs" }, { page: "runs", status: "failed", target: "my.flows/report", q: "a b&c" },
  { page: "run", run: "Rbcdfgh", view: "graph" },
  { page: "run", run: "Rbcdfgh", view: "logs", step: 3, attempt: 2, tab: "logs", line: 77, only: "failed", q: "x=1", level: "warning" },
  { page: "run", run: "Rbcdfgh", view: "timeline", stack: "1.flow/load", expand: ["1.g0", "4.flow/sum"] },
  { page: "assets" }, { page: "assets", q: "report 1.csv", asset: "Abcdfgh" },
  { page: "asset", asset: "Abcdfgh" }, { page: "asset", asset: "Abcdfgh", path: "a dir/ü.csv" },
  { page: "search", q: "R bc" },
  { page: "inputs" }, { page: "inputs", state: "all" }, { page: "input", input: "Rbcdfgh/i12" },
];

test("every place has an address that leads back to it", () => {
  for (const place of PLACES) {
    for (const environment of [null, "dev/ada"]) {
      const url = new URL(formatAddress({ place, environment, project: null }), "http://x/base/");
      const found = parseAddress(url.pathname.slice("/base/".length), url.search);
      assert.deepEqual(found, { place, environment, project: null });
    }
  }
});

test("addresses are relative, so that any base will do", () => {
  for (const place of PLACES) assert.ok(!formatAddress({ place, environment: "dev", project: "p" }).startsWith("/"));
  assert.equal(formatAddress({ place: { page: "home" }, environment: null, project: null }), "./");
});

test("what is no place is said so", () => {
  for (const path of ["nope", "runs/R1/nope", "runs/R1/graph/x", "queue/x", "inputs/Rbcdfgh", "inputs/Rbcdfgh/i1/x"]) assert.equal(parseAddress(path, "").place.page, "unknown");
});

test("malformed parts are ignored, never an exception", () => {
  assert.deepEqual(parseAddress("runs/%E0%A4%A/graph", "?step=x&attempt=-1&line=1e9").place, { page: "run", run: "%E0%A4%A", view: "graph" });
});
