// A run in a file of its own: the same view over a saved copy, without a server.
import { useState } from "preact/hooks";
import { iso } from "../core/format";
import type { Place, RunPlace } from "../core/route";
import { SurroundingsContext, type Surroundings } from "../view/context";
import { RunView } from "../view/run";
import "./settings";

export function Exported({ run, at }: { run: string; at: number }) {
  const [place, setPlace] = useState<RunPlace>({ page: "run", run, view: "graph" });
  const surroundings: Surroundings = {
    nav: {
      href: () => "#",
      go: (to: Place) => { if (to.page === "run" && to.run === run) setPlace(to); },
    },
    environment: null, may: () => false, toast: () => undefined, isEmbedded: true,
  };
  return (
    <SurroundingsContext.Provider value={surroundings}>
      <div class="exported">
        <main><RunView place={place} /></main>
        <footer class="dim">Coflux run {run}, saved {iso(at)}. This is a copy; nothing here is live.</footer>
      </div>
    </SurroundingsContext.Provider>
  );
}
