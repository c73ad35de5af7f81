// One step, in full: what came in, what came out, why, and what can be done about it.
import { useState } from "preact/hooks";
import { plural, shortTarget } from "../core/format";
import { attemptNumber, runOf, stepNumber, type AttemptShown, type Model, type StepShown } from "../core/model";
import type { RunPlace } from "../core/route";
import { isLink, isUnfinished, lookOf } from "../core/states";
import { useTopic } from "../data/hooks";
import { useTransport } from "../data/hooks";
import { useSurroundings } from "./context";
import { CancelDialog, RerunDialog, SetResultDialog } from "./dialogs";
import { Failure } from "./failure";
import { StateIcon, Status } from "./icon";
import { OpenInputs, openInputs, titleOfInput } from "./inputs";
import { Link } from "./link";
import { Logs } from "./logs";
import { Button, copyText, Copyable, Fact, Facts, Loading, Menu, Problem, Section, Span, Time, useTask } from "./parts";
import { Reference, Value } from "./value";

export interface PanelProps {
  model: Model;
  place: RunPlace;
  onMaximise: (() => void) | null;
  isMaximised: boolean;
}

export function StepPanel({ model, place, onMaximise, isMaximised }: PanelProps) {
  const { environment } = useSurroundings();
  const transport = useTransport();
  const args = { step: `${place.run}:${place.step}`, environment: environment ?? undefined };
  const live = useTopic<StepShown>("step", args);
  const closed: RunPlace = { ...place, step: undefined, attempt: undefined, tab: undefined };
  if (live.state === "loading") return <aside class="panel" aria-label="Step"><PanelBar closed={closed} title="" /><Loading /></aside>;
  if (live.state === "failed") {
    return <aside class="panel" aria-label="Step"><PanelBar closed={closed} title={args.step} /><Problem error={live} retry={() => transport.retry("step", args)} /></aside>;
  }
  return <Loaded step={live.data} model={model} place={place} closed={closed} onMaximise={onMaximise} isMaximised={isMaximised} />;
}

function PanelBar({ closed, title, children }: { closed: RunPlace; title: preact.ComponentChildren; children?: preact.ComponentChildren }) {
  const { nav } = useSurroundings();
  return <header class="panel-bar"><h2>{title}</h2>{children}<Button kind="quiet" icon="close" label="Close (Esc)" onClick={() => nav.go(closed)} /></header>;
}

function Loaded({ step, model, place, closed, onMaximise, isMaximised }: PanelProps & { step: StepShown; closed: RunPlace }) {
  const { may, toast, isEmbedded } = useSurroundings();
  const [dialog, setDialog] = useState<"rerun" | "cancel" | "set" | null>(null);
  const attempts = Object.entries(step.executions).sort(([a], [b]) => Number(a) - Number(b)).map(([, attempt]) => attempt);
  const shown = attempts.find((a) => attemptNumber(a.execution) === place.attempt) ?? attempts[attempts.length - 1]!;
  const latest = attempts[attempts.length - 1]!;
  const unfinished = attempts.filter((a) => isUnfinished(a.status)).length;
  const mayRun = may("run", shown.environment);
  const noRight = mayRun ? false : "This needs the run right in this environment";
  const maySet = !(latest.status === "value" || isLink(latest.status));
  return (
    <aside class="panel" aria-label={`Step ${step.step}`}>
      <PanelBar closed={closed} title={<><StateIcon status={shown.status} size={16} /> {shortTarget(step.target)}</>}>
        {onMaximise && <Button kind="quiet" icon="maximise" label={isMaximised ? "Smaller" : "Larger"} onClick={onMaximise} />}
        <Menu
          label="Actions"
          items={[
            { key: "rerun", label: "Run again…", run: () => setDialog("rerun"), disabled: noRight },
            { key: "set", label: "Set the result…", run: () => setDialog("set"), disabled: noRight || (!maySet && "It has a value; run it again instead") },
            { key: "debug", label: "Copy: open in my notebook", run: () => void copyText(`%coflux debug ${step.step}`).then(() => toast("Copied. Paste it into a cell.")) },
            { key: "shell", label: "Copy: coflux debug", run: () => void copyText(`coflux debug ${step.step}`).then(() => toast("Copied. Paste it into a terminal.")) },
            { key: "cancel", label: "Cancel…", run: () => setDialog("cancel"), danger: true, disabled: noRight || (!unfinished && "Nothing of it is unfinished") },
          ]}
        />
      </PanelBar>
      <div class="panel-sub">
        <Copyable text={shown.execution} what="id" />
        <Status status={shown.status} outcome={shown.resolved?.status} />
        <Span from={shown.started_at ?? shown.assigned_at} to={shown.ended_at ?? (isUnfinished(shown.status) ? null : shown.assigned_at)} />
        {!isEmbedded && mayRun && <Button small icon="rerun" onClick={() => setDialog("rerun")}>Run again</Button>}
        {unfinished > 0 && mayRun && <Button small onClick={() => setDialog("cancel")}>Cancel</Button>}
      </div>
      {attempts.length > 1 && <Attempts attempts={attempts} shown={shown} place={place} model={model} />}
      <div class="tabs small" role="tablist">
        <Link role="tab" aria-selected={place.tab !== "logs"} to={{ ...place, tab: undefined }} replace>Details</Link>
        <Link role="tab" aria-selected={place.tab === "logs"} to={{ ...place, tab: "logs" }} replace>Logs</Link>
      </div>
      {place.tab === "logs" ? <StepLogs shown={shown} place={place} model={model} /> : (
        <div class="panel-body" tabIndex={0} role="region" aria-label="Details">
          <Asked shown={shown} model={model} />
          <Outcome shown={shown} step={step} model={model} />
          <Arguments step={step} />
          <Timing shown={shown} />
          <Connections shown={shown} step={step} model={model} />
          <CacheSection shown={shown} step={step} />
          <About shown={shown} step={step} model={model} />
        </div>
      )}
      {dialog === "rerun" && <RerunDialog step={step} model={model} onClose={() => setDialog(null)} />}
      {dialog === "cancel" && <CancelDialog id={step.step} what={shortTarget(step.target)} count={unfinished} onClose={() => setDialog(null)} />}
      {dialog === "set" && <SetResultDialog step={step} onClose={() => setDialog(null)} />}
    </aside>
  );
}

function Attempts({ attempts, shown, place, model }: { attempts: AttemptShown[]; shown: AttemptShown; place: RunPlace; model: Model }) {
  const recent = attempts.slice(-30);
  return (
    <nav class="attempts" aria-label="Attempts">
      {recent.length < attempts.length && <span class="dim">{attempts.length - recent.length} earlier</span>}
      {recent.map((attempt) => {
        const number = attemptNumber(attempt.execution);
        return (
          <Link key={number} to={{ ...place, attempt: number }} replace class="attempt" aria-current={attempt === shown ? "true" : undefined} title={`${ORIGINS[attempt.origin] ?? attempt.origin}: ${lookOf(attempt.status).word}`}>
            <StateIcon status={attempt.status} size={12} />#{number}
            {attempt.environment !== model.header.environment && <span class="env">{attempt.environment}</span>}
          </Link>
        );
      })}
    </nav>
  );
}

const ORIGINS: Record<string, string> = {
  submit: "called", retry: "automatic retry", resume: "resumed after a suspension", recurrence: "next round",
  relink: "what it followed was lost", rerun: "run again by hand", manual: "result set by hand",
};

function StepLogs({ shown, place, model }: { shown: AttemptShown; place: RunPlace; model: Model }) {
  const { nav } = useSurroundings();
  return (
    <Logs
      id={shown.execution} model={model} isLive={isUnfinished(shown.status)} line={place.line ?? null} text={place.q ?? ""} level={place.level ?? ""}
      onFilter={(filter) => nav.go({ ...place, ...filter, line: undefined }, { replace: true })}
      placeOfStep={null} placeOfLine={(line) => ({ ...place, line: line.id })}
    />
  );
}

/** What this attempt has asked people. */
function Asked({ shown, model }: { shown: AttemptShown; model: Model }) {
  const rows = (model.header.inputs ?? []).filter((row) => row.execution === shown.execution);
  const over = rows.filter((row) => row.state !== "open");
  if (!rows.length) return null;
  return (
    <Section title={plural(rows.length, "input")}>
      <OpenInputs rows={rows.filter((row) => row.state === "open")} />
      {over.length > 0 && <ul class="asked-before">{over.map((row) => <li key={row.input}><StateIcon status={row.state} /> <Link to={{ page: "input", input: row.input }}>{titleOfInput(row)}</Link> <span class="dim">{lookOf(row.state).word}</span></li>)}</ul>}
    </Section>
  );
}

function Outcome({ shown, step, model }: { shown: AttemptShown; step: StepShown; model: Model }) {
  const { result, reason } = shown;
  if (!result) {
    if (shown.status !== "queued") return <Section title="Result"><p class="dim">{shown.status !== "waiting" ? "It is still at it." : openInputs(model.header.inputs).some((row) => shown.dependencies.includes(row.input)) ? "It waits for an answer." : "It waits for others; see below."}</p></Section>;
    return (
      <Section title="Why it is not running">
        <p class="why"><code class="chip">{reason?.code ?? "queued"}</code> {reason?.text ?? "It is queued."}</p>
        <Why data={reason?.data} />
        {reason?.data?.["why"] === "back-off" && <RetryNow step={step} shown={shown} />}
      </Section>
    );
  }
  const by = shown.origin === "manual" && <p class="note">Set by hand{shown.by && ` by ${shown.by}`}{shown.note && `: ${shown.note}`}</p>;
  if (result.kind === "value") {
    return <Section title="Result" aside={result.type}>{by}<Value value={{ preview: result.preview ?? "", type: result.type ?? "", size: result.size ?? 0, ...result }} isTyped /></Section>;
  }
  if (result.error) {
    return (
      <Section title={result.kind === "error" ? "Error" : lookOf(result.kind).word}>
        {by}
        <Failure error={result.error} lastLines={result.last_lines} />
        {shown.successor && <p class="note">Followed by <Reference kind="execution" id={shown.successor} /></p>}
        {result.retryable === false && step.options["retries"] !== undefined && <p class="note">Not retried: the target's rules say this error is final.</p>}
      </Section>
    );
  }
  return <Section title="Result"><Linked shown={shown} /></Section>;
}

/** A retry that waits for its time is replaced by an attempt that does not. */
function RetryNow({ step, shown }: { step: StepShown; shown: AttemptShown }) {
  const transport = useTransport();
  const { may } = useSurroundings();
  const mayRun = may("run", shown.environment);
  const task = useTask(async () => {
    await transport.request("POST", `/rerun/${step.step}`, { environment: shown.environment });
  });
  return (
    <>
      <div><Button small icon="rerun" disabled={!mayRun || task.isBusy} title={mayRun ? undefined : "This needs the run right"} onClick={() => void task.run()}>Retry now</Button></div>
      {task.error && <Problem error={task.error} />}
    </>
  );
}

function Linked({ shown }: { shown: AttemptShown }) {
  const words: Record<string, string> = {
    cached: "It took the outcome of an equal earlier call", deferred: "A later equal call replaced it", spawned: "It takes the outcome of a run of its own",
    suspended: "It gave up its process, and goes on as", recurred: "This round is over; next is", superseded: "Replaced by", cancelled: "Cancelled",
  };
  const to = shown.result?.execution ?? shown.successor;
  return (
    <>
      <p>{words[shown.status] ?? lookOf(shown.status).word}{to && <> <Reference kind="execution" id={to} /></>}</p>
      {shown.resolved && <p class="resolved">which is <Status status={shown.resolved.status} />{shown.resolved.execution !== to && <> at <Reference kind="execution" id={shown.resolved.execution} /></>}</p>}
    </>
  );
}

/** The data of a reason: ids become links, the rest is said as it is. */
function Why({ data }: { data: Record<string, unknown> | undefined }) {
  const entries = Object.entries(data ?? {});
  if (!entries.length) return null;
  const show = (value: unknown): preact.ComponentChildren => {
    if (typeof value === "string" && /^R\w{6,}:\d+:\d+$/.test(value)) return <Reference kind="execution" id={value} />;
    if (typeof value === "string" && /^R\w{6,}\/i\d+$/.test(value)) return <Link class="chip" to={{ page: "input", input: value }}>{value}</Link>;
    if (typeof value === "number" && value > 1e12) return <Time at={value} />;
    if (Array.isArray(value)) return value.map((item, i) => <span key={i}>{i > 0 && ", "}{show(item)}</span>);
    if (typeof value === "object" && value !== null) return <code>{JSON.stringify(value)}</code>;
    return String(value);
  };
  return <Facts>{entries.map(([name, value]) => <Fact key={name} name={name.replace(/_/g, " ")}>{show(value)}</Fact>)}</Facts>;
}

function Arguments({ step }: { step: StepShown }) {
  const names = Object.keys(step.values ?? {});
  return (
    <Section title="Arguments" aside={names.length ? undefined : "none"}>
      {step.note && <p class="note">{step.note}</p>}
      {names.length > 0 && (
        <div class="arguments">
          {names.map((name) => <div class="argument" key={name}><div class="argument-name"><code>{name}</code> <span class="dim">{step.values[name]!.type}</span></div><Value value={step.values[name]!} isTyped /></div>)}
        </div>
      )}
    </Section>
  );
}

function Timing({ shown }: { shown: AttemptShown }) {
  const due = shown.due_at !== null && shown.due_at > shown.created_at ? shown.due_at : null;
  const began = shown.assigned_at ?? shown.ended_at;
  return (
    <Section title="Timing">
      <Facts>
        <Fact name="created"><Time at={shown.created_at} as="moment" /></Fact>
        {due && <Fact name="due"><Time at={due} as="moment" /></Fact>}
        <Fact name="queued for"><Span from={due ?? shown.created_at} to={began && due && began < due ? due : began} /></Fact>
        {shown.started_at !== null && shown.assigned_at !== null && <Fact name="start took"><Span from={shown.assigned_at} to={shown.started_at} /></Fact>}
        {shown.started_at !== null && <Fact name="ran for"><Span from={shown.started_at} to={shown.ended_at} /></Fact>}
        {shown.ended_at !== null && <Fact name="ended"><Time at={shown.ended_at} as="moment" /></Fact>}
      </Facts>
    </Section>
  );
}

const FEW = 20;

function Connections({ shown, step, model }: { shown: AttemptShown; step: StepShown; model: Model }) {
  const number = stepNumber(step.step);
  const dependants = model.steps.filter((other) => other.deps.includes(number) || other.latest.w?.includes(number));
  const needs = model.byNumber.get(number)?.deps ?? [];
  const run = runOf(step.step);
  if (!step.parent && !shown.children.length && !shown.dependencies.length && !dependants.length && !needs.length) return null;
  return (
    <Section title="Connections">
      <Facts>
        {step.parent && <Fact name="called by"><StepLink id={step.parent} model={model} /></Fact>}
        {needs.length > 0 && <Fact name="arguments from"><Many ids={needs.map((n) => `${run}:${n}`)} model={model} /></Fact>}
        {shown.dependencies.length > 0 && <Fact name="asked for"><Many ids={shown.dependencies} model={model} /></Fact>}
        {shown.children.length > 0 && <Fact name={plural(shown.children.length, "child", "children")}><Many ids={shown.children.map((child) => child.execution)} model={model} /></Fact>}
        {dependants.length > 0 && <Fact name="used by"><Many ids={dependants.map((other) => `${run}:${other.number}`)} model={model} /></Fact>}
      </Facts>
    </Section>
  );
}

function Many({ ids, model }: { ids: string[]; model: Model }) {
  const [shown, setShown] = useState(FEW);
  return (
    <span class="links">
      {ids.slice(0, shown).map((id) => <StepLink key={id} id={id} model={model} />)}
      {ids.length > shown && <button type="button" class="linklike" onClick={() => setShown(shown + 200)}>{ids.length - shown} more</button>}
    </span>
  );
}

function StepLink({ id, model }: { id: string; model: Model }) {
  if (id.includes("/")) return <InputLink id={id} model={model} />;
  const own = runOf(id) === model.header.run ? model.byNumber.get(stepNumber(id)) : undefined;
  if (!own) return <Reference kind={id.startsWith("A") ? "asset" : "execution"} id={id} />;
  return (
    <Link class="chip" to={{ page: "run", run: model.header.run, view: "graph", step: own.number, ...(id.split(":").length > 2 && attemptNumber(id) !== own.latest.number ? { attempt: attemptNumber(id) } : {}) }}>
      <StateIcon status={own.status} size={11} />{own.name} <span class="dim">{own.number}</span>
    </Link>
  );
}

function InputLink({ id, model }: { id: string; model: Model }) {
  const row = model.header.inputs?.find((other) => other.input === id);
  return <Link class="chip" to={{ page: "input", input: id }}><StateIcon status={row?.state ?? "open"} size={11} />{row ? titleOfInput(row) : id}</Link>;
}

function CacheSection({ shown, step }: { shown: AttemptShown; step: StepShown }) {
  const { cache } = shown;
  if (!cache && !step.options["cache"]) return null;
  if (!cache) return <Section title="Cache"><p class="dim">{isUnfinished(shown.status) ? "Not looked up yet." : `Not looked up: ${ORIGINS[shown.origin] ?? shown.origin}.`}</p></Section>;
  return (
    <Section title="Cache" aside={cache.outcome}>
      {cache.detail && <p>{cache.detail}</p>}
      <Facts>
        {cache.execution && <Fact name={cache.outcome === "hit" ? "taken from" : "nearest"}><Reference kind="execution" id={cache.execution} /></Fact>}
        <Fact name="namespace"><code>{cache.namespace}</code></Fact>
        {cache.key && <Fact name="key"><Copyable text={cache.key} what="key"><code>{cache.key.slice(0, 12)}…</code></Copyable></Fact>}
      </Facts>
    </Section>
  );
}

function About({ shown, step, model }: { shown: AttemptShown; step: StepShown; model: Model }) {
  const options = Object.entries(step.options);
  return (
    <Section title="About">
      <Facts>
        <Fact name="target"><code>{step.target}</code> <span class="dim">{step.type}</span></Fact>
        <Fact name="attempt">{ORIGINS[shown.origin] ?? shown.origin}{shown.by && shown.origin !== "manual" && ` by ${shown.by}`}{shown.note && shown.origin !== "manual" && ` (${shown.note})`}</Fact>
        <Fact name="environment">{shown.environment}</Fact>
        {step.group && <Fact name="group">{step.group.name ?? step.group.number}</Fact>}
        {shown.code && <Fact name="code"><Copyable text={shown.code} what="code identity"><code>{shown.code.slice(0, 12)}</code></Copyable><OtherCode shown={shown} step={step} /></Fact>}
        {Boolean(shown.suspensions) && <Fact name="suspensions">{shown.suspensions} so far</Fact>}
        {shown.session && <Fact name="agent"><code>{shown.session}</code></Fact>}
        {(shown.process === "stopping" || (shown.process === "alive" && !isUnfinished(shown.status))) && <Fact name="process">{shown.process}</Fact>}
        {options.map(([name, value]) => <Fact key={name} name={name.replace(/_ms$/, "").replace(/_/g, " ")}>{option(name, value)}</Fact>)}
        <Fact name="run"><Copyable text={model.header.run} what="run id" /></Fact>
      </Facts>
    </Section>
  );
}

/** Said where attempts of the step ran different code. */
function OtherCode({ shown, step }: { shown: AttemptShown; step: StepShown }) {
  const latest = Object.values(step.executions).filter((a) => a.code).at(-1);
  if (shown.older_code) return <span class="note"> older than what is hosted now</span>;
  return latest?.code && latest.code !== shown.code ? <span class="note"> older than that of attempt {attemptNumber(latest.execution)}</span> : null;
}

function option(name: string, value: unknown): string {
  if (name.endsWith("_ms") && typeof value === "number") return value % 1000 ? `${value} ms` : `${value / 1000} s`;
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

