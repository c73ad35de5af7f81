// What waits, grouped by why.
import { count, shortTarget } from "../../core/format";
import { runOf, stepNumber, type Agent, type Queued, type Waiting } from "../../core/model";
import { useTopic, useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { Link } from "../../view/link";
import { Copyable, Empty, Loading, Problem, Time } from "../../view/parts";
import { Slots } from "../limits";
import { agentCommand } from "./home";

/** What each reason means, and what to do about it. */
const REASONS: Record<string, [string, string]> = {
  paused: ["The environment is paused", "Resume it to go on."],
  due: ["Due later", "They start by themselves at their time."],
  waiting: ["Waiting for others", "They start once what they wait for is there."],
  cap: ["A limit is reached", "Raise it, or cancel what is not needed."],
  agent: ["No agent hosts the target", "Start one that does."],
  tags: ["No agent has the tags", "Start one that provides them, or change what is required."],
  draining: ["The only agents are draining", "Start another, or wait for their successors."],
  slot: ["A named slot or rate limit is full", "They start when a holder ends."],
  concurrency: ["Agents are full", "Start another agent, or give one more concurrency."],
  assignable: ["About to start", ""],
};
const SHOWN = 100;

export function QueuePage() {
  const { environment } = useSurroundings();
  const transport = useTransport();
  const args = { environment: environment ?? undefined };
  const live = useTopic<Waiting>("waiting", args);
  const agents = useTopic<Record<string, Agent>>("agents", args);
  if (live.state === "failed") return <Problem title="The queue could not be loaded" error={live} retry={() => transport.retry("waiting", args)} />;
  if (live.state === "loading") return <Loading />;
  const all = Object.values(live.data.entries);
  const total = live.data.total;
  const groups = new Map<string, Queued[]>();
  for (const entry of all) groups.set(entry.reason.code, [...(groups.get(entry.reason.code) ?? []), entry]);
  const order = Object.keys(REASONS);
  const connected = agents.state === "ready" ? Object.values(agents.data).filter((agent) => agent.connected) : [];
  const matching = (target: string): number => connected.filter((agent) => agent.targets.includes(target)).length;
  return (
    <div class="page">
      <h1>Queue {total > 0 && <span class="dim num">{count(total)}</span>}</h1>
      {total > all.length && <p class="note">The first {count(all.length)} are shown; <code>coflux queue</code> lists all.</p>}
      {!all.length && <Empty title="Nothing waits"><p>Executions that cannot start yet show up here, each with the reason.</p></Empty>}
      {[...groups].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b)).map(([code, entries]) => {
        const [title, advice] = REASONS[code] ?? [code, ""];
        const repositories = [...new Set(entries.map((entry) => entry.target.slice(0, entry.target.lastIndexOf("/"))))];
        return (
          <section key={code}>
            <h2>{title} <span class="dim num">{count(entries.length)}</span></h2>
            {advice && <p class="dim">{advice}</p>}
            {code === "agent" && <Copyable text={agentCommand(repositories.slice(0, 5), entries[0]!.environment)} what="command" />}
            <table class="list">
              <thead><tr><th scope="col">Target</th><th scope="col">Execution</th><th scope="col">Why</th><th scope="col">Due</th><th scope="col" class="wide">Requires</th><th scope="col" class="wide num">Agents</th>{environment === null && <th scope="col" class="wide">Environment</th>}</tr></thead>
              <tbody>
                {entries.slice(0, SHOWN).map((entry) => (
                  <tr key={entry.execution}>
                    <td><Link class="cover" to={{ page: "run", run: runOf(entry.execution), view: "graph", step: stepNumber(entry.execution) }} title={entry.target}>{shortTarget(entry.target)}</Link></td>
                    <td><code>{entry.execution}</code></td>
                    <td class="text">{entry.reason.text}</td>
                    <td><Time at={entry.due_at} /></td>
                    <td class="wide">{tags(entry.requires)}</td>
                    <td class="wide num">{matching(entry.target)}/{connected.length}</td>
                    {environment === null && <td class="wide">{entry.environment}</td>}
                  </tr>
                ))}
              </tbody>
            </table>
            {entries.length > SHOWN && <p class="dim">and {count(entries.length - SHOWN)} more of this kind</p>}
          </section>
        );
      })}
      <Slots key={environment} environment={environment ?? "default"} />
    </div>
  );
}

export function tags(given: Record<string, unknown> | null | undefined): preact.ComponentChildren {
  const entries = Object.entries(given ?? {});
  if (!entries.length) return <span class="dim">–</span>;
  return <>{entries.map(([key, value]) => <code key={key} class="chip">{key}{value === true || (Array.isArray(value) && value.join() === "true") ? "" : `: ${Array.isArray(value) ? value.join(", ") : String(value)}`}</code>)}</>;
}
