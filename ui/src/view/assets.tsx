// Files that executions kept: a tree, a preview where one is safe, a download in any case.
import { useEffect, useMemo, useState } from "preact/hooks";
import { parseTable } from "../core/csv";
import { kindOfAll, type FileKind } from "../core/files";
import { bytes, count, plural } from "../core/format";
import { stepNumber, type AssetShown, type Model } from "../core/model";
import { asError, useRequest, useTransport } from "../data/hooks";
import { query, type RequestError } from "../data/transport";
import { Ansi } from "./ansi";
import { useSurroundings } from "./context";
import { Icon } from "./icon";
import { Link } from "./link";
import { Button, Copyable, Empty, Loading, Problem } from "./parts";
import { Tree } from "./value";

type Entry = AssetShown["entries"][number];

/** The assets of a run. */
export function Assets({ run, model }: { run: string; model: Model }) {
  const { environment } = useSurroundings();
  // Asked again when the run goes on: assets come with steps.
  const found = useRequest<AssetShown[]>(`/assets${query({ run, environment: environment ?? undefined })}`);
  const finished = model.counts["value"] ?? 0;
  useEffect(() => {
    const timer = setTimeout(found.reload, 1000);
    return () => clearTimeout(timer);
  }, [finished]);
  const [chosen, setChosen] = useState<string | null>(null);
  if (found.error) return <Problem error={found.error} retry={found.reload} />;
  if (!found.data) return <Loading what="Loading assets" />;
  if (!found.data.length) {
    return <Empty title="No assets"><p>A step keeps files with <code>cf.persist_asset("report.csv")</code>; they show up here with a preview.</p></Empty>;
  }
  const asset = found.data.find((a) => a.id === chosen) ?? found.data[0]!;
  return (
    <div class="assets">
      <nav class="asset-list" aria-label="Assets">
        {found.data.map((a) => {
          const step = a.execution ? model.byNumber.get(stepNumber(a.execution)) : undefined;
          return (
            <button key={a.id} type="button" class="asset-item" aria-current={a === asset ? "true" : undefined} onClick={() => setChosen(a.id)}>
              <Icon name={iconOf(a)} /><span class="clip">{nameOf(a)}</span>
              <span class="dim clip">{step ? `${step.name} ${step.number}` : ""} · {sizeOf(a)}</span>
            </button>
          );
        })}
      </nav>
      <AssetView key={asset.id} asset={asset} />
    </div>
  );
}

export function iconOf(asset: AssetShown): FileKind {
  return (asset.files ?? asset.entries.length) === asset.entries.length ? kindOfAll(asset.entries.map((e) => e.path)) : "folder";
}

export function sizeOf(asset: AssetShown): string {
  return `${plural(asset.files ?? asset.entries.length, "file")}, ${bytes(asset.size ?? asset.entries.reduce((sum, e) => sum + e.size, 0))}`;
}

export function nameOf(asset: AssetShown): string {
  if (asset.name) return asset.name;
  if (asset.entries.length === 1) return asset.entries[0]!.path;
  return asset.path && asset.path !== "." ? asset.path : asset.id;
}

/** One asset: its files, and the chosen one shown. */
export function AssetView({ asset, path, placeOf }: { asset: AssetShown; path?: string | undefined; placeOf?: (path: string) => import("../core/route").Place }) {
  const [own, setOwn] = useState<string | null>(null);
  const chosen = path ?? own ?? asset.entries[0]?.path ?? null;
  const entry = asset.entries.find((e) => e.path === chosen) ?? null;
  return (
    <div class="asset-view">
      <div class="bar-tools">
        <strong>{nameOf(asset)}</strong><Copyable text={asset.id} what="asset id" />
        {asset.execution && <Link class="chip" to={{ page: "run", run: asset.execution.split(":")[0]!, view: "graph", step: stepNumber(asset.execution) }}><Icon name="link" size={12} />{asset.execution}</Link>}
        <span class="spacer" />
        <Copyable text={`coflux assets download ${asset.id}`} what="download command" />
      </div>
      {!asset.entries.length && <Empty title="An empty directory" />}
      {asset.entries.length > 1 && (
        <ul class="files" aria-label="Files">
          {asset.entries.slice(0, 2000).map((e) => (
            <li key={e.path}>
              {placeOf ? <Link to={placeOf(e.path)} replace aria-current={e.path === chosen ? "true" : undefined}>{e.path}</Link>
                : <button type="button" class="linklike" aria-current={e.path === chosen ? "true" : undefined} onClick={() => setOwn(e.path)}>{e.path}</button>}
              <span class="dim num">{bytes(e.size)}</span>
            </li>
          ))}
          {asset.entries.length > 2000 && <li class="dim">{count(asset.entries.length - 2000)} more files</li>}
        </ul>
      )}
      {entry && <Preview key={entry.blob + entry.path} entry={entry} />}
    </div>
  );
}

const TEXT_LIMIT = 512 * 1024;
const IMAGE_LIMIT = 20 * 1024 * 1024;
const IMAGES: Record<string, string> = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp", svg: "image/svg+xml", bmp: "image/bmp" };

type Loaded = { kind: "image"; url: string } | { kind: "text"; text: string; isCut: boolean } | { kind: "binary" };

export function Preview({ entry }: { entry: Entry }) {
  const transport = useTransport();
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [error, setError] = useState<RequestError | null>(null);
  const extension = entry.path.slice(entry.path.lastIndexOf(".") + 1).toLowerCase();
  useEffect(() => {
    let isWanted = true;
    let url: string | null = null;
    const load = async (): Promise<Loaded> => {
      const image = IMAGES[extension];
      if (image && entry.size <= IMAGE_LIMIT) {
        // Drawn by <img>, in which nothing of it can run.
        url = URL.createObjectURL(new Blob([await transport.blob(entry.blob)], { type: image }));
        return { kind: "image", url };
      }
      const data = new Uint8Array(await (await transport.blob(entry.blob, Math.min(entry.size, TEXT_LIMIT))).arrayBuffer());
      if (data.subarray(0, 8000).includes(0)) return { kind: "binary" };
      return { kind: "text", text: new TextDecoder().decode(data), isCut: entry.size > TEXT_LIMIT };
    };
    if (entry.size === 0) setLoaded({ kind: "text", text: "", isCut: false });
    else load().then((found) => isWanted && setLoaded(found), (problem) => isWanted && setError(asError(problem)));
    return () => {
      isWanted = false;
      if (url) URL.revokeObjectURL(url);
    };
  }, [entry.blob]);
  const download = async (): Promise<void> => {
    const url = URL.createObjectURL(await transport.blob(entry.blob));
    const link = document.createElement("a");
    link.href = url;
    link.download = entry.path.split("/").pop()!;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return (
    <figure class="file-preview">
      <figcaption>
        <span class="mono">{entry.path}</span> <span class="dim">{bytes(entry.size)}{entry.media_type && `, ${entry.media_type}`}</span>
        <span class="spacer" />
        <Button small icon="download" onClick={() => void download().catch((problem) => setError(asError(problem)))}>Download</Button>
      </figcaption>
      {error ? <Problem error={error} /> : loaded === null ? <Loading /> : <Shown loaded={loaded} extension={extension} entry={entry} />}
    </figure>
  );
}

function Shown({ loaded, extension, entry }: { loaded: Loaded; extension: string; entry: Entry }) {
  if (loaded.kind === "image") return <div class="image-preview"><img src={loaded.url} alt={entry.path} /></div>;
  if (loaded.kind === "binary") return <p class="note">{entry.media_type ?? "Binary data"}, {bytes(entry.size)}: no preview, but it can be downloaded.</p>;
  if (entry.size === 0) return <p class="note">An empty file.</p>;
  if (extension === "csv" || extension === "tsv") return <TableView text={loaded.text} separator={extension === "tsv" ? "\t" : ","} isCut={loaded.isCut} />;
  if ((extension === "json" || extension === "ipynb") && !loaded.isCut) return <JsonView text={loaded.text} />;
  return <div class="text-preview" tabIndex={0} role="region" aria-label={entry.path}><pre><Ansi text={loaded.text} /></pre>{loaded.isCut && <p class="note">Only the first {bytes(TEXT_LIMIT)} are shown.</p>}</div>;
}

function JsonView({ text }: { text: string }) {
  const parsed = useMemo(() => {
    try {
      return { value: JSON.parse(text) as unknown };
    } catch {
      return null;
    }
  }, [text]);
  return parsed ? <div class="text-preview"><Tree value={parsed.value} depth={0} /></div> : <pre class="text-preview">{text}</pre>;
}

const ROWS = 200;

function TableView({ text, separator, isCut }: { text: string; separator: string; isCut: boolean }) {
  const rows = useMemo(() => parseTable(text, separator, ROWS + 2), [text]);
  const [head, ...body] = rows;
  if (!head) return <p class="note">An empty table.</p>;
  const isNumber = head.map((_, i) => body.length > 0 && body.every((row) => !row[i] || !Number.isNaN(Number(row[i]))));
  return (
    <div class="table-preview" tabIndex={0} role="region" aria-label="Table">
      <table class="data">
        <thead><tr>{head.map((cell, i) => <th key={i} scope="col" class={isNumber[i] ? "num" : ""}>{cell}</th>)}</tr></thead>
        <tbody>{body.slice(0, ROWS).map((row, r) => <tr key={r}>{head.map((_, i) => <td key={i} class={isNumber[i] ? "num" : ""}>{row[i]}</td>)}</tr>)}</tbody>
      </table>
      {(body.length > ROWS || isCut) && <p class="note">The first {ROWS} rows are shown.</p>}
    </div>
  );
}
