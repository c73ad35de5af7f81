// What can be done to a run or step, each with what it means before it is done.
import { useState } from "preact/hooks";
import { descendants } from "../core/environments";
import { plural, shortTarget } from "../core/format";
import { runOf, stepNumber, type Environment, type Model, type StepShown } from "../core/model";
import { isUnfinished } from "../core/states";
import { useTopic, useTransport } from "../data/hooks";
import { useSurroundings } from "./context";
import { Button, Confirm, Dialog, Problem, useTask } from "./parts";

interface Submitted {
  run: string;
  step: string;
  execution: string;
  status: string;
}

/** The environment of the attempt that made the step: where, and below which, it may be run again. */
function baseOf(model: Model | null, step: StepShown, fallback: string): string {
  const parent = step.parent ? model?.byNumber.get(stepNumber(step.parent)) : undefined;
  const attempt = parent?.attempts.find((a) => `${runOf(step.step)}:${parent.number}:${a.number}` === step.parent);
  if (attempt) return attempt.e ?? model!.header.environment;
  return fallback;
}

export function RerunDialog({ step, model, onClose }: { step: StepShown; model: Model | null; onClose: () => void }) {
  const transport = useTransport();
  const { may, environment: viewed, nav, toast } = useSurroundings();
  const attempts = Object.values(step.executions);
  const latest = attempts[attempts.length - 1]!;
  const base = baseOf(model, step, model?.header.environment ?? attempts[0]!.environment);
  const live = useTopic<Record<string, Environment>>("environments");
  const all = live.state === "ready" ? Object.values(live.data) : [];
  const allowed = descendants(all, base).filter((e) => may("run", e.name));
  const preferred = viewed && allowed.some((e) => e.name === viewed) ? viewed : allowed[0]?.name;
  const [chosen, setChosen] = useState<string | null>(null);
  const [code, setCode] = useState<"current" | "original">("current");
  const [reuse, setReuse] = useState(false);
  const environment = chosen ?? preferred ?? base;
  const here = attempts.filter((a) => a.environment === environment);
  const unfinished = here.find((a) => isUnfinished(a.status));
  const children = model?.children.get(stepNumber(step.step)) ?? [];
  const reusable = children.filter((child) => child.outcome === "value").length;
  const chosenState = all.find((e) => e.name === environment)?.state;
  const task = useTask(async () => {
    const done = await transport.request<Submitted>("POST", `/rerun/${step.step}`, { environment, code, reuse });
    const [, number, attempt] = done.execution.split(":");
    nav.go({ page: "run", run: done.run, view: "graph", step: Number(number), attempt: Number(attempt) }, { environment: environment === model?.header.environment ? undefined : environment });
    toast(`Attempt ${attempt} of step ${number} is ${done.status} in ${environment}.`);
    onClose();
  });
  return (
    <Dialog
      title={`Run ${shortTarget(step.target)} again`} onClose={onClose} onSubmit={() => void task.run()}
      footer={<><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" icon="rerun" disabled={task.isBusy || !allowed.length}>Run in {environment}</Button></>}
    >
      <label class="field"><span>Environment</span>
        <select value={environment} onChange={(event) => setChosen(event.currentTarget.value)}>
          {allowed.map((e) => <option key={e.id} value={e.name}>{e.name}{e.state === "paused" ? " (paused)" : ""}{e.name === base ? " — where it ran" : ""}</option>)}
        </select>
        <small>{base} and the environments based on it; a child's attempts are not seen in its base.</small>
      </label>
      {live.state === "ready" && !allowed.length && <p class="note">Your token does not give the right to run in {base} or below it.</p>}
      <fieldset class="field"><legend>Code</legend>
        <label class="choice"><input type="radio" name="code" checked={code === "current"} onChange={() => setCode("current")} /> Current: what agents in {environment} host now</label>
        <label class="choice"><input type="radio" name="code" checked={code === "original"} onChange={() => setCode("original")} /> Original: the very code of attempt {latest.execution.split(":")[2]}{latest.code && <code class="chip">{latest.code.slice(0, 10)}</code>}</label>
      </fieldset>
      <label class="choice"><input type="checkbox" checked={reuse} onChange={(event) => setReuse(event.currentTarget.checked)} /> Reuse results of its children</label>
      <ul class="consequences">
        <li>It runs with the arguments that were saved ({plural(Object.keys(step.arguments).length, "argument")}), and never takes a cached result itself.</li>
        <li>{reuse ? `Children called with equal arguments are not run again: ${reusable} of ${plural(children.length, "child", "children")} have a value.` : children.length ? `Its ${plural(children.length, "child", "children")} may run again, unless cached or memoised.` : "It made no children so far."}</li>
        <li>Its parent keeps its result and is not run again.</li>
        {unfinished && <li class="warn">Attempt {unfinished.execution.split(":")[2]} is {unfinished.status} in {environment}: it is stopped, and whoever waits gets the new one.</li>}
        {chosenState === "paused" && <li class="warn">{environment} is paused: it stays queued until that is resumed.</li>}
      </ul>
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}

export function CancelDialog({ id, what, count, onClose }: { id: string; what: string; count: number | null; onClose: () => void }) {
  const transport = useTransport();
  const { toast, environment } = useSurroundings();
  return (
    <Confirm
      title={`Cancel ${what}?`} action="Cancel it" onClose={onClose}
      onConfirm={async () => {
        const done = await transport.request<{ cancelled: string[] }>("POST", `/cancel/${id}`, environment ? { environment } : {});
        toast(`${plural(done.cancelled.length, "execution")} cancelled.`);
      }}
    >
      <p>{count === null ? "What runs of it" : plural(count, "unfinished execution")}{count === null ? "" : ` of ${id}`} and everything below is stopped{environment ? ` in ${environment}` : ""}, and nothing of it is retried.</p>
      <p class="dim">This cannot be taken back; a cancelled step can be run again.</p>
    </Confirm>
  );
}

export function SetResultDialog({ step, onClose }: { step: StepShown; onClose: () => void }) {
  const transport = useTransport();
  const { toast, environment: viewed } = useSurroundings();
  const [kind, setKind] = useState<"value" | "error">("value");
  const [text, setText] = useState("");
  const [reason, setReason] = useState("");
  const attempts = Object.values(step.executions);
  const environment = viewed ?? attempts[attempts.length - 1]!.environment;
  const task = useTask(async () => {
    let value: unknown;
    if (kind === "value") {
      try {
        value = JSON.parse(text);
      } catch (error) {
        throw new Error(`The value is not valid JSON: ${(error as Error).message}. Text needs quotes.`);
      }
    }
    if (!reason.trim()) throw new Error("Say why: it is shown wherever the result is.");
    await transport.request("POST", `/set-result/${step.step}`, { ...(kind === "value" ? { value } : { error: text }), reason: reason.trim(), environment });
    toast(`The result of ${step.step} is set.`);
    onClose();
  });
  return (
    <Dialog
      title={`Set the result of ${shortTarget(step.target)} by hand`} onClose={onClose} onSubmit={() => void task.run()}
      footer={<><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy}>Set the result</Button></>}
    >
      <fieldset class="field"><legend>Result</legend>
        <label class="choice"><input type="radio" name="kind" checked={kind === "value"} onChange={() => setKind("value")} /> A value</label>
        <label class="choice"><input type="radio" name="kind" checked={kind === "error"} onChange={() => setKind("error")} /> An error</label>
      </fieldset>
      <label class="field"><span>{kind === "value" ? "Value, as JSON" : "Message of the error"}</span>
        <textarea rows={4} value={text} class={kind === "value" ? "mono" : ""} placeholder={kind === "value" ? '{"rows": 12}' : "the source was empty that day"} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <label class="field"><span>Why</span>
        <input type="text" required maxLength={1000} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
        <small>Kept with your name and the time. It serves waiting steps and memo, never the cache.</small>
      </label>
      <p class="dim">It cannot be taken back; running the step again replaces it.</p>
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}
