// Everything that search finds, from the live lists.
import { shortTarget } from "../core/format";
import type { Agent, Environment, Manifests, RunSummary } from "../core/model";
import { idPlace, type Candidate } from "../core/search";
import { lookOf } from "../core/states";
import { useTopic } from "../data/hooks";
import { useSurroundings } from "../view/context";
import { PAGES } from "./app";

export function useCandidates(text: string): Candidate[] {
  const { environment } = useSurroundings();
  const args = { environment: environment ?? undefined };
  const manifests = useTopic<Manifests>("manifests", { environment: environment ?? "default" });
  const runs = useTopic<Record<string, RunSummary>>("runs", args);
  const agents = useTopic<Record<string, Agent>>("agents", args);
  const environments = useTopic<Record<string, Environment>>("environments");
  const found: Candidate[] = [];
  const direct = idPlace(text);
  if (direct) found.push({ place: direct, label: text.trim(), about: direct.page === "asset" ? "open this asset" : "open this run", kind: direct.page === "asset" ? "asset" : "run" });
  if (manifests.state === "ready") {
    for (const [repository, manifest] of Object.entries(manifests.data)) {
      for (const target of manifest.targets) found.push({ place: { page: "workflow", repository, target: target.name }, label: target.name, about: repository, kind: "workflow" });
    }
  }
  if (runs.state === "ready") {
    for (const run of Object.values(runs.data).sort((a, b) => b.created_at - a.created_at)) {
      found.push({ place: { page: "run", run: run.run, view: "graph" }, label: run.run, about: `${shortTarget(run.target)}, ${lookOf(run.status).word}, ${run.environment}`, kind: "run" });
    }
  }
  for (const page of PAGES) found.push({ place: page.place, label: page.label, about: "page", kind: "page" });
  if (environments.state === "ready") {
    for (const e of Object.values(environments.data)) if (e.state !== "archived") found.push({ place: { page: "home" }, environment: e.name, label: e.name, about: "look from this environment", kind: "environment" });
  }
  if (agents.state === "ready") {
    for (const agent of Object.values(agents.data)) found.push({ place: { page: "agents" }, label: agent.host || agent.session, about: `agent ${agent.session}, ${agent.targets.join(" ")}`.slice(0, 90), kind: "agent" });
  }
  return found;
}
