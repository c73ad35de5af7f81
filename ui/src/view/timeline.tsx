// The run in time: one row for each step or stack, queue time pale, run time solid, one segment an attempt.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { place as placeSpan, tickLabel, ticks, type Window } from "../core/axis";
import { count, duration } from "../core/format";
import { endOf, hasFailed, inTreeOrder, isTicking, type Attempt, type Fold, type Model, type Step } from "../core/model";
import type { Place } from "../core/route";
import { isLive, lookOf, overall } from "../core/states";
import { useNow } from "../data/hooks";
import { StateIcon } from "./icon";
import { Link } from "./link";
import { Button, Empty } from "./parts";
import { Virtual } from "./virtual";

const ROW = 26;

type Row = { kind: "step"; step: Step; depth: number } | { kind: "fold"; fold: Fold; depth: number };

export interface TimelineProps {
  model: Model;
  selected: string | null;
  only: string | null;
  placeOfStep: (step: Step) => Place;
  placeOfStack: (key: string) => Place;
}

export function Timeline({ model, selected, only, placeOfStep, placeOfStack }: TimelineProps) {
  const rows = useMemo(() => rowsOf(model, only), [model, only]);
  const live = isLive(model.header.status);
  const now = useNow(live);
  const end = endOf(model) ?? now;
  const start = model.header.created_at;
  const whole: Window = { from: start, to: Math.max(end, start + 1) + Math.max(1, (end - start) * 0.01) };
  const [zoomed, setZoomed] = useState<Window | null>(null);
  const view = zoomed ?? whole;
  const reveal = selected === null ? null : rows.findIndex((row) => (row.kind === "step" ? String(row.step.number) : row.fold.key) === selected);
  if (!rows.length) return <Empty title="No steps here">{only && <p>None is {only}. Clear the filter above to see all.</p>}</Empty>;
  return (
    <div class="timeline">
      <Axis view={view} origin={start} whole={whole} onZoom={setZoomed} isZoomed={zoomed !== null} />
      <Virtual
        count={rows.length} height={ROW} label="Timeline of steps" role="region" reveal={reveal !== null && reveal >= 0 ? reveal : null}
        render={(index) => {
          const row = rows[index]!;
          return row.kind === "step"
            ? <StepRow key={row.step.number} row={row} view={view} now={now} isSelected={String(row.step.number) === selected} to={placeOfStep(row.step)} />
            : <FoldRow key={row.fold.key} row={row} view={view} now={now} isSelected={row.fold.key === selected} to={placeOfStack(row.fold.key)} />;
        }}
      />
    </div>
  );
}

function rowsOf(model: Model, only: string | null): Row[] {
  const folds = new Map<number | null, Fold[]>();
  for (const fold of model.folds) folds.set(fold.parent, [...(folds.get(fold.parent) ?? []), fold]);
  const rows: Row[] = [];
  for (const { step, depth } of inTreeOrder(model)) {
    if (only === null || lookOf(step.status).family === only) rows.push({ kind: "step", step, depth: only === null ? depth : 0 });
    for (const fold of folds.get(step.number) ?? []) if (only === null || Object.keys(fold.counts).some((s) => lookOf(s).family === only)) rows.push({ kind: "fold", fold, depth: depth + 1 });
  }
  return rows;
}

function StepRow({ row, view, now, isSelected, to }: { row: Row & { kind: "step" }; view: Window; now: number; isSelected: boolean; to: Place }) {
  const { step, depth } = row;
  return (
    <Link to={to} role={undefined} class={`time-row${isSelected ? " selected" : ""}`} aria-current={isSelected ? "true" : undefined}>
      <span class="time-label" style={{ paddingLeft: `${8 + Math.min(depth, 12) * 12}px` }}>
        <StateIcon status={step.status} size={12} />
        <span class="clip">{step.name}</span>
        <span class="dim num">{step.number}</span>
      </span>
      <span class="time-bars">
        {step.attempts.map((attempt) => <Bars key={attempt.number} step={step} attempt={attempt} view={view} now={now} />)}
      </span>
    </Link>
  );
}

function Bars({ step, attempt, view, now }: { step: Step; attempt: Attempt; view: Window; now: number }) {
  const began = attempt.st ?? attempt.as;
  const end = attempt.en ?? now;
  const due = attempt.due !== undefined && attempt.due > attempt.q ? attempt.due : attempt.q;
  const queued = placeSpan(Math.min(due, began ?? end), began ?? end, view);
  const held = due > attempt.q ? placeSpan(attempt.q, Math.min(due, began ?? end), view) : null;
  const ran = began === undefined ? null : placeSpan(began, end, view);
  const family = lookOf(hasFailed(step) && attempt === step.latest ? step.outcome : attempt.s).family;
  const label = ran && began !== undefined ? duration(end - began) : null;
  const isRoomy = ran !== null && ran.width > 8;
  return (
    <>
      {held && <span class="bar-held" style={{ left: `${held.left}%`, width: `${held.width}%` }} />}
      {queued && <span class="bar-queued" style={{ left: `${queued.left}%`, width: `${queued.width}%` }} />}
      {ran && (
        <span class={`bar-ran f-${family}${isTicking(attempt) ? " open" : ""}`} style={{ left: `${ran.left}%`, width: `max(3px, ${ran.width}%)` }}>
          {isRoomy && <span class="bar-label">{label}</span>}
        </span>
      )}
      {ran && !isRoomy && attempt === step.latest && ran.left + ran.width < 90 && <span class="bar-after" style={{ left: `calc(max(3px, ${ran.width}%) + ${ran.left}%)` }}>{label}</span>}
      {!ran && attempt.en !== undefined && <span class={`bar-point f-${family}`} style={{ left: `${placeSpan(attempt.en, attempt.en, view)?.left ?? -10}%` }} />}
    </>
  );
}

function FoldRow({ row, view, now, isSelected, to }: { row: Row & { kind: "fold" }; view: Window; now: number; isSelected: boolean; to: Place }) {
  const { fold, depth } = row;
  const status = overall(fold.counts);
  const span = placeSpan(fold.started ?? fold.created, fold.ended ?? now, view);
  return (
    <Link to={to} class={`time-row${isSelected ? " selected" : ""}`}>
      <span class="time-label" style={{ paddingLeft: `${8 + Math.min(depth, 12) * 12}px` }}>
        <StateIcon status={status} size={12} />
        <span class="clip">{fold.groupName ?? fold.name}</span>
        <span class="times">×{count(Object.values(fold.counts).reduce((sum, n) => sum + n, 0))}</span>
      </span>
      <span class="time-bars">{span && <span class={`bar-ran many f-${lookOf(status).family}`} style={{ left: `${span.left}%`, width: `max(3px, ${span.width}%)` }} />}</span>
    </Link>
  );
}

/** The axis; a drag over it zooms, a double click shows the whole again. */
function Axis({ view, origin, whole, onZoom, isZoomed }: { view: Window; origin: number; whole: Window; onZoom: (window: Window | null) => void; isZoomed: boolean }) {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(600);
  const [range, setRange] = useState<[number, number] | null>(null);
  useEffect(() => {
    const observer = new ResizeObserver(() => setWidth(ref.current?.clientWidth ?? 600));
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, []);
  const at = (event: PointerEvent): number => Math.min(1, Math.max(0, (event.clientX - ref.current!.getBoundingClientRect().left) / width));
  const finish = (): void => {
    if (range && Math.abs(range[1] - range[0]) * width > 6) {
      const [a, b] = [Math.min(...range), Math.max(...range)];
      const span = view.to - view.from;
      if (b * span - a * span >= 1) onZoom({ from: view.from + a * span, to: view.from + b * span });
    }
    setRange(null);
  };
  const span = view.to - view.from;
  return (
    <div class="time-axis">
      <span class="time-label">
        {isZoomed ? <Button small onClick={() => onZoom(null)}>Show whole run</Button> : <span class="dim hint">drag to zoom</span>}
      </span>
      <div
        class="time-ticks" ref={ref} title="Drag to zoom in time"
        onPointerDown={(event) => { ref.current!.setPointerCapture(event.pointerId); setRange([at(event), at(event)]); }}
        onPointerMove={(event) => range && setRange([range[0], at(event)])}
        onPointerUp={finish} onPointerCancel={() => setRange(null)} onDblClick={() => onZoom(null)}
      >
        {ticks(view.from, view.to, origin, Math.max(2, width / 90)).filter((tick) => (origin + tick - view.from) / span < 1 - 40 / width).map((tick) => (
          <span key={tick} class="tick" style={{ left: `${((origin + tick - view.from) / span) * 100}%` }}>{tickLabel(tick)}</span>
        ))}
        {range && <span class="zoom-range" style={{ left: `${Math.min(...range) * 100}%`, width: `${Math.abs(range[1] - range[0]) * 100}%` }} />}
        {isZoomed && <span class="zoom-strip"><span style={{ left: `${((view.from - whole.from) / (whole.to - whole.from)) * 100}%`, width: `${(span / (whole.to - whole.from)) * 100}%` }} /></span>}
      </div>
    </div>
  );
}
