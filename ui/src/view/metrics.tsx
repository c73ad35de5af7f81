// What executions measured: a chart for each group of metrics, bars for progress; live while the run is.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { charts, join, linePath, logTicks, nearest, niceTicks, position, rangeOf, short, type ChartData, type Range, type Series } from "../core/chart";
import { count } from "../core/format";
import { stepNumber, type Model } from "../core/model";
import { asError, useTransport } from "../data/hooks";
import { query, type RequestError } from "../data/transport";
import { useSurroundings } from "./context";
import { Button, Empty, Loading, Problem } from "./parts";

const POINTS = 500;

export function Metrics({ id, model, isLive }: { id: string; model: Model; isLive: boolean }) {
  const found = useMetrics(id, isLive);
  const groups = useMemo(() => charts(found.series), [found.series]);
  const progress = found.series.filter((series) => series.kind === "progress");
  const nameOf = (series: Series): string => {
    const step = model.byNumber.get(stepNumber(series.execution));
    return `${step?.name ?? "step"} ${series.execution.split(":").slice(1).join("#").replace(/#1$/, "")}`;
  };
  if (found.error && !found.series.length) return <Problem error={found.error} />;
  if (found.isLoading) return <Loading what="Loading metrics" />;
  if (!found.series.length) {
    return (
      <Empty title="Nothing was measured">
        <p>A step records numbers with <code>cf.Metric("loss").record(0.12)</code>, and progress with <code>for row in cf.progress(rows)</code>. Their charts show up here.</p>
      </Empty>
    );
  }
  return (
    <div class="metrics" tabIndex={0} role="region" aria-label="Metrics">
      {progress.length > 0 && <ProgressList progress={progress} nameOf={nameOf} />}
      <div class="charts">{groups.map((chart) => <Chart key={chart.title} chart={chart} nameOf={nameOf} />)}</div>
    </div>
  );
}

const SHOWN = 30;

function ProgressList({ progress, nameOf }: { progress: Series[]; nameOf: (series: Series) => string }) {
  const [isAll, setAll] = useState(false);
  // What is under way first.
  const sorted = [...progress].sort((a, b) => Number(share(a) === 1) - Number(share(b) === 1));
  return (
    <ul class="progress-list" aria-label="Progress">
      {sorted.slice(0, isAll ? undefined : SHOWN).map((series) => {
        const done = series.last?.[1] ?? 0;
        const part = share(series);
        return (
          <li key={series.execution + series.key}>
            <span class="clip">{nameOf(series)}{series.key !== "progress" && <span class="dim"> {series.key}</span>}</span>
            <span class="meter" role="img" aria-label={part === null ? `${count(done)} done` : `${Math.round(part * 100)} %`}><span style={{ width: `${(part ?? 0) * 100}%` }} /></span>
            <span class="num dim">{count(done)}{series.total !== null && `/${count(series.total)}`}</span>
          </li>
        );
      })}
      {sorted.length > SHOWN && !isAll && <li><Button small onClick={() => setAll(true)}>{count(sorted.length - SHOWN)} more</Button></li>}
    </ul>
  );
}

function share(series: Series): number | null {
  return series.total ? Math.min(1, (series.last?.[1] ?? 0) / series.total) : null;
}

const COLOURS = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];
const SIZE = { left: 52, right: 12, top: 10, bottom: 26, height: 210 };

/** Lines over one horizontal axis; series of different scales each have their own range. */
export function Chart({ chart, nameOf }: { chart: ChartData; nameOf: (series: Series) => string }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(480);
  const [isLog, setLog] = useState(false);
  const [at, setAt] = useState<number | null>(null);
  useEffect(() => {
    const observer = new ResizeObserver(() => box.current && setWidth(Math.max(200, box.current.clientWidth)));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const scales = useMemo(() => scalesOf(chart, isLog), [chart, isLog]);
  const [first, second] = [...scales.values()] as [Range, Range | undefined];
  const right = second ? SIZE.left : SIZE.right;
  const inner = { width: width - SIZE.left - right, height: SIZE.height - SIZE.top - SIZE.bottom };
  const x = useMemo(() => rangeOf(every(chart.series, 0), chart.group), [chart]);
  const hasRoom = chart.series.every((series) => series.points.every(([, value]) => value === null || value > 0));
  const keys = new Set(chart.series.map((series) => series.key));
  const label = (series: Series): string => (keys.size === 1 ? nameOf(series) : chart.series.some((other) => other.key === series.key && other !== series) ? `${series.key}, ${nameOf(series)}` : series.key);
  const toX = (clientX: number): number => {
    const rect = box.current!.querySelector("svg")!.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (clientX - rect.left - SIZE.left) / inner.width));
    return x.low + share * (x.high - x.low);
  };
  const ticks = isLog ? logTicks(first.low, first.high) : niceTicks(first.low, first.high, 4);
  return (
    <figure class="chart">
      <figcaption>
        <strong>{chart.title}</strong>
        <span class="spacer" />
        {hasRoom && <Button small aria-pressed={isLog} onClick={() => setLog(!isLog)}>log</Button>}
      </figcaption>
      <div ref={box}>
        <svg
          width={width} height={SIZE.height} role="img" aria-label={`${chart.title}: ${chart.series.map((s) => `${label(s)} ${s.last?.[1] ?? "no value"}`).join(", ")}`}
          onPointerMove={(event) => setAt(toX(event.clientX))} onPointerLeave={() => setAt(null)}
        >
          <g transform={`translate(${SIZE.left},${SIZE.top})`}>
            {ticks.map((tick) => {
              const y = inner.height - position(tick, first, inner.height, isLog);
              return <g key={tick}><line class="grid" x1={0} x2={inner.width} y1={y} y2={y} /><text class="tick-label" x={-8} y={y + 4} text-anchor="end">{short(tick)}</text></g>;
            })}
            {second && (isLog ? logTicks(second.low, second.high) : niceTicks(second.low, second.high, 4)).map((tick) => (
              <text key={tick} class="tick-label" x={inner.width + 8} y={inner.height - position(tick, second, inner.height, isLog) + 4}>{short(tick)}</text>
            ))}
            {niceTicks(x.low, x.high, inner.width / 90).map((tick) => (
              <text key={tick} class="tick-label" x={position(tick, x, inner.width)} y={inner.height + 18} text-anchor="middle">{short(tick)}</text>
            ))}
            <text class="tick-label" x={inner.width} y={inner.height + 18} text-anchor="end">{chart.group?.units ?? ""}</text>
            {chart.series.map((series, i) => <path key={series.execution + series.key} class={`line ${COLOURS[i % COLOURS.length]}`} d={linePath(series.points, x, scales.get(scaleKey(series))!, inner.width, inner.height, isLog)} />)}
            {chart.series.map((series, i) => series.points.length === 1 && series.points[0]![1] !== null && (
              <circle key={series.execution + series.key} class={`point ${COLOURS[i % COLOURS.length]}`} r={3} cx={position(series.points[0]![0], x, inner.width)} cy={inner.height - position(series.points[0]![1], scales.get(scaleKey(series))!, inner.height, isLog)} />
            ))}
            {at !== null && <line class="cursor" x1={position(at, x, inner.width)} x2={position(at, x, inner.width)} y1={0} y2={inner.height} />}
          </g>
        </svg>
      </div>
      <ul class="legend">
        {chart.series.slice(0, 12).map((series, i) => {
          const point = at === null ? series.last : nearest(series.points, at);
          return <li key={series.execution + series.key}><span class={`swatch ${COLOURS[i % COLOURS.length]}`} />{label(series)} <span class="num">{point && point[1] !== null ? short(point[1]) : "–"}{series.scale?.units && ` ${series.scale.units}`}</span>{second && scales.get(scaleKey(series)) === second && <span class="dim">right axis</span>}</li>;
        })}
        {chart.series.length > 12 && <li class="dim">and {chart.series.length - 12} more</li>}
        {at !== null && <li class="dim num">at {short(at)} {chart.group?.units ?? ""}</li>}
      </ul>
    </figure>
  );
}

function* every(series: readonly Series[], part: 0 | 1): Iterable<number> {
  for (const one of series) for (const point of one.points) if (point[part] !== null) yield point[part] as number;
}

/** Series of one named scale share its range; the others share theirs by key. */
const scaleKey = (series: Series): string => (series.scale ? `s ${series.scale.name}` : `k ${series.key}`);

function scalesOf(chart: ChartData, isLog: boolean) {
  const groups = new Map<string, Series[]>();
  for (const series of chart.series) groups.set(scaleKey(series), [...(groups.get(scaleKey(series)) ?? []), series]);
  return new Map([...groups].map(([key, members]) => [key, rangeOf(every(members, 1), members[0]!.scale, isLog)]));
}

interface Page {
  metrics: Series[];
  cursor: string;
  more: boolean;
}

function useMetrics(id: string, isLive: boolean) {
  const transport = useTransport();
  const { environment } = useSurroundings();
  const [held, setHeld] = useState<{ id: string; series: Series[]; error: RequestError | null }>({ id: "", series: [], error: null });
  useEffect(() => {
    const abort = new AbortController();
    const ask = (more: Record<string, string | number | undefined>): Promise<Page> =>
      transport.request<Page>("GET", `/metrics${query({ id, environment: environment ?? undefined, ...more })}`, undefined, abort.signal);
    const follow = async (): Promise<void> => {
      let page = await ask({ points: POINTS });
      setHeld({ id, series: page.metrics, error: null });
      while (isLive && !abort.signal.aborted) {
        page = await ask({ after: page.cursor, wait_ms: 25_000 });
        if (page.metrics.length) setHeld((old) => ({ id, series: join(old.series, page.metrics, POINTS), error: null }));
        // Several points a second need not be drawn one by one.
        await new Promise((done) => setTimeout(done, 500));
      }
    };
    follow().catch((error: unknown) => {
      if (!abort.signal.aborted) setHeld((old) => ({ id, series: old.id === id ? old.series : [], error: asError(error) }));
    });
    return () => abort.abort();
  }, [transport, id, environment, isLive]);
  const isOwn = held.id === id;
  return { series: isOwn ? held.series : [], error: isOwn ? held.error : null, isLoading: !isOwn };
}
