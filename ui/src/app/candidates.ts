// Everything that search finds, from the live lists.
import { shortTarget } from "../core/format";
import type { Agent, Environment, Manifests, RunSummary } from "../core/model";
import { idPlace, type Candidate } from "../core/search";
import { lookOf } from "../core/states";
import { useTopic } from "../data/hooks";
import { useSurroundings } from "../view/context";
import { titleOfInput } from "../view/inputs";
import { PAGES } from "./app";
import { useOpenInputs } from "./pages/inputs";

export function useCandidates(text: string): Candidate[] {
  const { environment } = useSurroundings();
  const args = { environment: environment ?? undefined };
  const manifests = useTopic<Manifests>("manifests", { environment: environment ?? "default" });
  const runs = useTopic<Record<string, RunSummary>>("runs", args);
  const agents = useTopic<Record<string, Agent>>("agents", args);
  const environments = useTopic<Record<string, Environment>>("environments");
  const inputs = useOpenInputs();
  const found: Candidate[] = [];
  const direct = idPlace(text);
  if (direct) found.push({ place: direct, label: text.trim(), about: `open this ${direct.page}`, kind: direct.page as "asset" | "run" | "input" });
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
  if (inputs.state === "ready") {
    for (const row of inputs.data) found.push({ place: { page: "input", input: row.input }, label: titleOfInput(row), about: `question of ${shortTarget(row.target)}, ${row.environment}`, kind: "input" });
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
