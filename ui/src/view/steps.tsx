// All steps as a table: searchable, sortable, the graph's equivalent for readers of text and for huge runs.
import { useEffect, useMemo, useState } from "preact/hooks";
import { count, duration } from "../core/format";
import { buildModel, isTicking, ranFor, type Model, type RawStep, type RunDocument, type Step } from "../core/model";
import type { Place } from "../core/route";
import { isLive, lookOf, STATES } from "../core/states";
import { asError, useNow, useTransport } from "../data/hooks";
import { query, type RequestError } from "../data/transport";
import { useSurroundings } from "./context";
import { Status } from "./icon";
import { Link } from "./link";
import { Button, Empty, Problem, Time } from "./parts";
import { Virtual } from "./virtual";

const ROW = 32;
type SortKey = "number" | "name" | "state" | "queued" | "ran" | "attempts" | "started";

export interface StepsProps {
  model: Model;
  selected: string | null;
  only: string | null;
  text: string;
  onText: (text: string) => void;
  placeOfStep: (step: Step) => Place;
}

export function Steps({ model, selected, only, text, onText, placeOfStep }: StepsProps) {
  const [sort, setSort] = useState<{ key: SortKey; down: boolean }>({ key: "number", down: false });
  const isFolded = model.folds.length > 0;
  const paged = usePages(isFolded ? model.header : null, only, text, null);
  const source = isFolded ? paged.steps : model.steps;
  const now = useNow(isLive(model.header.status));
  const rows = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    const fits = (step: Step): boolean => (only === null || lookOf(step.status).family === only)
      && (!wanted || `${step.target} ${step.groupName ?? ""} ${step.number} ${step.latest.er ?? ""}`.toLowerCase().includes(wanted));
    const found = source.filter(fits);
    return sort.key === "number" && !sort.down ? found : [...found].sort(comparison(sort.key, sort.down, now));
  }, [source, only, text, sort.key, sort.down]);
  const reveal = selected === null ? -1 : rows.findIndex((step) => String(step.number) === selected);
  const head = (key: SortKey, label: string, more = ""): preact.JSX.Element => (
    <span role="columnheader" class={`c-${key} ${more}`} aria-sort={sort.key === key ? (sort.down ? "descending" : "ascending") : "none"}>
      <button type="button" onClick={() => setSort({ key, down: sort.key === key ? !sort.down : key === "ran" || key === "queued" })}>
        {label}{sort.key === key && (sort.down ? " ↓" : " ↑")}
      </button>
    </span>
  );
  return (
    <div class="steps">
      <div class="bar-tools">
        <input type="search" value={text} placeholder="Find steps by target, group, number, error" aria-label="Find steps" onInput={(event) => onText(event.currentTarget.value)} />
        <span class="dim num">{count(rows.length)} of {count(model.total)}</span>
        {paged.more && <Button small onClick={paged.more}>Load more</Button>}
      </div>
      {paged.error && <Problem error={paged.error} retry={paged.more ?? undefined} />}
      {rows.length === 0 ? <Empty title="No step fits" /> : (
        <Virtual
          count={rows.length} height={ROW} label="Steps" role="table" class="grid-table steps-table" reveal={reveal >= 0 ? reveal : null}
          header={<div class="grid-head" role="row">{head("number", "Step")}{head("state", "State")}{head("name", "Target")}{head("attempts", "Att.", "wide")}{head("queued", "Queued", "wide")}{head("ran", "Ran")}{head("started", "Started", "wide")}</div>}
          render={(index) => <Row key={rows[index]!.number} step={rows[index]!} now={now} isSelected={String(rows[index]!.number) === selected} to={placeOfStep(rows[index]!)} />}
        />
      )}
    </div>
  );
}

function Row({ step, now, isSelected, to }: { step: Step; now: number; isSelected: boolean; to: Place }) {
  const latest = step.latest;
  const ran = ranFor(latest, now);
  const queued = queuedFor(step, now);
  return (
    <div role="row" class={`grid-row${isSelected ? " selected" : ""}`}>
      <span role="cell" class="c-number num">{step.number}</span>
      <span role="cell" class="c-state"><Status status={step.status} outcome={latest.o} /></span>
      <span role="cell" class="c-name">
        <Link to={to} class="cover" aria-current={isSelected ? "true" : undefined}>{step.name}</Link>
        {step.groupName && <span class="node-group">{step.groupName}</span>}
        {latest.er && <span class="clip dim">{latest.er}</span>}
      </span>
      <span role="cell" class="c-attempts num wide">{step.attempts.length}</span>
      <span role="cell" class="c-queued num wide">{queued === null ? "" : duration(queued)}</span>
      <span role="cell" class={`c-ran num${isTicking(latest) ? " ticking" : ""}`}>{ran === null ? "" : duration(ran)}</span>
      <span role="cell" class="c-started wide">{latest.st !== undefined && <Time at={latest.st} as="clock" />}</span>
    </div>
  );
}

function queuedFor(step: Step, now: number): number | null {
  const latest = step.latest;
  const from = latest.due !== undefined ? Math.max(latest.due, latest.q) : latest.q;
  const to = latest.as ?? latest.en ?? now;
  return to < from ? null : to - from;
}

function comparison(key: SortKey, down: boolean, now: number): (a: Step, b: Step) => number {
  const value = (step: Step): number | string => {
    switch (key) {
      case "number": return step.number;
      case "name": return step.name;
      case "state": return lookOf(step.status).word;
      case "attempts": return step.attempts.length;
      case "queued": return queuedFor(step, now) ?? -1;
      case "ran": return ranFor(step.latest, now) ?? -1;
      case "started": return step.latest.st ?? Infinity;
    }
  };
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    const order = x < y ? -1 : x > y ? 1 : a.number - b.number;
    return down ? -order : order;
  };
}

interface Page {
  targets: RunDocument["targets"];
  groups: RunDocument["groups"];
  steps: Record<string, RawStep>;
  next: number | null;
}

/** Steps of a run that is too big to be there whole, page by page. */
export function usePages(header: { run: string } | null, family: string | null, text: string, under: string | null) {
  const transport = useTransport();
  const { environment } = useSurroundings();
  const [held, setHeld] = useState<{ key: string; steps: Step[]; next: number | null; error: RequestError | null; isBusy: boolean }>({ key: "", steps: [], next: null, error: null, isBusy: false });
  const statuses = family ? Object.entries(STATES).filter(([, look]) => look.family === family).map(([status]) => status).join(",") : undefined;
  const key = header ? [header.run, statuses, text, under].join(" ") : "";
  const load = async (after: number, before: Step[]): Promise<void> => {
    try {
      const path = `/runs/${header!.run}/steps${query({ environment: environment ?? undefined, under: under ?? undefined, status: statuses, text: text.trim() || undefined, after: after || undefined, limit: 1000 })}`;
      const page = await transport.request<Page>("GET", path);
      const model = buildModel({ ...(header as RunDocument), ...page, folds: {} });
      setHeld({ key, steps: before.concat(model.steps), next: page.next, error: null, isBusy: false });
    } catch (error) {
      setHeld({ key, steps: before, next: after, error: asError(error), isBusy: false });
    }
  };
  useEffect(() => {
    if (!header) return undefined;
    const timer = setTimeout(() => void load(0, []), text ? 250 : 0);
    return () => clearTimeout(timer);
  }, [key]);
  const isOwn = held.key === key;
  const next = isOwn ? held.next : null;
  return { steps: isOwn ? held.steps : [], error: isOwn ? held.error : null, isLoading: header !== null && !isOwn, more: next === null ? null : () => void load(next, held.steps) };
}
