// All runs, newest first; filters are in the address, older ones come page by page.
import { useEffect, useState } from "preact/hooks";
import { count } from "../../core/format";
import type { RunSummary } from "../../core/model";
import type { Place } from "../../core/route";
import { isFailed, isLive } from "../../core/states";
import { asError, useTopic, useTransport } from "../../data/hooks";
import { query, type RequestError } from "../../data/transport";
import { useSurroundings } from "../../view/context";
import { Button, Empty, Loading, Problem } from "../../view/parts";
import { RunTable } from "../run_table";

const FILTERS: [string, string, (run: RunSummary) => boolean][] = [
  ["", "all", () => true],
  ["live", "running", (run) => isLive(run.status)],
  ["failed", "failed", (run) => isFailed(run.status)],
  ["succeeded", "succeeded", (run) => run.status === "succeeded"],
  ["cancelled", "cancelled", (run) => run.status === "cancelled"],
  ["pinned", "pinned", (run) => Boolean(run.pinned)],
];

export function RunsPage({ place }: { place: Place & { page: "runs" } }) {
  const { environment, nav } = useSurroundings();
  const transport = useTransport();
  // Pinned runs may be old: the server looks for them among all.
  const pinned = place.status === "pinned" ? "true" : undefined;
  const args = { environment: environment ?? undefined, target: place.target, pinned };
  const live = useTopic<Record<string, RunSummary>>("runs", args);
  const older = useOlder(environment, place.target, pinned);
  if (live.state === "failed") return <Problem title="Runs could not be loaded" error={live} retry={() => transport.retry("runs", args)} />;
  if (live.state === "loading") return <Loading />;
  const newest = Object.values(live.data).sort((a, b) => b.created_at - a.created_at);
  const known = new Set(newest.map((run) => run.run));
  const all = [...newest, ...older.runs.filter((run) => !known.has(run.run))];
  const filter = FILTERS.find(([name]) => name === (place.status ?? "")) ?? FILTERS[0]!;
  const text = (place.q ?? "").trim().toLowerCase();
  const shown = all.filter((run) => filter[2](run) && (!text || `${run.run} ${run.target} ${run.created_by} ${run.environment}`.toLowerCase().includes(text)));
  const oldest = all.at(-1);
  const mayHaveMore = older.hasMore && newest.length >= 100;
  return (
    <div class="page">
      <h1>Runs</h1>
      <div class="bar-tools">
        <input type="search" value={place.q ?? ""} placeholder="Find by id, workflow, person" aria-label="Find runs" onInput={(event) => nav.go({ ...place, q: event.currentTarget.value || undefined }, { replace: true })} />
        <div class="segments" role="group" aria-label="State">
          {FILTERS.map(([name, label]) => <button key={name} type="button" aria-pressed={filter[0] === name} onClick={() => nav.go({ ...place, status: name || undefined }, { replace: true })}>{label}</button>)}
        </div>
        {place.target && <Button small onClick={() => nav.go({ ...place, target: undefined }, { replace: true })} icon="close">{place.target}</Button>}
        <span class="dim num">{count(shown.length)}</span>
      </div>
      {shown.length > 0 ? <RunTable runs={shown} /> : (
        <Empty title={pinned && !all.length ? "No run is pinned" : all.length ? "No run fits" : "No runs yet"}>
          {pinned && !all.length ? <p>Pin what must be kept, such as the run behind a report: <em>Pin</em> is at the top of a run.</p> : all.length ? <p>{count(all.length)} without the filter. <Button small onClick={() => nav.go({ page: "runs" }, { replace: true })}>Clear</Button></p> : <p>Start one from <a href={nav.href({ page: "workflows" })}>a workflow</a>, or with <code>coflux submit</code>.</p>}
        </Empty>
      )}
      {older.error && <Problem error={older.error} />}
      {mayHaveMore && oldest && <Button onClick={() => older.load(oldest.run)} disabled={older.isBusy}>Older runs</Button>}
    </div>
  );
}

function useOlder(environment: string | null, target: string | undefined, pinned: string | undefined) {
  const transport = useTransport();
  const [held, setHeld] = useState<{ runs: RunSummary[]; hasMore: boolean; isBusy: boolean; error: RequestError | null }>({ runs: [], hasMore: true, isBusy: false, error: null });
  useEffect(() => setHeld({ runs: [], hasMore: true, isBusy: false, error: null }), [environment, target, pinned]);
  const load = (before: string): void => {
    setHeld((old) => ({ ...old, isBusy: true }));
    transport.request<RunSummary[]>("GET", `/runs${query({ environment: environment ?? undefined, target, pinned, before, limit: 200 })}`).then(
      (page) => setHeld((old) => ({ runs: [...old.runs, ...page], hasMore: page.length === 200, isBusy: false, error: null })),
      (error: unknown) => setHeld((old) => ({ ...old, isBusy: false, error: asError(error) })),
    );
  };
  return { ...held, load };
}
