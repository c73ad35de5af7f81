// What can be run: registered workflows and sensors by repository, each with its story and its form.
import { count, duration, plural } from "../../core/format";
import type { Definition, Manifests, RunSummary } from "../../core/model";
import type { Place } from "../../core/route";
import { isLive, lookOf } from "../../core/states";
import { asError, useTopic, useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { StateIcon } from "../../view/icon";
import { Link } from "../../view/link";
import { Button, Copyable, Empty, Fact, Facts, Loading, Menu, Problem } from "../../view/parts";
import { RunTable } from "../run_table";
import { SubmitDialog } from "../submit";

export function WorkflowsPage() {
  const { environment } = useSurroundings();
  const transport = useTransport();
  const args = { environment: environment ?? "default" };
  const live = useTopic<Manifests>("manifests", args);
  const runs = useTopic<Record<string, RunSummary>>("runs", { environment: environment ?? undefined });
  if (live.state === "failed") return <Problem title="Workflows could not be loaded" error={live} retry={() => transport.retry("manifests", args)} />;
  if (live.state === "loading") return <Loading />;
  const recent = runs.state === "ready" ? Object.values(runs.data).sort((a, b) => b.created_at - a.created_at) : [];
  const repositories = Object.entries(live.data).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    <div class="page">
      <h1>Workflows <span class="dim">in {args.environment}</span></h1>
      {!repositories.length && (
        <Empty title="Nothing is registered here">
          <p>An agent registers what it hosts when it is started for development:</p>
          <Copyable text={`coflux agent --dev my_workflows.py${environment ? ` --environment ${environment}` : ""}`} what="command" />
          <p>In production, register as a build step: <code>coflux register my.repository</code>.</p>
        </Empty>
      )}
      {repositories.map(([repository, manifest]) => (
        <section key={repository}>
          <h2><span class="mono">{repository}</span><RepositoryMenu repository={repository} targets={manifest.targets} environment={args.environment} /></h2>
          <ul class="cards">
            {manifest.targets.map((definition) => {
              const target = `${repository}/${definition.name}`;
              const own = recent.filter((run) => run.target === target);
              return (
                <li key={definition.name} class="card">
                  <div>
                    <h3><Link class="cover" to={{ page: "workflow", repository, target: definition.name }}>{definition.name}</Link>{definition.type === "sensor" && <span class="badge">sensor</span>}</h3>
                    {definition.doc && <p class="doc-line">{definition.doc.trim().split("\n")[0]}</p>}
                  </div>
                  <div class="card-side">
                    <Strip runs={own.slice(0, 12)} />
                    <span class="dim num">{own.filter((run) => isLive(run.status)).length > 0 && `${own.filter((run) => isLive(run.status)).length} running`}</span>
                    <Link class="button above" to={{ page: "workflow", repository, target: definition.name, submit: true }}>Run</Link>
                  </div>
                </li>
              );
            })}
          </ul>
        </section>
      ))}
    </div>
  );
}

function RepositoryMenu({ repository, targets, environment }: { repository: string; targets: Definition[]; environment: string }) {
  const transport = useTransport();
  const { may, toast } = useSurroundings();
  const say = (error: unknown): void => toast(asError(error).message);
  const restore = (): void => {
    transport.request("POST", "/manifests", { environment, manifests: { [repository]: targets } }).then(() => toast(`${repository} is registered again.`), say);
  };
  const archive = (): void => {
    transport.request("POST", "/manifests/archive", { environment, repository })
      .then(() => toast(`${repository} is archived: nothing of it is offered until it is registered again.`, { label: "Undo", run: restore }), say);
  };
  return (
    <Menu
      title={`Actions of ${repository}`}
      items={[{ key: "archive", label: "Archive", run: archive, disabled: !may("run", environment) && "This needs the run right" }]}
    />
  );
}

/** How the last runs went, oldest first; the height is how long they took. */
function Strip({ runs }: { runs: RunSummary[] }) {
  const longest = Math.max(1, ...runs.map((run) => (run.finished_at ?? run.created_at) - run.created_at));
  return (
    <span class="strip" role="img" aria-label={runs.length ? `Last runs: ${runs.map((run) => lookOf(run.status).word).join(", ")}` : "No runs yet"}>
      {[...runs].reverse().map((run) => {
        const took = (run.finished_at ?? run.created_at) - run.created_at;
        return <span key={run.run} class={`f-${lookOf(run.status).family}`} style={{ height: `${25 + 75 * (took / longest)}%` }} title={`${run.run}: ${lookOf(run.status).word}, ${duration(took)}`} />;
      })}
    </span>
  );
}

export function WorkflowPage({ place }: { place: Place & { page: "workflow" } }) {
  const { environment, nav, may } = useSurroundings();
  const transport = useTransport();
  const args = { environment: environment ?? "default" };
  const live = useTopic<Manifests>("manifests", args);
  const target = `${place.repository}/${place.target}`;
  const runsArgs = { environment: environment ?? undefined, target };
  const runs = useTopic<Record<string, RunSummary>>("runs", runsArgs);
  const definition = live.state === "ready" ? live.data[place.repository]?.targets.find((t) => t.name === place.target) : undefined;
  const history = runs.state === "ready" ? Object.values(runs.data).filter((run) => run.target === target).sort((a, b) => b.created_at - a.created_at) : [];
  const close: Place = { page: "workflow", repository: place.repository, target: place.target };
  const mayRun = may("run", args.environment);
  return (
    <div class="page">
      <p class="crumbs"><Link to={{ page: "workflows" }}>Workflows</Link> / <span class="mono">{place.repository}</span></p>
      <div class="page-head">
        <h1>{place.target}{definition?.type === "sensor" && <span class="badge">sensor</span>}</h1>
        <span class="spacer" />
        {definition && <Button kind="primary" icon="play" disabled={!mayRun} title={mayRun ? undefined : "This needs the run right"} onClick={() => nav.go({ ...close, submit: true })}>Run</Button>}
      </div>
      {live.state === "failed" && <Problem error={live} retry={() => transport.retry("manifests", args)} />}
      {live.state === "loading" && <Loading />}
      {live.state === "ready" && !definition && <Empty title={`${target} is not registered in ${args.environment}`}><p>Runs of it stay below. Register it there with <code>coflux register {place.repository}</code>, or look at another environment.</p></Empty>}
      {definition && <Story definition={definition} />}
      <section>
        <h2>Runs <Strip runs={history.slice(0, 50)} /></h2>
        {history.length ? <RunTable runs={history.slice(0, 50)} withTarget={false} /> : <p class="dim">{runs.state === "loading" ? "Loading…" : "None yet."}</p>}
        {history.length > 50 && <Link to={{ page: "runs", target }}>All {count(history.length)} and older</Link>}
      </section>
      {place.submit && definition && mayRun && <SubmitDialog repository={place.repository} definition={definition} environment={args.environment} from={place.from ?? null} onClose={() => nav.go(close, { replace: true })} />}
    </div>
  );
}

function Story({ definition }: { definition: Definition }) {
  const options = Object.entries(definition.options ?? {});
  return (
    <section class="story">
      {definition.doc && <p class="doc">{definition.doc.trim()}</p>}
      <pre class="signature">{signature(definition)}</pre>
      {(options.length > 0 || definition.code) && (
        <Facts>
          {options.map(([name, value]) => <Fact key={name} name={name.replace(/_ms$/, "").replace(/_/g, " ")}>{typeof value === "object" ? JSON.stringify(value) : name.endsWith("_ms") ? duration(Number(value)) : String(value)}</Fact>)}
          {definition.code && <Fact name="code"><code>{definition.code.slice(0, 12)}</code></Fact>}
        </Facts>
      )}
      {definition.parameters?.length === 0 && <p class="dim"><StateIcon status="value" size={12} /> {plural(0, "parameter")}</p>}
    </section>
  );
}

function signature(definition: Definition): string {
  const parts: string[] = [];
  let isKeywordOnly = false;
  for (const p of definition.parameters ?? []) {
    if (p.kind === "args") isKeywordOnly = true;
    if (p.kind === "keyword" && !isKeywordOnly) {
      parts.push("*");
      isKeywordOnly = true;
    }
    const stars = p.kind === "args" ? "*" : p.kind === "kwargs" ? "**" : "";
    const value = p.default ? ` = ${p.default.preview ?? "…"}` : "";
    parts.push(`${stars}${p.name}${p.annotation ? `: ${p.annotation}` : ""}${value}`);
  }
  const line = `${definition.name}(${parts.join(", ")})`;
  return line.length <= 76 ? line : `${definition.name}(\n${parts.map((part) => `    ${part},\n`).join("")})`;
}
