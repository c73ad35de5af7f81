// Runs the unit tests: bundles each test file (TypeScript) and hands them to node --test.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const out = mkdtempSync(join(tmpdir(), "coflux-ui-test-"));
const entries = readdirSync("test").filter((name) => /\.test\.tsx?$/.test(name)).map((name) => join("test", name));
await build({
  entryPoints: entries, outdir: out, bundle: true, platform: "node", format: "esm", target: "node18",
  outExtension: { ".js": ".mjs" }, jsx: "automatic", jsxImportSource: "preact", logLevel: "warning",
});
const files = readdirSync(out).map((name) => join(out, name));
const done = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" });
rmSync(out, { recursive: true });
process.exit(done.status ?? 1);
