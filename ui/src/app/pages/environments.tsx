// Environments as the tree that they are, and what can be changed about them.
import { useState } from "preact/hooks";
import { hierarchy, lineage } from "../../core/environments";
import type { Environment } from "../../core/model";
import { useTopic, useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { LimitsDialog } from "../limits";
import { Status } from "../../view/icon";
import { Link } from "../../view/link";
import { Button, Confirm, Copyable, Dialog, Loading, Menu, Problem, useTask } from "../../view/parts";

export function EnvironmentsPage() {
  const transport = useTransport();
  const { may } = useSurroundings();
  const live = useTopic<Record<string, Environment>>("environments");
  const [dialog, setDialog] = useState<{ kind: "create" | "change" | "archive" | "limits"; environment: Environment | null } | null>(null);
  const [showsArchived, setShowsArchived] = useState(false);
  if (live.state === "failed") return <Problem title="Environments could not be loaded" error={live} retry={() => transport.retry("environments", {})} />;
  if (live.state === "loading") return <Loading />;
  const all = Object.values(live.data);
  const archived = all.filter((e) => e.state === "archived").length;
  const branches = hierarchy(all).filter((branch) => showsArchived || branch.environment.state !== "archived");
  const mayCreate = may("admin");
  return (
    <div class="page">
      <div class="page-head">
        <h1>Environments</h1><span class="spacer" />
        <Button kind="primary" icon="plus" disabled={!mayCreate} title={mayCreate ? undefined : "This needs the admin right"} onClick={() => setDialog({ kind: "create", environment: null })}>New environment</Button>
      </div>
      <p class="dim">An environment based on another takes over its cached results, and steps of the base can be run again in it; nothing flows back.</p>
      <table class="list tree">
        <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col" class="wide">Based on</th><th scope="col" class="wide">Id</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
        <tbody>
          {branches.map(({ environment, depth }) => (
            <tr key={environment.id}>
              <td style={{ paddingLeft: `${12 + depth * 22}px` }}>{depth > 0 && <span class="dim">└ </span>}{environment.state === "archived" ? environment.name : <Link to={{ page: "runs" }} environment={environment.name}>{environment.name}</Link>}</td>
              <td><Status status={environment.state} /></td>
              <td class="wide dim">{environment.state === "archived" ? environment.base : lineage(all, environment.name).slice(1).join(" → ") || "–"}</td>
              <td class="wide"><Copyable text={environment.id} what="environment id" /></td>
              <td class="actions"><Actions environment={environment} open={(kind) => setDialog({ kind, environment })} /></td>
            </tr>
          ))}
        </tbody>
      </table>
      {archived > 0 && <Button small onClick={() => setShowsArchived(!showsArchived)}>{showsArchived ? "Hide" : "Show"} {archived} archived</Button>}
      {dialog?.kind === "create" && <EnvironmentDialog all={all} environment={null} onClose={() => setDialog(null)} />}
      {dialog?.kind === "change" && <EnvironmentDialog all={all} environment={dialog.environment} onClose={() => setDialog(null)} />}
      {dialog?.kind === "limits" && <LimitsDialog environment={dialog.environment!} onClose={() => setDialog(null)} />}
      {dialog?.kind === "archive" && <ArchiveDialog environment={dialog.environment!} onClose={() => setDialog(null)} />}
    </div>
  );
}

function Actions({ environment, open }: { environment: Environment; open: (kind: "change" | "archive" | "limits") => void }) {
  const transport = useTransport();
  const { may, toast } = useSurroundings();
  if (environment.state === "archived") return null;
  const noRight = may("admin", environment.name) ? false : "This needs the admin right in this environment";
  const set = async (what: "pause" | "resume"): Promise<void> => {
    try {
      await transport.request("POST", `/environments/${environment.id}/${what}`);
      toast(what === "pause" ? `${environment.name} is paused: what runs goes on, nothing new starts.` : `${environment.name} goes on.`, {
        label: "Undo", run: () => void set(what === "pause" ? "resume" : "pause"),
      });
    } catch (error) {
      toast((error as Error).message);
    }
  };
  const isPaused = environment.state === "paused";
  return (
    <div class="row-actions">
      <Button small icon={isPaused ? "play" : "pause"} disabled={noRight !== false} title={noRight || undefined} onClick={() => void set(isPaused ? "resume" : "pause")}>{isPaused ? "Resume" : "Pause"}</Button>
      <Menu
        label={`Actions for ${environment.name}`}
        items={[
          { key: "change", label: "Rename or change the base…", run: () => open("change"), disabled: noRight },
          { key: "limits", label: "Limits…", run: () => open("limits"), disabled: noRight },
          { key: "archive", label: "Archive…", run: () => open("archive"), danger: true, disabled: noRight },
        ]}
      />
    </div>
  );
}

function EnvironmentDialog({ all, environment, onClose }: { all: Environment[]; environment: Environment | null; onClose: () => void }) {
  const transport = useTransport();
  const { toast } = useSurroundings();
  const [name, setName] = useState(environment?.name ?? "");
  const [base, setBase] = useState(environment ? environment.base ?? "" : "default");
  // Whatever descends from it would close a circle.
  const bases = all.filter((e) => e.state !== "archived" && !(environment && lineage(all, e.name).includes(environment.name)));
  const task = useTask(async () => {
    if (environment) {
      const change = { ...(name !== environment.name ? { name } : {}), ...(base !== (environment.base ?? "") ? { base: base || null } : {}) };
      if (Object.keys(change).length) await transport.request("PATCH", `/environments/${environment.id}`, change);
    } else {
      await transport.request("POST", "/environments", { name, base: base || null });
      toast(`${name} is created.`);
    }
    onClose();
  });
  return (
    <Dialog
      title={environment ? `Change ${environment.name}` : "New environment"} onClose={onClose} onSubmit={() => void task.run()}
      footer={<><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy || !name}>{environment ? "Change" : "Create"}</Button></>}
    >
      <label class="field"><span>Name</span>
        <input type="text" value={name} required autoFocus pattern="[A-Za-z0-9_\-]+(/[A-Za-z0-9_\-]+)*" placeholder="dev/ada" onInput={(event) => setName(event.currentTarget.value)} />
        <small>Letters, digits, _ and -, in parts joined by /.</small>
      </label>
      <label class="field"><span>Based on</span>
        <select value={base} onChange={(event) => setBase(event.currentTarget.value)}>
          <option value="">nothing</option>
          {hierarchy(bases).map(({ environment: e, depth }) => <option key={e.id} value={e.name}>{"  ".repeat(depth)}{e.name}</option>)}
        </select>
        <small>Changing it changes later lookups only, nothing that is recorded.</small>
      </label>
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}

function ArchiveDialog({ environment, onClose }: { environment: Environment; onClose: () => void }) {
  const transport = useTransport();
  const { toast, environment: viewed, nav } = useSurroundings();
  return (
    <Confirm
      title={`Archive ${environment.name}?`} action="Archive it for good" onClose={onClose}
      onConfirm={async () => {
        await transport.request("POST", `/environments/${environment.id}/archive`);
        toast(`${environment.name} is archived.`);
        if (viewed === environment.name) nav.go({ page: "environments" }, { environment: null });
      }}
    >
      <p>Everything unfinished in it is cancelled, its agents are sent away and its schedules end. Past runs stay readable by their ids, and its name becomes free.</p>
      <p><strong>This cannot be taken back.</strong></p>
    </Confirm>
  );
}
