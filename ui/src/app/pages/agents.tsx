// Who works: each agent with what it hosts, what it runs now and what is wrong with it.
import { useState } from "preact/hooks";
import { plural, shortTarget } from "../../core/format";
import { runOf, stepNumber, type Agent } from "../../core/model";
import { useTopic, useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { Icon, StateIcon } from "../../view/icon";
import { Link } from "../../view/link";
import { Copyable, Empty, Fact, Facts, Loading, Problem, Time } from "../../view/parts";
import { tags } from "./queue";

export function AgentsPage() {
  const { environment } = useSurroundings();
  const transport = useTransport();
  const args = { environment: environment ?? undefined };
  const live = useTopic<Record<string, Agent>>("agents", args);
  if (live.state === "failed") return <Problem title="Agents could not be loaded" error={live} retry={() => transport.retry("agents", args)} />;
  if (live.state === "loading") return <Loading />;
  const all = Object.values(live.data).sort((a, b) => Number(b.connected) - Number(a.connected) || (a.session < b.session ? -1 : 1));
  return (
    <div class="page">
      <h1>Agents</h1>
      {!all.length && (
        <Empty title="No agent is connected">
          <p>An agent runs the code. Start one where the code and its packages are:</p>
          <Copyable text={`coflux agent --dev my_workflows.py${environment ? ` --environment ${environment}` : ""}`} what="command" />
        </Empty>
      )}
      <ul class="cards wide-cards">{all.map((agent) => <AgentCard key={agent.session} agent={agent} />)}</ul>
    </div>
  );
}

function AgentCard({ agent }: { agent: Agent }) {
  const state = !agent.connected ? "abandoned" : agent.draining ? "suspended" : agent.running.length ? "running" : "active";
  const words = !agent.connected ? "not connected" : agent.draining ? "draining" : agent.running.length ? "busy" : "idle";
  const repositories = new Map<string, string[]>();
  for (const target of agent.targets) {
    const repository = target.slice(0, target.lastIndexOf("/"));
    repositories.set(repository, [...(repositories.get(repository) ?? []), shortTarget(target)]);
  }
  const share = agent.concurrency ? Math.min(1, agent.running.length / agent.concurrency) : 0;
  return (
    <li class="card agent">
      <div class="agent-head">
        <h2><StateIcon status={state} size={16} />{agent.host || agent.session}{agent.pid > 0 && <span class="dim"> process {agent.pid}</span>}</h2>
        <span>{words}</span>
        {agent.lost_at !== null && <span class="dim">given up <Time at={agent.lost_at} /></span>}
        <span class="spacer" />
        <Copyable text={agent.session} what="session id" />
      </div>
      <div class="meter" role="img" aria-label={`${agent.running.length} of ${agent.concurrency} slots in use`}><span style={{ width: `${share * 100}%` }} /></div>
      <Facts>
        <Fact name="slots">{agent.running.length} of {agent.concurrency} in use{agent.waiting.length > 0 && `, ${agent.waiting.length} waiting without one`}</Fact>
        <Fact name="environment">{agent.environment}</Fact>
        {agent.python && <Fact name="Python">{agent.python}</Fact>}
        {Object.keys(agent.provides).length > 0 && <Fact name="provides">{tags(agent.provides)}</Fact>}
        {Object.keys(agent.accepts).length > 0 && <Fact name="accepts only">{tags(agent.accepts)}</Fact>}
        <Fact name="hosts">{repositories.size ? [...repositories].map(([repository, names]) => <details key={repository}><summary><span class="mono">{repository}</span> <span class="dim">{plural(names.length, "target")}</span></summary>{names.join(", ")}</details>) : "what notebooks send (generic)"}</Fact>
        {agent.running.length > 0 && <Fact name="runs"><Executions ids={agent.running} /></Fact>}
        {agent.waiting.length > 0 && <Fact name="waiting"><Executions ids={agent.waiting} /></Fact>}
      </Facts>
      {Object.entries(agent.failures).map(([repository, traceback]) => <details key={repository} class="import-failure" open><summary>{repository} could not be imported</summary><pre class="preview">{traceback}</pre></details>)}
      {Object.entries(agent.remarks ?? {}).flatMap(([repository, texts]) => texts.map((text) => <p key={repository + text} class="run-note agent-remark"><Icon name="warning" /> <span><span class="mono">{repository}</span>: {text}</span></p>))}
    </li>
  );
}

function Executions({ ids }: { ids: string[] }) {
  const [shown, setShown] = useState(12);
  return (
    <span class="links">
      {ids.slice(0, shown).map((id) => <Link key={id} class="chip" to={{ page: "run", run: runOf(id), view: "graph", step: stepNumber(id) }}>{id}</Link>)}
      {ids.length > shown && <button type="button" class="linklike" onClick={() => setShown(shown + 100)}>{ids.length - shown} more</button>}
    </span>
  );
}
