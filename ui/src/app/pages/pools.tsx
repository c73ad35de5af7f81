// Agents on demand: each pool with what it has started, what went wrong, and changing it.
import { useState } from "preact/hooks";
import type { Pool } from "../../core/model";
import { useTopic, useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { StateIcon } from "../../view/icon";
import { Button, Confirm, Dialog, Empty, Fact, Facts, Loading, Menu, Problem, Time, useTask } from "../../view/parts";
import { tags } from "./queue";

type Open = { kind: "new" } | { kind: "change" | "delete"; pool: Pool };

export function PoolsPage() {
  const { environment, may } = useSurroundings();
  const transport = useTransport();
  const args = { environment: environment ?? undefined };
  const live = useTopic<Record<string, Pool>>("pools", args);
  const [open, setOpen] = useState<Open | null>(null);
  if (live.state === "failed") return <Problem title="Pools could not be loaded" error={live} retry={() => transport.retry("pools", args)} />;
  if (live.state === "loading") return <Loading />;
  const all = Object.values(live.data).filter((pool) => pool.state !== "deleted").sort((a, b) => (a.name < b.name ? -1 : 1));
  return (
    <div class="page">
      <div class="page-head"><h1>Pools</h1><span class="spacer" /><Button kind="primary" icon="plus" disabled={!may("admin", environment ?? undefined)} onClick={() => setOpen({ kind: "new" })}>New pool</Button></div>
      {!all.length && <Empty title="No pools"><p>A pool starts agents when work waits for them, and stops them when it does not. Agents that you start yourself need none.</p></Empty>}
      <ul class="cards wide-cards">{all.map((pool) => <Card key={pool.id} pool={pool} onOpen={setOpen} />)}</ul>
      {open?.kind === "new" && <PoolDialog pool={null} onClose={() => setOpen(null)} />}
      {open?.kind === "change" && <PoolDialog pool={open.pool} onClose={() => setOpen(null)} />}
      {open?.kind === "delete" && <Delete pool={open.pool} onClose={() => setOpen(null)} />}
    </div>
  );
}

function Card({ pool, onOpen }: { pool: Pool; onOpen: (open: Open) => void }) {
  const transport = useTransport();
  const { may, toast } = useSurroundings();
  const noRight = may("admin", pool.environment) ? false : "This needs the admin right in this environment";
  const isOff = pool.state === "disabled";
  const set = async (what: "enable" | "disable"): Promise<void> => {
    try {
      await transport.request("POST", `/pools/${pool.name}/${what}`, { environment: pool.environment });
      toast(what === "disable" ? `${pool.name} starts no more agents; those that run are drained.` : `${pool.name} starts agents again.`, { label: "Undo", run: () => void set(what === "disable" ? "enable" : "disable") });
    } catch (error) {
      toast((error as Error).message);
    }
  };
  return (
    <li class="card agent">
      <div class="agent-head">
        <h2><StateIcon status={isOff ? "paused" : pool.error ? "failed" : "active"} size={16} />{pool.name}</h2>
        <span class="dim">{isOff ? "disabled" : `${pool.launches.length} of at most ${pool.max} agents`}</span>
        <span class="spacer" />
        <Button small disabled={noRight !== false} title={noRight || undefined} onClick={() => void set(isOff ? "enable" : "disable")}>{isOff ? "Enable" : "Disable"}</Button>
        <Menu label={`Actions for ${pool.name}`} items={[
          { key: "change", label: "Change…", run: () => onOpen({ kind: "change", pool }), disabled: noRight },
          { key: "delete", label: "Delete…", run: () => onOpen({ kind: "delete", pool }), danger: true, disabled: noRight },
        ]} />
      </div>
      <Facts>
        <Fact name="hosts"><span class="mono">{pool.repositories.join(", ")}</span></Fact>
        <Fact name="launcher">{pool.launcher}{Object.entries(pool.settings).map(([key, value]) => <code class="chip" key={key}>{key}: {value}</code>)}</Fact>
        <Fact name="agents">{pool.min} to {pool.max}, {pool.concurrency} slots each</Fact>
        <Fact name="environment">{pool.environment}</Fact>
        {Object.keys(pool.provides).length > 0 && <Fact name="provides">{tags(pool.provides)}</Fact>}
        {Object.keys(pool.accepts).length > 0 && <Fact name="accepts only">{tags(pool.accepts)}</Fact>}
        {Object.keys({ ...pool.env, ...pool.secrets }).length > 0 && <Fact name="variables">{[...Object.entries(pool.env).map(([key, value]) => `${key}=${value}`), ...Object.keys(pool.secrets).map((key) => `${key} (secret)`)].join(", ")}</Fact>}
      </Facts>
      {pool.launches.length > 0 && (
        <table class="list">
          <thead><tr><th scope="col">Launch</th><th scope="col">State</th><th scope="col">Since</th></tr></thead>
          <tbody>{pool.launches.map((launch) => <tr key={launch.launch}><td><code>{launch.session ?? launch.launch}</code></td><td class="text">{launch.status}{launch.reason && `: ${launch.reason}`}</td><td><Time at={launch.created_at} /></td></tr>)}</tbody>
        </table>
      )}
      {pool.error && (
        <div class="failure">
          <div><strong>{pool.failures > 1 ? `The last ${pool.failures} launches failed` : "The last launch failed"}</strong> <span class="message">{pool.error}</span></div>
          {pool.lines.length > 0 && <pre class="preview">{pool.lines.join("\n")}</pre>}
          {pool.retry_at !== null && <p class="note">Tried again <Time at={pool.retry_at} />.</p>}
        </div>
      )}
    </li>
  );
}

function Delete({ pool, onClose }: { pool: Pool; onClose: () => void }) {
  const transport = useTransport();
  return (
    <Confirm title={`Delete ${pool.name}?`} action="Delete it" onClose={onClose} onConfirm={async () => { await transport.request("DELETE", `/pools/${pool.name}?environment=${encodeURIComponent(pool.environment)}`); }}>
      <p>Its agents are drained: what they run may end, they take nothing new.</p>
      <p class="dim">This cannot be taken back; its name may be used again.</p>
    </Confirm>
  );
}

/** `a=1` on each line. */
function readPairs(text: string, what: string): Record<string, string> {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(lines.map((line) => {
    const at = line.search(/[=:]/);
    if (at < 1) throw new Error(`${what}: “${line}” is not of the form name=value.`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));
}

const asLines = (pairs: Record<string, unknown>): string => Object.entries(pairs).map(([key, value]) => `${key}=${Array.isArray(value) ? value.join(",") : String(value)}`).join("\n");
const asTags = (pairs: Record<string, string>): Record<string, string[]> => Object.fromEntries(Object.entries(pairs).map(([key, value]) => [key, value.split(",").map((one) => one.trim())]));

function PoolDialog({ pool, onClose }: { pool: Pool | null; onClose: () => void }) {
  const transport = useTransport();
  const { environment: viewed, toast } = useSurroundings();
  const environment = pool?.environment ?? viewed ?? "default";
  const [name, setName] = useState("");
  const [text, setText] = useState({
    repositories: pool?.repositories.join(", ") ?? "", launcher: pool?.launcher ?? "process", min: String(pool?.min ?? 0), max: String(pool?.max ?? 1), concurrency: String(pool?.concurrency ?? 4),
    settings: asLines(pool?.settings ?? {}), provides: asLines(pool?.provides ?? {}), accepts: asLines(pool?.accepts ?? {}), env: asLines(pool?.env ?? {}), secrets: "",
  });
  const set = (field: keyof typeof text) => (event: { currentTarget: { value: string } }) => setText((old) => ({ ...old, [field]: event.currentTarget.value }));
  const task = useTask(async () => {
    const number = (field: "min" | "max" | "concurrency"): number => {
      if (!/^\d{1,6}$/.test(text[field].trim())) throw new Error(`${field}: a whole number.`);
      return Number(text[field]);
    };
    const repositories = text.repositories.split(/[\s,]+/).filter(Boolean);
    const body = {
      environment, repositories, launcher: text.launcher, min: number("min"), max: number("max"), concurrency: number("concurrency"),
      settings: readPairs(text.settings, "Settings"), provides: asTags(readPairs(text.provides, "Provides")), accepts: asTags(readPairs(text.accepts, "Accepts")), env: readPairs(text.env, "Variables"),
      ...(text.secrets.trim() ? { secrets: readPairs(text.secrets, "Secrets") } : {}),
    };
    if (pool) await transport.request("PATCH", `/pools/${pool.name}`, body);
    else await transport.request("POST", "/pools", { ...body, name });
    toast(`${pool?.name ?? name} is saved.${pool ? " Its agents are replaced." : ""}`);
    onClose();
  });
  return (
    <Dialog
      wide title={pool ? `Change ${pool.name}` : "New pool"} onClose={onClose} onSubmit={() => void task.run()}
      footer={<><span class="dim hint">in {environment}</span><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy || (!pool && !name) || !text.repositories.trim()}>Save</Button></>}
    >
      {!pool && <label class="field"><span>Name</span><input type="text" required autoFocus value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>}
      <label class="field"><span>Repositories</span><input type="text" class="mono" required value={text.repositories} placeholder="my.flows, other.*" onInput={set("repositories")} /></label>
      <label class="field"><span>Launcher</span><select value={text.launcher} onChange={set("launcher")}>{["process", "docker", "kubernetes"].map((one) => <option key={one}>{one}</option>)}</select></label>
      <div class="field-row">
        <label class="field"><span>At least</span><input type="text" inputMode="numeric" value={text.min} onInput={set("min")} /></label>
        <label class="field"><span>At most</span><input type="text" inputMode="numeric" value={text.max} onInput={set("max")} /></label>
        <label class="field"><span>Slots each</span><input type="text" inputMode="numeric" value={text.concurrency} onInput={set("concurrency")} /></label>
      </div>
      <label class="field"><span>Settings of the launcher</span><textarea rows={2} class="mono" value={text.settings} placeholder="image=registry/flows:3" onInput={set("settings")} /></label>
      <details class="more-options">
        <summary>Tags and variables</summary>
        <label class="field"><span>Provides</span><textarea rows={2} class="mono" value={text.provides} placeholder="gpu=a100,h100" onInput={set("provides")} /></label>
        <label class="field"><span>Accepts only</span><textarea rows={2} class="mono" value={text.accepts} onInput={set("accepts")} /></label>
        <label class="field"><span>Variables</span><textarea rows={2} class="mono" value={text.env} placeholder="REGION=north" onInput={set("env")} /></label>
        <label class="field"><span>Secrets</span><textarea rows={2} class="mono" value={text.secrets} placeholder="API_KEY=…" onInput={set("secrets")} /><small>Never shown again.{pool && Object.keys(pool.secrets).length > 0 && ` Set are ${Object.keys(pool.secrets).join(", ")}.`}</small></label>
      </details>
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}
