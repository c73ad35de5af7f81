// Search as a page of its own, for links and for what is older than the live lists.
import { rank } from "../../core/search";
import type { RunSummary } from "../../core/model";
import { useRequest } from "../../data/hooks";
import { query } from "../../data/transport";
import { useSurroundings } from "../../view/context";
import { Link } from "../../view/link";
import { Empty, Loading } from "../../view/parts";
import { useCandidates } from "../candidates";
import { RunTable } from "../run_table";

export function SearchPage({ q }: { q: string }) {
  const { nav, environment } = useSurroundings();
  const found = rank(useCandidates(q).filter((candidate) => candidate.kind !== "run"), q, 30);
  const runs = useRequest<RunSummary[]>(`/runs${query({ environment: environment ?? undefined, limit: 1000 })}`);
  const wanted = q.trim().toLowerCase();
  const fitting = (runs.data ?? []).filter((run) => wanted && `${run.run} ${run.target} ${run.created_by}`.toLowerCase().includes(wanted));
  return (
    <div class="page">
      <h1>Search</h1>
      <div class="bar-tools"><input type="search" value={q} autoFocus aria-label="Search" placeholder="Workflows, runs, agents, environments" onInput={(event) => nav.go({ page: "search", q: event.currentTarget.value }, { replace: true })} /></div>
      {wanted && found.length > 0 && <section><h2>Places</h2><ul class="plain-list">{found.map((c) => <li key={c.kind + c.label}><Link to={c.place} environment={c.environment}>{c.label}</Link> <span class="dim">{c.about}</span></li>)}</ul></section>}
      {runs.isLoading && <Loading />}
      {fitting.length > 0 && <section><h2>Runs</h2><RunTable runs={fitting.slice(0, 100)} /></section>}
      {wanted && !found.length && !fitting.length && !runs.isLoading && <Empty title={`Nothing has “${q}”`}><p>Searched are workflows, agents, environments and the newest 1,000 runs; older ones open by their id.</p></Empty>}
    </div>
  );
}
