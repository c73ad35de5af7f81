// Runs by the calendar: what starts when, what came of it, and changing it.
import { useMemo, useState } from "preact/hooks";
import { fieldsOf, readForm, type Entry } from "../../core/form";
import { shortTarget } from "../../core/format";
import type { Manifests, Schedule, ScheduleDetail } from "../../core/model";
import { useRequest, useTopic, useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { Status } from "../../view/icon";
import { Link } from "../../view/link";
import { Button, Confirm, Dialog, Empty, Loading, Menu, Problem, Time, useTask } from "../../view/parts";
import { Input } from "../submit";

type Open = { kind: "new" } | { kind: "change" | "delete" | "history"; schedule: Schedule };

export function SchedulesPage() {
  const { environment, may } = useSurroundings();
  const transport = useTransport();
  const args = { environment: environment ?? undefined };
  const live = useTopic<Record<string, Schedule>>("schedules", args);
  const [open, setOpen] = useState<Open | null>(null);
  if (live.state === "failed") return <Problem title="Schedules could not be loaded" error={live} retry={() => transport.retry("schedules", args)} />;
  if (live.state === "loading") return <Loading />;
  const all = Object.values(live.data).sort((a, b) => (a.next[0] ?? Infinity) - (b.next[0] ?? Infinity) || (a.name < b.name ? -1 : 1));
  return (
    <div class="page">
      <div class="page-head"><h1>Schedules</h1><span class="spacer" /><Button kind="primary" icon="plus" disabled={!may("admin", environment ?? undefined)} onClick={() => setOpen({ kind: "new" })}>New schedule</Button></div>
      {!all.length && <Empty title="Nothing is scheduled"><p>A schedule starts a registered workflow by the calendar, in one environment. Make one here, or in code with <code>cf.Schedule</code>.</p></Empty>}
      {all.length > 0 && (
        <table class="list">
          <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">When</th><th scope="col">Next</th><th scope="col" class="wide">Last run</th>{environment === null && <th scope="col" class="wide">Environment</th>}<th scope="col"><span class="sr">Actions</span></th></tr></thead>
          <tbody>{all.map((schedule) => <Row key={schedule.id} schedule={schedule} showsEnvironment={environment === null} onOpen={setOpen} />)}</tbody>
        </table>
      )}
      {open?.kind === "new" && <ScheduleDialog schedule={null} onClose={() => setOpen(null)} />}
      {open?.kind === "change" && <ScheduleDialog schedule={open.schedule} onClose={() => setOpen(null)} />}
      {open?.kind === "history" && <History schedule={open.schedule} onClose={() => setOpen(null)} />}
      {open?.kind === "delete" && <Delete schedule={open.schedule} onClose={() => setOpen(null)} />}
    </div>
  );
}

function Row({ schedule, showsEnvironment, onOpen }: { schedule: Schedule; showsEnvironment: boolean; onOpen: (open: Open) => void }) {
  const transport = useTransport();
  const { may, toast } = useSurroundings();
  const noRight = may("admin", schedule.environment) ? false : "This needs the admin right in this environment";
  const isPaused = schedule.state === "paused";
  const set = async (what: "pause" | "resume"): Promise<void> => {
    try {
      await transport.request("POST", `/schedules/${schedule.id}/${what}`);
      toast(what === "pause" ? `${schedule.name} is paused: what falls due meanwhile is dropped.` : `${schedule.name} starts runs again.`, { label: "Undo", run: () => void set(what === "pause" ? "resume" : "pause") });
    } catch (error) {
      toast((error as Error).message);
    }
  };
  const [repository, target] = [schedule.target.slice(0, schedule.target.lastIndexOf("/")), shortTarget(schedule.target)];
  return (
    <tr>
      <td class="text"><strong>{schedule.name}</strong> <Link to={{ page: "workflow", repository, target }} environment={schedule.environment} title={schedule.target}>{target}</Link>{schedule.declared && <span class="badge" title="Declared in code; an edit by hand holds until the declaration changes">code</span>}{schedule.problem && <p class="note warn">{schedule.problem}</p>}</td>
      <td><Status status={schedule.state} /></td>
      <td><code>{schedule.cron}</code> <span class="dim wide">{schedule.zone}</span></td>
      <td>{schedule.next.length ? <Time at={schedule.next[0]} /> : <span class="dim">–</span>}</td>
      <td class="wide">{schedule.run ? <Link to={{ page: "run", run: schedule.run, view: "graph" }}><code>{schedule.run}</code></Link> : <span class="dim">none yet</span>}{schedule.unfinished.length > 0 && <span class="dim"> {schedule.unfinished.length} unfinished</span>}</td>
      {showsEnvironment && <td class="wide">{schedule.environment}</td>}
      <td class="actions">
        <div class="row-actions">
          <Button small icon={isPaused ? "play" : "pause"} disabled={noRight !== false} title={noRight || undefined} onClick={() => void set(isPaused ? "resume" : "pause")}>{isPaused ? "Resume" : "Pause"}</Button>
          <Menu
            label={`Actions for ${schedule.name}`}
            items={[
              { key: "history", label: "What came of it…", run: () => onOpen({ kind: "history", schedule }) },
              { key: "change", label: "Change…", run: () => onOpen({ kind: "change", schedule }), disabled: noRight },
              { key: "delete", label: "End it…", run: () => onOpen({ kind: "delete", schedule }), danger: true, disabled: noRight },
            ]}
          />
        </div>
      </td>
    </tr>
  );
}

function Delete({ schedule, onClose }: { schedule: Schedule; onClose: () => void }) {
  const transport = useTransport();
  return (
    <Confirm title={`End ${schedule.name}?`} action="End it" onClose={onClose} onConfirm={async () => { await transport.request("DELETE", `/schedules/${schedule.id}`); }}>
      <p>It starts no more runs; those that it has started go on.</p>
      <p class="dim">This cannot be taken back, but it can be made again.</p>
    </Confirm>
  );
}

function History({ schedule, onClose }: { schedule: Schedule; onClose: () => void }) {
  const detail = useRequest<ScheduleDetail>(`/schedules/${schedule.id}`);
  return (
    <Dialog wide title={`What came of ${schedule.name}`} onClose={onClose}>
      {detail.error && <Problem error={detail.error} retry={detail.reload} />}
      {detail.isLoading && <Loading />}
      {schedule.next.length > 0 && <p class="dim">Next: {schedule.next.slice(0, 3).map((at, i) => <span key={at}>{i > 0 && ", "}<Time at={at} as="moment" /></span>)} in your time</p>}
      {detail.data?.history.length === 0 && <p class="dim">No instant has come yet.</p>}
      {detail.data && detail.data.history.length > 0 && (
        <table class="list">
          <thead><tr><th scope="col">Instant</th><th scope="col">Came to</th></tr></thead>
          <tbody>{detail.data.history.map((entry) => <tr key={entry.instant}><td><Time at={entry.instant} as="moment" /></td><td class="text">{entry.run ? <Link to={{ page: "run", run: entry.run, view: "graph" }}><code>{entry.run}</code></Link> : entry.reason}</td></tr>)}</tbody>
        </table>
      )}
    </Dialog>
  );
}

const CATCH_UP: Record<string, string> = { none: "start none of them", latest: "start the latest", all: "start all (the newest 100)" };
const OVERLAP: Record<string, string> = { skip: "skip this one", queue: "wait for it", allow: "run beside it" };
const COMMON: [string, string][] = [["0 6 * * *", "every day at 6"], ["0 6 * * 1-5", "weekdays at 6"], ["0 * * * *", "every hour"], ["*/15 * * * *", "every quarter"], ["0 0 1 * *", "the first of the month"]];

function zones(): string[] {
  const known = (Intl as { supportedValuesOf?: (what: string) => string[] }).supportedValuesOf?.("timeZone") ?? [];
  return ["UTC", ...known];
}

function ScheduleDialog({ schedule, onClose }: { schedule: Schedule | null; onClose: () => void }) {
  const transport = useTransport();
  const { environment: viewed, toast } = useSurroundings();
  const environment = schedule?.environment ?? viewed ?? "default";
  const manifests = useTopic<Manifests>("manifests", { environment });
  const [name, setName] = useState("");
  const [target, setTarget] = useState(schedule?.target ?? "");
  const [cron, setCron] = useState(schedule?.cron ?? "0 6 * * *");
  const [zone, setZone] = useState(schedule?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC");
  const [catchUp, setCatchUp] = useState(schedule?.catch_up ?? "none");
  const [overlap, setOverlap] = useState(schedule?.overlap ?? "skip");
  const [entries, setEntries] = useState<Record<string, Entry | undefined>>({});
  const [changesArguments, setChangesArguments] = useState(schedule === null);
  const [errors, setErrors] = useState<Record<string, string>>({});
  const targets = manifests.state === "ready" ? Object.entries(manifests.data).flatMap(([repository, m]) => m.targets.map((definition) => ({ id: `${repository}/${definition.name}`, definition }))) : [];
  const definition = targets.find((one) => one.id === (target || targets[0]?.id))?.definition;
  const fields = useMemo(() => (definition ? fieldsOf(definition) : []), [definition]);
  const task = useTask(async () => {
    let call = {};
    if (changesArguments) {
      const read = readForm(fields, entries);
      if ("errors" in read) {
        setErrors(read.errors);
        throw new Error("Some arguments need another look.");
      }
      call = { arguments: read.call.arguments, keyword_arguments: read.call.keyword_arguments };
    }
    const common = { cron, zone, catch_up: catchUp, overlap, ...call };
    if (schedule) await transport.request("PATCH", `/schedules/${schedule.id}`, common);
    else await transport.request("POST", "/schedules", { ...common, name, target: target || targets[0]?.id, environment });
    toast(`${schedule?.name ?? name} is saved.`);
    onClose();
  });
  const isWrong = (field: string): boolean => task.error?.field === field;
  return (
    <Dialog
      wide title={schedule ? `Change ${schedule.name}` : "New schedule"} onClose={onClose} onSubmit={() => void task.run()}
      footer={<><span class="dim hint">in {environment}</span><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy || (!schedule && (!name || !targets.length))}>Save</Button></>}
    >
      {!schedule && <label class="field"><span>Name</span><input type="text" required autoFocus value={name} placeholder="nightly" aria-invalid={isWrong("name")} onInput={(event) => setName(event.currentTarget.value)} /></label>}
      {!schedule && (
        <label class="field"><span>Workflow</span>
          <select value={target || targets[0]?.id} onChange={(event) => { setTarget(event.currentTarget.value); setEntries({}); }}>{targets.map((one) => <option key={one.id} value={one.id}>{one.id}</option>)}</select>
          {manifests.state === "ready" && !targets.length && <small>Nothing is registered in {environment}.</small>}
        </label>
      )}
      <div class="field"><label for="cron"><strong>When</strong> <span class="dim">minute hour day month weekday</span></label>
        <input id="cron" type="text" class="mono" required value={cron} aria-invalid={isWrong("cron")} onInput={(event) => setCron(event.currentTarget.value)} />
        <div class="links">{COMMON.map(([value, label]) => <button key={value} type="button" class="linklike" onClick={() => setCron(value)}>{label}</button>)}</div>
      </div>
      <label class="field"><span>Time zone</span><input type="text" list="zones" required value={zone} aria-invalid={isWrong("zone")} onInput={(event) => setZone(event.currentTarget.value)} /><datalist id="zones">{zones().map((one) => <option key={one} value={one} />)}</datalist></label>
      <label class="field"><span>If the run before is not finished</span><select value={overlap} onChange={(event) => setOverlap(event.currentTarget.value as Schedule["overlap"])}>{Object.entries(OVERLAP).map(([value, label]) => <option key={value} value={value}>{label}</option>)}</select></label>
      <label class="field"><span>Instants missed while the server was down</span><select value={catchUp} onChange={(event) => setCatchUp(event.currentTarget.value as Schedule["catch_up"])}>{Object.entries(CATCH_UP).map(([value, label]) => <option key={value} value={value}>{label}</option>)}</select></label>
      {schedule && <label class="choice"><input type="checkbox" checked={changesArguments} onChange={(event) => setChangesArguments(event.currentTarget.checked)} /> Give other arguments <span class="dim">now {Object.entries(schedule.arguments).map(([key, value]) => `${key}=${value}`).join(", ") || "none"}</span></label>}
      {changesArguments && fields.map((field) => <Input key={field.name} field={field} entry={entries[field.name]} error={errors[field.name]} isFirst={false} onChange={(entry) => { setEntries((old) => ({ ...old, [field.name]: entry })); setErrors({}); }} />)}
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}

