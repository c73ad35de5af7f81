// The members of a stack: how they are, the failed first, and the way into the graph.
import { useMemo } from "preact/hooks";
import { count, duration, plural } from "../core/format";
import { hasFailed, ranFor, type Model, type Step } from "../core/model";
import type { Place, RunPlace } from "../core/route";
import { stackKey, UNFOLDABLE } from "../core/stack";
import { byFamily, isFailed, isUnfinished, lookOf } from "../core/states";
import { useNow } from "../data/hooks";
import { useSurroundings } from "./context";
import { Histogram } from "./graph";
import { StateIcon } from "./icon";
import { Link } from "./link";
import { Button, Empty, Loading, Problem } from "./parts";
import { usePages } from "./steps";
import { Virtual } from "./virtual";

export interface StackPanelProps {
  model: Model;
  place: RunPlace;
  stack: string;
  isExpanded: boolean;
  onToggle: (key: string) => void;
  placeOfStep: (step: Step) => Place;
}

/** Failed first, then what runs, then the rest by number. */
function rank(step: Step): number {
  if (hasFailed(step)) return 0;
  return isUnfinished(step.status) ? (step.status === "queued" ? 2 : 1) : 3;
}

export function StackPanel({ model, place, stack, isExpanded, onToggle, placeOfStep }: StackPanelProps) {
  const { nav } = useSurroundings();
  const fold = model.folds.find((found) => found.key === stack);
  const paged = usePages(fold ? model.header : null, place.only ?? null, "", stack);
  const own = useMemo(() => model.steps.filter((step) => stackKey(step) === stack), [model, stack]);
  const members = useMemo(() => [...(fold ? paged.steps : own)].sort((a, b) => rank(a) - rank(b) || a.number - b.number), [own, paged.steps, fold]);
  const counts: Record<string, number> = {};
  if (fold) Object.assign(counts, fold.counts);
  else for (const step of own) counts[step.status] = (counts[step.status] ?? 0) + 1;
  const size = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const name = fold ? fold.groupName ?? fold.name : own[0]?.groupName ?? own[0]?.name ?? "Stack";
  const now = useNow(members.some((step) => isUnfinished(step.status)));
  const { stack: _stack, ...closed } = place;
  return (
    <aside class="panel" aria-label={`Stack of ${plural(size, "step")}`}>
      <header class="panel-bar">
        <h2>{name} <span class="times">×{count(size)}</span></h2>
        {!fold && size <= UNFOLDABLE && <Button small onClick={() => onToggle(stack)}>{isExpanded ? "Stack again" : "Show each in the graph"}</Button>}
        <Button kind="quiet" icon="close" label="Close (Esc)" onClick={() => nav.go(closed)} />
      </header>
      <div class="panel-sub"><Histogram counts={counts} />{[...byFamily(counts)].map(([family, n]) => <span key={family} class="num">{count(n)} {family === "ok" ? "done" : family}</span>)}</div>
      {paged.error && <Problem error={paged.error} />}
      {paged.isLoading && <Loading />}
      {!members.length && !paged.isLoading && <Empty title="No step fits the filter" />}
      {members.length > 0 && (
        <Virtual
          count={members.length} height={32} label="Members" class="members"
          render={(index) => {
            const step = members[index]!;
            const ran = ranFor(step.latest, now);
            return (
              <div role="listitem" key={step.number} class="member">
                <StateIcon status={step.status} />
                <Link to={placeOfStep(step)} class="cover">{step.name} <span class="dim num">{step.number}</span></Link>
                <span class="clip dim">{isFailed(step.status) ? step.latest.er : lookOf(step.status).word}</span>
                <span class="num">{ran === null ? "" : duration(ran)}</span>
              </div>
            );
          }}
        />
      )}
      {paged.more && <Button onClick={paged.more}>Load more</Button>}
    </aside>
  );
}
