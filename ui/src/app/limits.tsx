// What limits work: the settings of an environment, and named slots.
import { useState } from "preact/hooks";
import { duration } from "../core/format";
import type { Environment } from "../core/model";
import { useRequest, useTransport } from "../data/hooks";
import { query } from "../data/transport";
import { useSurroundings } from "../view/context";
import { Button, Dialog, Loading, Problem, Time, useTask } from "../view/parts";
import { Reference } from "../view/value";

interface Setting {
  name: string;
  value: number;
  default: number;
  is_set: boolean;
  unit: "ms" | "count" | "bytes";
  summary: string;
}

const said = (setting: Setting, value: number): string => (setting.unit === "ms" ? (value === 0 ? "none" : duration(value)) : String(value));

export function LimitsDialog({ environment, onClose }: { environment: Environment; onClose: () => void }) {
  const transport = useTransport();
  const { toast } = useSurroundings();
  const path = `/environments/${environment.id}/settings`;
  const list = useRequest<Setting[]>(path);
  const [texts, setTexts] = useState<Record<string, string>>({});
  const task = useTask(async () => {
    const values: Record<string, number | null> = {};
    for (const [name, text] of Object.entries(texts)) {
      const setting = list.data!.find((one) => one.name === name)!;
      if (text.trim() === "") {
        values[name] = null;
        continue;
      }
      const number = Number(text) * (setting.unit === "ms" ? 1000 : 1);
      if (!Number.isFinite(number) || number < 0) throw new Error(`${setting.summary}: a number.`);
      values[name] = Math.round(number);
    }
    if (Object.keys(values).length) await transport.request("PATCH", path, { values });
    toast(`The limits of ${environment.name} are saved.`);
    onClose();
  });
  return (
    <Dialog
      wide title={`Limits of ${environment.name}`} onClose={onClose} onSubmit={() => void task.run()}
      footer={<><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy || !list.data}>Save</Button></>}
    >
      {list.error && <Problem error={list.error} retry={list.reload} />}
      {list.isLoading && <Loading />}
      {list.data?.map((setting) => {
        const own = setting.is_set ? String(setting.unit === "ms" ? setting.value / 1000 : setting.value) : "";
        return (
          <label class="field" key={setting.name}>
            <span>{setting.summary}</span>
            <input type="text" inputMode="decimal" value={texts[setting.name] ?? own} placeholder={`default: ${said(setting, setting.default)}`} onInput={(event) => setTexts((old) => ({ ...old, [setting.name]: event.currentTarget.value }))} />
            <small>{setting.unit === "ms" ? "seconds; " : ""}<code>{setting.name}</code></small>
          </label>
        );
      })}
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}

interface Slot {
  name: string;
  scope: "environment" | "project" | "undefined";
  limit: number | null;
  rate: number | null;
  period_ms: number | null;
  in_use: number;
  holders: string[];
  ready: number;
  next_at: number | null;
}

export function Slots({ environment }: { environment: string }) {
  const { may } = useSurroundings();
  const list = useRequest<Slot[]>(`/slots${query({ environment })}`);
  const [open, setOpen] = useState<Slot | "new" | null>(null);
  if (list.error) return <Problem title="Named slots" error={list.error} retry={list.reload} />;
  const mayChange = may("admin", environment);
  if (!list.data?.length && !mayChange) return null;
  return (
    <section>
      <h2>Named slots <span class="dim">in {environment}</span> <Button small disabled={!mayChange} onClick={() => setOpen("new")}>Define one…</Button> <Button kind="quiet" small icon="rerun" label="Look again" onClick={list.reload} /></h2>
      {list.data && list.data.length > 0 && (
        <table class="list">
          <thead><tr><th scope="col">Slot</th><th scope="col" class="num">In use</th><th scope="col" class="num">Waiting</th><th scope="col" class="wide">Rate</th><th scope="col" class="wide">Held by</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
          <tbody>{list.data.map((slot) => (
            <tr key={slot.name}>
              <td><code>{slot.name}</code> <span class="dim">{slot.scope === "project" ? "project" : slot.scope === "undefined" ? "not defined: 1" : ""}</span></td>
              <td class="num">{slot.in_use} of {slot.limit ?? "any"}</td>
              <td class="num">{slot.ready}</td>
              <td class="wide">{slot.rate ? <>{slot.rate} in {duration(slot.period_ms ?? 0)}{slot.next_at && <>, next <Time at={slot.next_at} /></>}</> : <span class="dim">–</span>}</td>
              <td class="wide">{slot.holders.slice(0, 4).map((id) => <Reference key={id} kind="execution" id={id} />)}{slot.holders.length > 4 && ` and ${slot.holders.length - 4} more`}</td>
              <td class="actions"><Button small disabled={!mayChange} onClick={() => setOpen(slot)}>Change…</Button></td>
            </tr>
          ))}</tbody>
        </table>
      )}
      {open && <SlotDialog slot={open === "new" ? null : open} environment={environment} onClose={() => { setOpen(null); list.reload(); }} />}
    </section>
  );
}

function SlotDialog({ slot, environment, onClose }: { slot: Slot | null; environment: string; onClose: () => void }) {
  const transport = useTransport();
  const [name, setName] = useState(slot?.name ?? "");
  const [isProject, setProject] = useState(slot?.scope === "project");
  const [limit, setLimit] = useState(String(slot?.limit ?? 1));
  const [rate, setRate] = useState(String(slot?.rate ?? ""));
  const [period, setPeriod] = useState(String((slot?.period_ms ?? 60_000) / 1000));
  const place = isProject ? null : environment;
  const task = useTask(async () => {
    const number = (text: string, what: string): number | null => {
      if (!text.trim()) return null;
      if (!/^\d+(\.\d+)?$/.test(text.trim())) throw new Error(`${what}: a number, or nothing.`);
      return Number(text);
    };
    const perPeriod = number(rate, "Starts");
    await transport.request("PUT", `/slots/${encodeURIComponent(name)}`, {
      environment: place, limit: number(limit, "Units"), rate: perPeriod, period_ms: perPeriod === null ? null : Math.round((number(period, "Period") ?? 60) * 1000),
    });
    onClose();
  });
  const removal = useTask(async () => {
    await transport.request("DELETE", `/slots/${encodeURIComponent(name)}${query({ environment: place ?? undefined })}`);
    onClose();
  });
  const error = task.error ?? removal.error;
  return (
    <Dialog
      title={slot ? `Slot ${slot.name}` : "Define a slot"} onClose={onClose} onSubmit={() => void task.run()}
      footer={<>{slot && slot.scope !== "undefined" && <Button onClick={() => void removal.run()}>Remove the definition</Button>}<span class="spacer" /><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy || !name}>Save</Button></>}
    >
      {!slot && <label class="field"><span>Name</span><input type="text" required autoFocus value={name} placeholder="warehouse" onInput={(event) => setName(event.currentTarget.value)} /><small>As in <code>@cf.task(slots="warehouse")</code>.</small></label>}
      <label class="field"><span>Units at a time</span><input type="text" inputMode="numeric" value={limit} placeholder="any number" onInput={(event) => setLimit(event.currentTarget.value)} /></label>
      <div class="field-row">
        <label class="field"><span>Starts at most</span><input type="text" inputMode="numeric" value={rate} placeholder="any number" onInput={(event) => setRate(event.currentTarget.value)} /></label>
        <label class="field"><span>in seconds</span><input type="text" inputMode="decimal" value={period} onInput={(event) => setPeriod(event.currentTarget.value)} /></label>
      </div>
      <label class="choice"><input type="checkbox" checked={isProject} onChange={(event) => setProject(event.currentTarget.checked)} /> For all environments of the project together</label>
      {error && <Problem error={error} />}
    </Dialog>
  );
}
