// A run as one HTML file: this page's own script and style, and everything the run view asks for.
import { bytes, plural } from "../core/format";
import type { AssetShown, LogLine, RunDocument } from "../core/model";
import type { Saved } from "../data/static";
import { query, topicKey, type Transport } from "../data/transport";

/** Most steps that are saved with values; beyond it the graph is saved without them. */
const STEPS = 2000;
const LINES = 20_000;
const BLOB = 1_000_000;
const BLOBS = 10_000_000;

export async function exportRun(transport: Transport, run: string, environment: string | null): Promise<string> {
  const env = environment ?? undefined;
  const saved: Saved & { run: string } = { run, at: Date.now(), topics: {}, answers: {}, blobs: {} };
  const doc = (await snapshot(transport, "graph", { run, environment: env })) as RunDocument;
  saved.topics[topicKey("graph", { run, environment: undefined })] = doc;
  const numbers = Object.keys(doc.steps).slice(0, STEPS);
  for (let i = 0; i < numbers.length; i += 8) {
    await Promise.all(numbers.slice(i, i + 8).map(async (number) => {
      saved.topics[topicKey("step", { step: `${run}:${number}`, environment: undefined })] = await transport.request("GET", `/steps/${run}:${number}${query({ environment: env })}`);
    }));
  }
  const lines = await allLines(transport, run, env);
  saveLogs(saved, run, lines, doc);
  saved.answers[`/metrics${query({ id: run, points: 500 })}`] = await transport.request("GET", `/metrics${query({ id: run, environment: env, points: 500 })}`);
  await saveAssets(saved, transport, run, env);
  const html = await assemble(saved, doc.target);
  download(`${run}.html`, new Blob([html], { type: "text/html" }));
  const left = Object.keys(doc.steps).length - numbers.length;
  return `${run}.html saved, ${bytes(html.length)}${left > 0 ? `; values of ${plural(left, "step")} were left out` : ""}.`;
}

function snapshot(transport: Transport, topic: string, args: Record<string, string | undefined>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let stop: (() => void) | null = null;
    let isDone = false;
    stop = transport.subscribe(topic, args, (live) => {
      if (isDone || live.state === "loading") return;
      isDone = true;
      if (live.state === "ready") resolve(live.data);
      else reject(new Error(live.message));
      setTimeout(() => stop?.(), 0);
    });
  });
}

async function allLines(transport: Transport, run: string, environment: string | undefined): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  let after = "0";
  while (lines.length < LINES) {
    const page = await transport.request<{ entries: LogLine[]; cursor: string; more: boolean }>("GET", `/logs${query({ id: run, environment, after, limit: 1000 })}`);
    lines.push(...page.entries);
    if (!page.more) break;
    after = page.cursor;
  }
  return lines;
}

/** The answers to what the log view asks first and then, for the run and for each attempt. */
function saveLogs(saved: Saved, run: string, lines: LogLine[], doc: RunDocument): void {
  const put = (id: string, entries: LogLine[]): void => {
    const last = String(entries.at(-1)?.id ?? 0);
    saved.answers[`/logs${query({ id, limit: 1000, before: "end" })}`] = { entries, cursor: last, first: String(entries[0]?.id ?? ""), more: false };
    saved.answers[`/logs${query({ id, limit: 1000, after: last })}`] = { entries: [], cursor: last, first: null, more: false };
  };
  put(run, lines);
  const byExecution = new Map<string, LogLine[]>();
  for (const line of lines) byExecution.set(line.execution, [...(byExecution.get(line.execution) ?? []), line]);
  for (const [number, step] of Object.entries(doc.steps)) {
    for (const attempt of Object.keys(step.a)) put(`${run}:${number}:${attempt}`, byExecution.get(`${run}:${number}:${attempt}`) ?? []);
  }
}

async function saveAssets(saved: Saved, transport: Transport, run: string, environment: string | undefined): Promise<void> {
  const assets = await transport.request<AssetShown[]>("GET", `/assets${query({ run, environment })}`);
  saved.answers[`/assets${query({ run })}`] = assets;
  let total = 0;
  for (const entry of assets.flatMap((asset) => asset.entries)) {
    if (entry.size > BLOB || total + entry.size > BLOBS || entry.blob in saved.blobs) continue;
    total += entry.size;
    const data = new Uint8Array(await (await transport.blob(entry.blob)).arrayBuffer());
    let text = "";
    for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
    saved.blobs[entry.blob] = btoa(text);
  }
}

async function assemble(saved: Saved, target: string): Promise<string> {
  const [script, style] = await Promise.all(["app.js", "app.css"].map(async (name) => (await fetch(`static/${name}`)).text()));
  // `</script` would end the element it stands in.
  const json = JSON.stringify(saved).replace(/</g, "\\u003c");
  const title = `${saved.topics && target}`.replace(/[<&]/g, "");
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title} · Coflux</title>
<style>${style!.replace(/<\/style/gi, "<\\/style")}</style></head>
<body><div id="app"></div><script type="application/json" id="coflux-saved">${json}</script>
<script type="module">${script!.replace(/<\/script/gi, "<\\/script")}</script></body></html>
`;
}

function download(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
