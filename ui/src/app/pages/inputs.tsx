// Questions to people: what is open, what became of the others, and one of them to be answered.
import { useEffect } from "preact/hooks";
import { plural, shortTarget } from "../../core/format";
import { stepNumber, type InputRow } from "../../core/model";
import type { Place } from "../../core/route";
import { useRequest, useTopic, useTransport } from "../../data/hooks";
import { query, type Live } from "../../data/transport";
import { useSurroundings } from "../../view/context";
import { Status } from "../../view/icon";
import { InputCard, titleOfInput } from "../../view/inputs";
import { Link } from "../../view/link";
import { Copyable, Empty, Loading, Problem, Time } from "../../view/parts";

/** Open inputs of the environment, newest first. */
export function useOpenInputs(): Live<InputRow[]> {
  const { environment } = useSurroundings();
  const live = useTopic<Record<string, InputRow>>("inputs", { environment: environment ?? undefined });
  if (live.state !== "ready") return live as Live<InputRow[]>;
  return { state: "ready", data: Object.values(live.data).sort((a, b) => b.created_at - a.created_at) };
}

export function InputsPage({ place }: { place: Place & { page: "inputs" } }) {
  const isAll = place.state === "all";
  return (
    <div class="page">
      <div class="page-head">
        <h1>Inputs</h1>
        <span class="spacer" />
        <nav class="segments" aria-label="Which inputs">
          <Link to={{ page: "inputs" }} replace aria-current={isAll ? undefined : "true"}>Open</Link>
          <Link to={{ page: "inputs", state: "all" }} replace aria-current={isAll ? "true" : undefined}>All</Link>
        </nav>
      </div>
      {isAll ? <All /> : <Open />}
    </div>
  );
}

function Open() {
  const transport = useTransport();
  const { environment } = useSurroundings();
  const live = useOpenInputs();
  if (live.state === "failed") return <Problem title="Inputs could not be loaded" error={live} retry={() => transport.retry("inputs", { environment: environment ?? undefined })} />;
  if (live.state === "loading") return <Loading />;
  if (!live.data.length) return <None title="Nothing waits for you" />;
  // What somebody waits for comes first.
  return <InputTable rows={[...live.data.filter((row) => row.awaited), ...live.data.filter((row) => !row.awaited)]} />;
}

function All() {
  const { environment } = useSurroundings();
  const open = useOpenInputs();
  const version = open.state === "ready" ? open.data.map((row) => row.input).join() : "";
  const loaded = useRequest<InputRow[]>(`/inputs${query({ environment: environment ?? undefined, state: "all", limit: 200 })}`);
  // Asked again when what is open changes.
  useEffect(() => loaded.reload(), [version]);
  if (loaded.error) return <Problem title="Inputs could not be loaded" error={loaded.error} retry={loaded.reload} />;
  if (!loaded.data) return <Loading />;
  if (!loaded.data.length) return <None title="Nothing was asked yet" />;
  return <InputTable rows={loaded.data} />;
}

function None({ title }: { title: string }) {
  return (
    <Empty title={title}>
      <p>Running code asks people with a prompt, and goes on with the answer:</p>
      <pre class="code">{'approve = cf.Prompt("Ship {order}?", model=bool)\nif approve(order="A-17"): ...'}</pre>
    </Empty>
  );
}

export function InputTable({ rows }: { rows: InputRow[] }) {
  const { environment } = useSurroundings();
  return (
    <table class="list">
      <thead><tr><th scope="col">Question</th><th scope="col">State</th><th scope="col" class="mid">Asked by</th><th scope="col">Asked</th>{environment === null && <th scope="col" class="wide">Environment</th>}</tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.input}>
            <td class="question"><Link class="cover" to={{ page: "input", input: row.input }}>{titleOfInput(row)}</Link>{row.title && <span class="dim"> {row.message.split("\n")[0]}</span>}</td>
            <td><Status status={row.state === "open" && row.awaited ? "asking" : row.state} /></td>
            <td class="mid"><Link to={{ page: "run", run: row.run, view: "graph", step: stepNumber(row.execution) }} title={row.execution}>{shortTarget(row.target)}</Link></td>
            <td><Time at={row.created_at} /></td>
            {environment === null && <td class="wide">{row.environment}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function InputPage({ place }: { place: Place & { page: "input" } }) {
  const open = useOpenInputs();
  const others = open.state === "ready" ? open.data.filter((row) => row.input !== place.input) : [];
  const row = open.state === "ready" ? open.data.find((other) => other.input === place.input) : undefined;
  // Answered elsewhere, it leaves the topic: then it is read again.
  const version = open.state === "ready" ? (row ? `open ${row.awaited}` : "over") : undefined;
  return (
    <div class="page narrow">
      <div class="page-head"><h1>Input</h1><Copyable text={place.input} what="id" /></div>
      <InputCard key={place.input} id={place.input} version={version} />
      {others.length > 0 && <p><Link to={{ page: "inputs" }}>{plural(others.length, "other question")}</Link> {others.length === 1 ? "is" : "are"} open.</p>}
    </div>
  );
}
