// Runs as a table: what, how, where, when, how long.
import { shortTarget } from "../core/format";
import type { RunSummary } from "../core/model";
import { isLive } from "../core/states";
import { Icon, Status } from "../view/icon";
import { Link } from "../view/link";
import { Span, Time } from "../view/parts";
import { useSurroundings } from "../view/context";

export function RunTable({ runs, withTarget = true }: { runs: RunSummary[]; withTarget?: boolean }) {
  const { environment } = useSurroundings();
  return (
    <table class="list">
      <thead><tr>
        <th scope="col">State</th>{withTarget && <th scope="col">Workflow</th>}<th scope="col" class={withTarget ? "mid" : ""}>Run</th>{environment === null && <th scope="col" class="wide">Environment</th>}
        <th scope="col">Started</th><th scope="col" class="num">Took</th><th scope="col" class="wide">By</th>
      </tr></thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.run}>
            <td><Status status={run.status} />{run.pinned && <span class="pin-mark" role="img" aria-label={`Pinned by ${run.pinned.by}`} title={`Pinned by ${run.pinned.by}`}><Icon name="pin" size={12} /></span>}</td>
            {withTarget && <td><Link class="cover" to={{ page: "run", run: run.run, view: "graph" }} title={run.target}>{shortTarget(run.target)}</Link> <span class="dim wide">{run.target.slice(0, run.target.lastIndexOf("/"))}</span></td>}
            <td class={withTarget ? "mid" : ""}><Link class={withTarget ? "" : "cover"} to={{ page: "run", run: run.run, view: "graph" }}><code>{run.run}</code></Link></td>
            {environment === null && <td class="wide">{run.environment}</td>}
            <td><Time at={run.created_at} /></td>
            <td class="num"><Span from={run.created_at} to={run.finished_at ?? (isLive(run.status) ? null : run.created_at)} /></td>
            <td class="wide dim">{run.created_by}{run.parent && " (spawned)"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
