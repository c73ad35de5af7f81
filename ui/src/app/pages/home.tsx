// What is going on: running now, what failed lately, what waits, who works. On an empty server: how to begin.
import { count, plural, shortTarget } from "../../core/format";
import type { Agent, Manifests, Queued, RunSummary, Waiting } from "../../core/model";
import { isFailed, isLive } from "../../core/states";
import { useNow, useTopic } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { Icon, StateIcon } from "../../view/icon";
import { Link } from "../../view/link";
import { Copyable, Loading, Problem } from "../../view/parts";
import { RunTable } from "../run_table";
import { useConfig } from "../config_context";
import { InputTable, useOpenInputs } from "./inputs";

const DAY = 86_400_000;

export function HomePage() {
  const { environment } = useSurroundings();
  const args = { environment: environment ?? undefined };
  const runs = useTopic<Record<string, RunSummary>>("runs", args);
  const agents = useTopic<Record<string, Agent>>("agents", args);
  const queue = useTopic<Waiting>("waiting", args);
  const manifests = useTopic<Manifests>("manifests", { environment: environment ?? "default" });
  const inputs = useOpenInputs();
  const now = useNow(false);
  if (runs.state === "failed") return <Problem title="Runs could not be loaded" error={runs} />;
  if (runs.state === "loading") return <Loading />;
  const all = Object.values(runs.data).sort((a, b) => b.created_at - a.created_at);
  const connected = agents.state === "ready" ? Object.values(agents.data).filter((a) => a.connected) : [];
  const queued = queue.state === "ready" ? Object.values(queue.data.entries) : [];
  const waiting = queue.state === "ready" ? queue.data.total : 0;
  const targets = manifests.state === "ready" ? Object.entries(manifests.data).flatMap(([repository, m]) => m.targets.map((t) => `${repository}/${t.name}`)) : [];
  const running = all.filter((run) => isLive(run.status));
  const failed = all.filter((run) => isFailed(run.status) && now - run.created_at < DAY);
  const busy = connected.reduce((sum, agent) => sum + agent.running.length, 0);
  const slots = connected.reduce((sum, agent) => sum + agent.concurrency, 0);
  const asked = inputs.state === "ready" ? inputs.data : [];
  const isStranded = queued.some((entry) => entry.reason.code === "agent");
  return (
    <div class="page">
      <h1>{environment ?? "All environments"}</h1>
      {all.length === 0 ? <FirstSteps hasTargets={targets.length > 0} hasAgent={connected.length > 0} target={targets[0] ?? null} /> : (
        <div class="tiles">
          <Tile to={{ page: "runs", status: "live" }} label="running now" value={running.length} status="running" />
          <Tile to={{ page: "runs", status: "failed" }} label="failed in 24 h" value={failed.length} status="failed" isQuiet={!failed.length} />
          <Tile to={{ page: "queue" }} label="queued" value={waiting} status="queued" isQuiet={!waiting} />
          <Tile to={{ page: "inputs" }} label={asked.length === 1 ? "question to you" : "questions to you"} value={asked.length} status="asking" isQuiet={!asked.length} />
          <Tile to={{ page: "agents" }} label={`${plural(connected.length, "agent")}, slots in use`} value={`${busy}/${slots}`} status="active" isQuiet={!connected.length} />
        </div>
      )}
      {isStranded && <Stranded queued={queued} />}
      {asked.length > 0 && <section><h2>Waiting for you {asked.length > 5 && <Link class="more" to={{ page: "inputs" }}>all {asked.length}</Link>}</h2><InputTable rows={asked.slice(0, 5)} /></section>}
      {running.length > 0 && <section><h2>Running now</h2><RunTable runs={running} /></section>}
      {failed.length > 0 && <section><h2>Failed in the last 24 hours</h2><RunTable runs={failed.slice(0, 8)} /></section>}
      {all.length > 0 && <section><h2>Recent runs <Link class="more" to={{ page: "runs" }}>all runs</Link></h2><RunTable runs={all.slice(0, 12)} /></section>}
    </div>
  );
}

function Tile({ to, label, value, status, isQuiet }: { to: Parameters<typeof Link>[0]["to"]; label: string; value: number | string; status: string; isQuiet?: boolean }) {
  return (
    <Link to={to} class={`tile${isQuiet ? " quiet" : ""}`}>
      <span class="tile-value"><StateIcon status={status} size={20} />{typeof value === "number" ? count(value) : value}</span>
      <span class="tile-label">{label}</span>
    </Link>
  );
}

function Stranded({ queued }: { queued: Queued[] }) {
  const waiting = queued.filter((entry) => entry.reason.code === "agent");
  const repositories = [...new Set(waiting.map((entry) => entry.target.slice(0, entry.target.lastIndexOf("/"))))];
  return (
    <div class="banner" role="status">
      <Icon name="warning" />
      <div>
        <p><strong>{plural(waiting.length, "execution")}</strong> {waiting.length === 1 ? "waits" : "wait"} for an agent that hosts {repositories.slice(0, 3).join(", ")}.</p>
        <Copyable text={agentCommand(repositories, waiting[0]!.environment)} what="command" />
      </div>
    </div>
  );
}

export function agentCommand(repositories: string[], environment: string): string {
  return `coflux agent ${repositories.join(" ")}${environment === "default" ? "" : ` --environment ${environment}`}`;
}

const EXAMPLE = `import coflux as cf

@cf.task()
def square(n: int) -> int:
    return n * n

@cf.workflow()
def total(n: int = 5) -> int:
    """The sum of the first squares."""
    parts = [square.submit(i) for i in range(n)]
    return sum(part.result() for part in parts)
`;

function FirstSteps({ hasTargets, hasAgent, target }: { hasTargets: boolean; hasAgent: boolean; target: string | null }) {
  const { nav, environment } = useSurroundings();
  const config = useConfig();
  const isJupyter = config.base !== "/";
  const command = isJupyter ? "%load_ext coflux\n%coflux agent start" : agentCommand(["squares.py", "--dev"], environment ?? "default");
  const [repository, name] = target ? [target.slice(0, target.lastIndexOf("/")), shortTarget(target)] : ["", ""];
  return (
    <ol class="first-steps">
      <li class={hasTargets ? "done" : ""}>
        <h2><StateIcon status={hasTargets ? "value" : "queued"} size={18} />Define a workflow</h2>
        <p>{isJupyter ? "In a cell:" : <>In a file, say <code>squares.py</code>:</>}</p>
        <Copyable text={EXAMPLE} what="example"><pre class="code">{EXAMPLE}</pre></Copyable>
      </li>
      <li class={hasAgent ? "done" : ""}>
        <h2><StateIcon status={hasAgent ? "value" : "queued"} size={18} />Start an agent</h2>
        <p>It runs the code and registers the workflows that it finds. On this machine it finds this server by itself; elsewhere give it <code>--host</code> and a <Link to={{ page: "tokens" }}>token</Link>.</p>
        <Copyable text={command} what="command"><pre class="code">{command}</pre></Copyable>
        {hasAgent && <p>An agent is connected.</p>}
      </li>
      <li>
        <h2><StateIcon status="queued" size={18} />Run it</h2>
        {target ? <p><a class="button primary" href={nav.href({ page: "workflow", repository, target: name, submit: true })}>Run {name}</a></p> : <p>As soon as a workflow is registered, it can be run from here.</p>}
      </li>
    </ol>
  );
}
