// A run: header, the ways to look at it, and the panel of what is selected. The page and the notebook widget
// show this same component.
import { useCallback, useMemo, useRef, useState } from "preact/hooks";
import { count, plural, shortTarget } from "../core/format";
import { buildModel, endOf, isTicking, type Model, type RunDocument, type Step } from "../core/model";
import type { Place, RunPlace, RunTab } from "../core/route";
import type { GraphNode } from "../core/stack";
import { byFamily, isLive, type Family } from "../core/states";
import { useTopic, useTransport } from "../data/hooks";
import { Assets } from "./assets";
import { useSurroundings } from "./context";
import { CancelDialog } from "./dialogs";
import { Graph } from "./graph";
import { Icon, StateIcon, Status } from "./icon";
import { OpenInputs, openInputs } from "./inputs";
import { Link } from "./link";
import { Logs } from "./logs";
import { Metrics } from "./metrics";
import { StepPanel } from "./panel";
import { Boundary, Button, copyText, Copyable, Empty, Loading, Menu, Problem, Span, Time } from "./parts";
import { StackPanel } from "./stack_panel";
import { Steps } from "./steps";
import { Timeline } from "./timeline";

const TABS: Record<RunTab, string> = { graph: "Graph", timeline: "Timeline", steps: "Steps", logs: "Logs", metrics: "Metrics", assets: "Assets" };

export interface RunViewProps {
  place: RunPlace;
  /** Further entries of the run's menu. */
  extra?: { key: string; label: string; run: () => void; disabled?: string | false }[];
}

export function RunView({ place, extra }: RunViewProps) {
  const { environment, nav } = useSurroundings();
  const transport = useTransport();
  const args = { run: place.run, environment: environment ?? undefined };
  const live = useTopic<RunDocument>("graph", args);
  const doc = live.state === "ready" ? live.data : live.state === "failed" ? live.data : undefined;
  const model = useMemo(() => (doc ? buildModel(doc) : null), [doc]);
  if (!model) {
    if (live.state !== "failed") return <Loading what="Loading the run" />;
    if (live.code !== "not_found") return <Problem title="The run could not be loaded" error={live} retry={() => transport.retry("graph", args)} />;
    return (
      <Empty isPage title={`There is no run ${place.run} here`}>
        <p>{live.message}</p>
        <p>It may be of another project or server, or of an environment that your token does not cover.</p>
        {environment && <p><Link to={place} environment={null}>Look for it in its own environment</Link></p>}
        <Button onClick={() => nav.go({ page: "runs" })}>All runs</Button>
      </Empty>
    );
  }
  return <Loaded model={model} place={place} extra={extra} />;
}

function Loaded({ model, place, extra }: RunViewProps & { model: Model }) {
  const { nav, environment } = useSurroundings();
  const [isMaximised, setMaximised] = useState(false);
  const selected = place.step !== undefined ? String(place.step) : place.stack ?? null;
  const expand = place.expand ?? [];
  const only = place.only ?? null;
  const current = useRef(place);
  current.current = place;

  const placeOf = useCallback((node: GraphNode): Place => {
    const { attempt: _a, stack: _s, step: _st, tab, line: _l, ...rest } = current.current;
    return node.kind === "step" ? { ...rest, tab, step: node.step.number } : { ...rest, stack: node.id };
  }, []);
  const placeOfStep = useCallback((step: Step | number): Place => {
    const { attempt: _a, stack: _s, line: _l, ...rest } = current.current;
    return { ...rest, step: typeof step === "number" ? step : step.number };
  }, []);
  const placeOfStack = useCallback((key: string): Place => {
    const { attempt: _a, step: _st, tab: _t, line: _l, ...rest } = current.current;
    return { ...rest, stack: key };
  }, []);
  const toggle = useCallback((key: string) => {
    const before = current.current.expand ?? [];
    const after = before.includes(key) ? before.filter((other) => other !== key) : [...before, key];
    nav.go({ ...current.current, stack: undefined, expand: after.length ? after : undefined }, { replace: true });
  }, [nav]);
  const clear = useCallback(() => {
    const { step: _st, attempt: _a, stack: _s, tab: _t, ...rest } = current.current;
    nav.go(rest);
  }, [nav]);

  const isNested = place.step !== undefined && place.tab === "logs";
  return (
    <div class="run" onKeyDown={(event) => { if (event.key === "Escape" && selected !== null && !(event.target as HTMLElement).closest("input, textarea, dialog")) clear(); }}>
      <RunHeader model={model} place={place} extra={extra} />
      {model.header.held && (
        <p class="run-note"><Icon name="warning" /> <span>The run is held: it has reached {model.header.held.setting.replace(/_/g, " ")} = {count(model.header.held.value)}. Raise that limit of {model.header.environment}, or cancel the run.</span></p>
      )}
      {model.header.mixed_code && model.header.mixed_code.length > 0 && <p class="run-note"><Icon name="warning" /> <span>Several versions of the code of {model.header.mixed_code.map(shortTarget).join(", ")} have run in this run.</span></p>}
      <OpenInputs rows={openInputs(model.header.inputs)} />
      <div class="tabs">
        <div class="tab-row" role="tablist" aria-label="Views of the run">
        {Object.entries(TABS).map(([view, label]) => (
          <Link key={view} role="tab" aria-selected={place.view === view} to={{ ...place, view: view as RunTab, line: undefined, q: undefined, level: undefined, tab: place.tab }}>{label}</Link>
        ))}
        </div>
        <span class="spacer" />
        <Counts model={model} place={place} />
      </div>
      <div class={`run-body${selected !== null ? " with-panel" : ""}${isMaximised ? " maximised" : ""}`}>
        <div class="run-main" role="tabpanel" aria-label={TABS[place.view]}>
          <Boundary name={TABS[place.view]} key={place.view}>
            {place.view === "graph" && <Graph model={model} selected={selected} expand={expand} only={only} placeOf={placeOf} onToggle={toggle} onClear={clear} />}
            {place.view === "timeline" && <Timeline model={model} selected={selected} only={only} placeOfStep={placeOfStep} placeOfStack={placeOfStack} />}
            {place.view === "steps" && <Steps model={model} selected={selected} only={only} text={isNested ? "" : place.q ?? ""} onText={(q) => nav.go({ ...place, q: q || undefined }, { replace: true })} placeOfStep={placeOfStep} />}
            {place.view === "logs" && (
              <Logs
                id={place.run} model={model} isLive={isLive(model.header.status)} line={isNested ? null : place.line ?? null} text={isNested ? "" : place.q ?? ""} level={isNested ? "" : place.level ?? ""}
                onFilter={(filter) => nav.go({ ...place, ...filter, line: undefined }, { replace: true })}
                placeOfStep={placeOfStep} placeOfLine={(line) => ({ ...place, line: line.id })}
              />
            )}
            {place.view === "metrics" && <Metrics id={place.run} model={model} isLive={isLive(model.header.status)} />}
            {place.view === "assets" && <Assets run={place.run} model={model} />}
          </Boundary>
        </div>
        {place.step !== undefined && (
          <Boundary name="The step" key={`${place.step} ${environment}`}>
            <StepPanel model={model} place={place} isMaximised={isMaximised} onMaximise={() => setMaximised(!isMaximised)} />
          </Boundary>
        )}
        {place.step === undefined && place.stack !== undefined && (
          <Boundary name="The stack" key={place.stack}>
            <StackPanel model={model} place={place} stack={place.stack} isExpanded={expand.includes(place.stack)} onToggle={toggle} placeOfStep={placeOfStep} />
          </Boundary>
        )}
      </div>
    </div>
  );
}

function RunHeader({ model, place, extra }: RunViewProps & { model: Model }) {
  const { may, toast, nav, isEmbedded, environment } = useSurroundings();
  const [isCancelling, setCancelling] = useState(false);
  const { header } = model;
  const live = isLive(header.status);
  const [repository, target] = split(header.target);
  const unfinished = model.steps.reduce((sum, step) => sum + step.attempts.filter(isTicking).length, 0);
  const mayRun = may("run", header.environment);
  const again: Place = { page: "workflow", repository, target, submit: true, from: header.run };
  const first = model.steps[0];
  const isWorkflow = first?.type === "workflow" || first?.type === "sensor";
  return (
    <header class="run-header">
      <div class="run-title">
        <h1><StateIcon status={header.status} size={20} />{isEmbedded ? shortTarget(header.target) : <Link to={{ page: "workflow", repository, target }} title={header.target}>{shortTarget(header.target)}</Link>}</h1>
        <Copyable text={header.run} what="run id" />
      </div>
      <div class="run-facts" role="status" aria-live="off">
        <Status status={header.status} />
        <Span from={header.created_at} to={live ? null : endOf(model)} />
        <span>in <strong>{header.environment}</strong></span>
        {environment && environment !== header.environment && <span class="chip" title="Attempts of this environment and its bases are shown">seen from {environment}</span>}
        <span class="wide">started <Time at={header.created_at} />{header.created_by && ` by ${header.created_by}`}</span>
        {header.schedule && <span>by <Link to={{ page: "schedules" }}>schedule</Link>{header.scheduled_at && <> for <Time at={header.scheduled_at} as="moment" /></>}</span>}
        {header.pinned && <span class="chip" title={`Kept for ever; pinned by ${header.pinned.by}`}><Icon name="pin" size={12} />pinned</span>}
        {header.parent && <span>from <Link to={{ page: "run", run: header.parent.split(":")[0]!, view: "graph", step: Number(header.parent.split(":")[1]) }}>{header.parent}</Link></span>}
      </div>
      <div class="run-actions">
        {live && <Button icon="stop" disabled={!mayRun} title={mayRun ? undefined : "This needs the run right"} onClick={() => setCancelling(true)}>Cancel</Button>}
        {!isEmbedded && isWorkflow && <Button icon="rerun" disabled={!mayRun} title={mayRun ? "A new run with these arguments" : "This needs the run right"} onClick={() => nav.go(again)}>Run again</Button>}
        {!isEmbedded && <PinButton run={header.run} isPinned={Boolean(header.pinned)} mayRun={mayRun} />}
        <Menu
          label="More"
          items={[
            ...(extra ?? []),
            { key: "link", label: "Copy link", run: () => void copyText(new URL(nav.href(place), document.baseURI).href).then(() => toast("Link copied.")) },
            { key: "result", label: "Copy: coflux runs result", run: () => void copyText(`coflux runs result ${header.run}`).then(() => toast("Copied.")) },
            { key: "step", label: "Run step 1 again here…", run: () => nav.go({ ...place, step: 1 }), disabled: !first && "It has no step" },
          ]}
        />
      </div>
      {isCancelling && <CancelDialog id={header.run} what={`the run of ${target}`} count={model.folds.length ? null : unfinished} onClose={() => setCancelling(false)} />}
    </header>
  );
}

/** Keeps a run for ever, or no more; either can be undone. */
function PinButton({ run, isPinned, mayRun }: { run: string; isPinned: boolean; mayRun: boolean }) {
  const transport = useTransport();
  const { toast } = useSurroundings();
  const set = async (wanted: boolean, isUndo = false): Promise<void> => {
    try {
      await transport.request("POST", `/runs/${run}/${wanted ? "pin" : "unpin"}`, {});
      const said = wanted ? `${run} is kept for ever.` : `${run} is not pinned any more.`;
      toast(said, isUndo ? undefined : { label: "Undo", run: () => void set(!wanted, true) });
    } catch (error) {
      toast(`Could not be ${wanted ? "pinned" : "unpinned"}: ${(error as Error).message}`);
    }
  };
  const title = !mayRun ? "This needs the run right" : isPinned ? "Let it be like any other run again" : "Keep this run for ever";
  return <Button icon="pin" disabled={!mayRun} title={title} onClick={() => void set(!isPinned)}>{isPinned ? "Unpin" : "Pin"}</Button>;
}

export function split(target: string): [string, string] {
  const slash = target.lastIndexOf("/");
  return [target.slice(0, slash), target.slice(slash + 1)];
}

const FAMILY_WORDS: Record<Family, string> = { failed: "failed", active: "running", pending: "queued", stopped: "cancelled", reused: "reused", ok: "done", input: "waiting for you" };
const FAMILY_STATUS: Record<Family, string> = { failed: "error", active: "running", pending: "queued", stopped: "cancelled", reused: "cached", ok: "value", input: "asking" };

/** Steps by family; each is a filter. */
function Counts({ model, place }: { model: Model; place: RunPlace }) {
  return (
    <div class="counts" role="group" aria-label={`${plural(model.total, "step")} by state`}>
      {[...byFamily(model.counts)].map(([family, n]) => {
        const isOn = place.only === family;
        return (
          <Link key={family} class={`count f-${family}`} aria-current={isOn ? "true" : undefined} title={`${isOn ? "Show all" : `Only ${FAMILY_WORDS[family]}`}`} to={{ ...place, only: isOn ? undefined : family }} replace>
            <StateIcon status={FAMILY_STATUS[family]} size={12} /><span class="num">{count(n)}</span> <span class="wide">{FAMILY_WORDS[family]}</span>
          </Link>
        );
      })}
    </div>
  );
}

