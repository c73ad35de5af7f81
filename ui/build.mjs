// Builds the committed bundles: the page's app.js and app.css, the notebook widget's widget.js, and the
// licence texts of what is bundled. The same sources always give the same bytes: exact versions, no dates,
// no source maps. `--check` builds into memory and compares with the committed files instead.
import { build, transform } from "esbuild";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const pages = join(here, "../coflux/server/static");
const widget = join(here, "../coflux/jupyter");
/** Most bytes, gzipped. */
const BUDGETS = { page: 250_000, widget: 150_000 };

/** `import text from "./x.css?text"`: the minified style sheet as a string. */
const cssAsText = {
  name: "css-as-text",
  setup(builder) {
    builder.onResolve({ filter: /\.css\?text$/ }, (args) => ({
      path: join(args.resolveDir, args.path.replace("?text", "")),
      namespace: "css-text",
    }));
    builder.onLoad({ filter: /.*/, namespace: "css-text" }, async (args) => {
      const found = await transform(await readFile(args.path, "utf8"), { loader: "css", minify: true });
      return { contents: found.code, loader: "text" };
    });
  },
};

const common = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  write: false,
  metafile: true,
  absWorkingDir: here,
  plugins: [cssAsText],
  logLevel: "warning",
};

async function bundles() {
  const page = await build({ ...common, entryPoints: ["src/app/main.tsx"], outfile: join(pages, "app.js") });
  const style = await build({ ...common, entryPoints: ["src/view/style.css"], outfile: join(pages, "app.css") });
  const note = await build({ ...common, entryPoints: ["src/widget/widget.tsx"], outfile: join(widget, "widget.js") });
  const files = [page, style, note].flatMap((built) => built.outputFiles.map((f) => [f.path, f.text]));
  const inputs = [page, note].flatMap((built) => Object.keys(built.metafile.inputs));
  files.push([join(pages, "THIRD_PARTY_LICENSES.txt"), await licences(inputs)]);
  return new Map(files);
}

/** The licence texts of every package that is in a bundle. */
async function licences(inputs) {
  const names = inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean);
  const texts = [];
  for (const name of [...new Set(names)].sort()) {
    const folder = join(here, "node_modules", name);
    const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? await readFile(join(folder, file), "utf8") : `Licence: ${about.license}`;
    texts.push(`${about.name} ${about.version} (${about.license})\n\n${text.replace(/\r\n/g, "\n").trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

const isCheck = process.argv.includes("--check");
const built = await bundles();
const wrong = [];
for (const [path, text] of built) {
  const committed = await readFile(path, "utf8").catch(() => null);
  if (isCheck && committed !== text) wrong.push(`${relative(here, path)} is not what the sources give; run node build.mjs`);
  if (!isCheck && committed !== text) await writeFile(path, text);
}
const size = (...names) =>
  [...built].filter(([path]) => names.some((name) => path.endsWith(name))).reduce((sum, [, text]) => sum + gzipSync(text, { level: 9 }).length, 0);
const sizes = { page: size("app.js", "app.css"), widget: size("widget.js") };
for (const [name, bytes] of Object.entries(sizes)) {
  console.log(`${name}: ${(bytes / 1000).toFixed(1)} kB gzipped of ${BUDGETS[name] / 1000} kB`);
  if (bytes > BUDGETS[name]) wrong.push(`${name} is above its budget`);
}
for (const problem of wrong) console.error(problem);
process.exit(wrong.length ? 1 : 0);
