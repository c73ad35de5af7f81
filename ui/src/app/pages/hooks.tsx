// Hooks: who is told how runs ended, whether that arrived, and changing it.
import { useState } from "preact/hooks";
import { splitWords } from "../../core/form";
import type { Environment } from "../../core/model";
import { useRequest, useTopic, useTransport } from "../../data/hooks";
import { query } from "../../data/transport";
import { useSurroundings } from "../../view/context";
import { Status } from "../../view/icon";
import { Link } from "../../view/link";
import { Button, Confirm, Dialog, Empty, Loading, Menu, Problem, Time, useTask } from "../../view/parts";

interface Hook {
  name: string;
  environment: string;
  kind: "command" | "webhook" | "apprise";
  outcomes: string[];
  target: string | null;
  command: string[];
  url: string;
  headers: Record<string, string>;
  enabled: boolean;
}

interface Delivery {
  run: string;
  status: string;
  state: "owed" | "delivered" | "given up";
  attempts: number;
  next_at: number | null;
  error: string | null;
  finished_at: number;
}

type Open = { kind: "new" } | { kind: "deliveries" | "delete"; hook: Hook };

const NO_RIGHT = "This needs the admin right in this environment";

export function HooksPage() {
  const { environment, may } = useSurroundings();
  const list = useRequest<Hook[]>(`/hooks${query({ environment: environment ?? undefined })}`);
  const [open, setOpen] = useState<Open | null>(null);
  const close = (): void => {
    setOpen(null);
    list.reload();
  };
  if (list.error && !list.data) return <Problem title="Hooks could not be loaded" error={list.error} retry={list.reload} />;
  if (!list.data) return <Loading />;
  const mayCreate = may("admin", environment ?? undefined);
  return (
    <div class="page">
      <div class="page-head"><h1>Hooks</h1><span class="spacer" /><Button kind="primary" icon="plus" disabled={!mayCreate} title={mayCreate ? undefined : NO_RIGHT} onClick={() => setOpen({ kind: "new" })}>New hook</Button></div>
      {!list.data.length && <Empty title="Nobody is told"><p>A hook tells somebody how runs ended: by a web request, a command on the server's machine, or a message in e-mail or chat.</p></Empty>}
      {list.data.length > 0 && (
        <table class="list">
          <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Tells</th><th scope="col">When</th><th scope="col" class="wide">Runs of</th>{environment === null && <th scope="col" class="wide">Environment</th>}<th scope="col"><span class="sr">Actions</span></th></tr></thead>
          <tbody>{list.data.map((hook) => <Row key={`${hook.environment} ${hook.name}`} hook={hook} showsEnvironment={environment === null} onOpen={setOpen} onChanged={list.reload} />)}</tbody>
        </table>
      )}
      {open?.kind === "new" && <NewHook onClose={close} />}
      {open?.kind === "deliveries" && <Deliveries hook={open.hook} onClose={() => setOpen(null)} />}
      {open?.kind === "delete" && <Delete hook={open.hook} onClose={close} />}
    </div>
  );
}

function Row({ hook, showsEnvironment, onOpen, onChanged }: { hook: Hook; showsEnvironment: boolean; onOpen: (open: Open) => void; onChanged: () => void }) {
  const transport = useTransport();
  const { may, toast } = useSurroundings();
  const noRight = may("admin", hook.environment) ? false : NO_RIGHT;
  const ask = async (what: "enable" | "disable" | "test", done: string, undo?: "enable" | "disable"): Promise<void> => {
    try {
      await transport.request("POST", `/hooks/${hook.name}/${what}`, { environment: hook.environment });
      toast(done, undo && { label: "Undo", run: () => void ask(undo, `${hook.name} is as it was.`) });
      onChanged();
    } catch (error) {
      toast((error as Error).message);
    }
  };
  return (
    <tr>
      <td><strong>{hook.name}</strong></td>
      <td><Status status={hook.enabled ? "active" : "paused"} /></td>
      <td class="text"><code>{hook.kind === "command" ? hook.command.join(" ") : hook.url}</code> <span class="dim">{hook.kind}</span></td>
      <td>{hook.outcomes.join(", ")}</td>
      <td class="wide">{hook.target ? <code>{hook.target}</code> : <span class="dim">everything</span>}</td>
      {showsEnvironment && <td class="wide">{hook.environment}</td>}
      <td class="actions">
        <div class="row-actions">
          <Button small onClick={() => onOpen({ kind: "deliveries", hook })}>Deliveries</Button>
          <Menu
            label={`More of ${hook.name}`}
            items={[
              { key: "test", label: "Tell it now, as a trial", run: () => void ask("test", `${hook.name} was told.`), disabled: noRight },
              hook.enabled ? { key: "off", label: "Disable", run: () => void ask("disable", `${hook.name} is told no more.`, "enable"), disabled: noRight }
                : { key: "on", label: "Enable", run: () => void ask("enable", `${hook.name} is told again.`, "disable"), disabled: noRight },
              { key: "delete", label: "Delete…", run: () => onOpen({ kind: "delete", hook }), disabled: noRight, danger: true },
            ]}
          />
        </div>
      </td>
    </tr>
  );
}

function Deliveries({ hook, onClose }: { hook: Hook; onClose: () => void }) {
  const list = useRequest<Delivery[]>(`/hooks/${hook.name}/deliveries${query({ environment: hook.environment, limit: 100 })}`);
  return (
    <Dialog wide title={`What ${hook.name} was told`} onClose={onClose} footer={<Button onClick={onClose}>Close</Button>}>
      {list.error && <Problem error={list.error} retry={list.reload} />}
      {list.isLoading && <Loading />}
      {list.data?.length === 0 && <p class="dim">Nothing yet.</p>}
      {list.data && list.data.length > 0 && (
        <table class="list">
          <thead><tr><th scope="col">Run</th><th scope="col">Ended</th><th scope="col">Delivery</th></tr></thead>
          <tbody>
            {list.data.map((delivery) => (
              <tr key={delivery.run}>
                <td><Link to={{ page: "run", run: delivery.run, view: "graph" }}><code>{delivery.run}</code></Link></td>
                <td><Status status={delivery.status} /> <Time at={delivery.finished_at} /></td>
                <td class="text">{delivery.state}{delivery.attempts > 1 && ` after ${delivery.attempts} attempts`}{delivery.next_at && <>, next <Time at={delivery.next_at} as="clock" /></>}{delivery.error && <p class="note">{delivery.error}</p>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Dialog>
  );
}

function Delete({ hook, onClose }: { hook: Hook; onClose: () => void }) {
  const transport = useTransport();
  return (
    <Confirm title={`Delete ${hook.name}?`} action="Delete it" onClose={onClose} onConfirm={async () => { await transport.request("DELETE", `/hooks/${hook.name}${query({ environment: hook.environment })}`); }}>
      <p>It is told nothing more, not even what it is owed.</p>
      <p class="dim">This cannot be taken back; to stop it for a while, disable it.</p>
    </Confirm>
  );
}

const KINDS: Record<Hook["kind"], [string, string, string]> = {
  webhook: ["web request", "URL", "https://chat.example/hook"],
  command: ["command on the server's machine", "Command", "./tell.sh --loudly"],
  apprise: ["message in e-mail or chat", "Address of apprise", "mailto://user:password@example.org"],
};

function NewHook({ onClose }: { onClose: () => void }) {
  const transport = useTransport();
  const { environment: viewed, may } = useSurroundings();
  const live = useTopic<Record<string, Environment>>("environments");
  const allowed = live.state === "ready" ? Object.values(live.data).filter((e) => e.state !== "archived" && may("admin", e.name)) : [];
  const [name, setName] = useState("");
  const [environment, setEnvironment] = useState(viewed ?? "default");
  const [kind, setKind] = useState<Hook["kind"]>("webhook");
  const [where, setWhere] = useState("");
  const [outcomes, setOutcomes] = useState(["failed"]);
  const [target, setTarget] = useState("");
  const task = useTask(async () => {
    await transport.request("POST", "/hooks", {
      name: name.trim(), environment, kind, outcomes, target: target.trim() || null,
      ...(kind === "command" ? { command: splitWords(where) } : { url: where.trim() }),
    });
    onClose();
  });
  const [, label, example] = KINDS[kind];
  return (
    <Dialog title="New hook" onClose={onClose} onSubmit={() => void task.run()} footer={<><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy || !name.trim() || !where.trim() || !outcomes.length}>Create</Button></>}>
      <label class="field"><span>Name</span><input type="text" required autoFocus value={name} placeholder="failures" onInput={(event) => setName(event.currentTarget.value)} /></label>
      <fieldset class="field"><legend>Tells by</legend>
        {(Object.keys(KINDS) as Hook["kind"][]).map((each) => <label class="choice" key={each}><input type="radio" name="kind" checked={kind === each} onChange={() => setKind(each)} /> {KINDS[each][0]}</label>)}
      </fieldset>
      <label class="field"><span>{label}</span><input type="text" class="mono" required value={where} placeholder={example} onInput={(event) => setWhere(event.currentTarget.value)} />
        <small>{kind === "command" ? "It reads a JSON object from its standard input." : kind === "webhook" ? "It gets a JSON object by POST; the address is not shown whole again." : "The server needs the extra `notify`; the address is not shown whole again."}</small></label>
      <fieldset class="field"><legend>When a run has</legend>
        <div class="choices">{["failed", "succeeded", "cancelled"].map((each) => <label class="choice" key={each}><input type="checkbox" checked={outcomes.includes(each)} onChange={(event) => setOutcomes(event.currentTarget.checked ? [...outcomes, each] : outcomes.filter((other) => other !== each))} /> {each === "cancelled" ? "been cancelled" : each}</label>)}</div>
      </fieldset>
      <label class="field"><span>Only of</span><input type="text" class="mono" value={target} placeholder="everything" onInput={(event) => setTarget(event.currentTarget.value)} /><small>A workflow as <code>repository/name</code>, or a whole repository.</small></label>
      <label class="field"><span>Environment</span>
        <select value={environment} onChange={(event) => setEnvironment(event.currentTarget.value)}>
          {!allowed.some((e) => e.name === environment) && <option value={environment}>{environment}</option>}
          {allowed.map((e) => <option key={e.id} value={e.name}>{e.name}</option>)}
        </select>
      </label>
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}
