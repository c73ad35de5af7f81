// Inputs: questions to people. The card in which one is answered, and the notes that lead to it.
// Belongs here: what the page and the notebook widget share. Not here: the form itself (answer), lists.
import { useEffect, useMemo, useState } from "preact/hooks";
import { plural, shortTarget } from "../core/format";
import { stepNumber, type InputRow, type InputShown } from "../core/model";
import { draftFrom, emptyDraft, errorsFrom, pathsOf, readDraft, shapeOf, type Draft, type Errors, type Shape } from "../core/schema";
import { asError, useRequest, useTransport } from "../data/hooks";
import { RequestError } from "../data/transport";
import { AnswerFields } from "./answer";
import { useSurroundings } from "./context";
import { Icon, StateIcon } from "./icon";
import { Link } from "./link";
import { Button, Dialog, Loading, Problem, Time } from "./parts";
import { Tree } from "./value";

/** What to call a question in a line. */
export const titleOfInput = (row: InputRow): string => row.title || row.message.split("\n")[0]!.slice(0, 120) || row.input;

/** One input, whole. `version` changes when it may have changed. */
export function InputCard({ id, version, onDone, withTitle = true }: { id: string; version?: string | undefined; onDone?: () => void; withTitle?: boolean }) {
  const loaded = useRequest<InputShown>(`/inputs/${id}`);
  const [own, setOwn] = useState<InputShown | null>(null);
  const [seen, setSeen] = useState(version);
  useEffect(() => {
    if (version !== seen) {
      setSeen(version);
      loaded.reload();
    }
  }, [version]);
  // What a POST answered is newer than what was read before.
  const shown = own && own.state !== "open" ? own : loaded.data;
  if (loaded.error && !shown) return <Problem title="The input could not be loaded" error={loaded.error} retry={loaded.reload} />;
  if (!shown) return <Loading />;
  return (
    <article class="input-card" aria-label={titleOfInput(shown)}>
      {withTitle && shown.title && <h2>{shown.title}</h2>}
      <p class="message"><Linked text={shown.message} /></p>
      <About input={shown} />
      {shown.state === "open" ? <Answering key={shown.input} input={shown} onAnswered={(after) => { setOwn(after); onDone?.(); }} onGone={loaded.reload} /> : <Answered input={shown} />}
    </article>
  );
}

/** Addresses in a text can be opened: what is to be decided on is often elsewhere. */
function Linked({ text }: { text: string }) {
  return <>{text.split(/(https?:\/\/[^\s<>"')\]]+)/).map((part, i) => (i % 2 ? <a key={i} href={part} target="_blank" rel="noopener noreferrer">{part}</a> : part))}</>;
}

function About({ input }: { input: InputShown }) {
  const requires = Object.entries(input.requires);
  return (
    <p class="about">
      asked <Time at={input.created_at} /> by <Link to={{ page: "run", run: input.run, view: "graph", step: stepNumber(input.execution) }} title={input.execution}>{shortTarget(input.target)}</Link> in {input.environment}
      {input.awaited && <> · <span class="awaited"><StateIcon status="asking" size={12} /> somebody waits for it</span></>}
      {requires.length > 0 && <> · for tokens with {requires.map(([key, values]) => <code key={key} class="chip">{key}{Array.isArray(values) ? `: ${values.join(", ")}` : ""}</code>)}</>}
    </p>
  );
}

interface Form {
  draft: Draft;
  /** Written as JSON: by choice, or because the value does not fit the fields. */
  json: string | null;
}

function begin(shape: Shape, input: InputShown): Form {
  const draft = input.has_initial ? draftFrom(shape, input.initial) : emptyDraft(shape);
  return draft === null ? { draft: emptyDraft(shape), json: JSON.stringify(input.initial, null, 2) } : { draft, json: null };
}

function Answering({ input, onAnswered, onGone }: { input: InputShown; onAnswered: (after: InputShown) => void; onGone: () => void }) {
  const transport = useTransport();
  const { may, toast } = useSurroundings();
  const shape = useMemo(() => shapeOf(input.schema), [input.input]);
  const [form, setForm] = useState<Form>(() => begin(shape, input));
  const [errors, setErrors] = useState<Errors>({});
  const [problem, setProblem] = useState<{ message: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const mayAnswer = may("run", input.environment);
  const send = async (what: "respond" | "dismiss", body: unknown, done: string): Promise<void> => {
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      const after = await transport.request<InputShown>("POST", `/inputs/${input.input}/${what}`, body);
      toast(done);
      onAnswered(after);
    } catch (error) {
      refused(asError(error));
    } finally {
      setBusy(false);
    }
  };
  const refused = (error: RequestError): void => {
    const found = errorsFrom(error.message);
    const known = form.json === null ? pathsOf(shape, form.draft) : ["value"];
    const placed = Object.fromEntries(Object.entries(found).filter(([path]) => known.includes(path)));
    setErrors(placed);
    // An object as a whole has no place of its own.
    const isPlaced = Object.keys(placed).length > 0 && Object.keys(placed).length === Object.keys(found).length && !(shape.kind === "object" && placed["value"] && form.json === null);
    setProblem(isPlaced ? null : error);
    if (error.refusal.code === "conflict") onGone();
  };
  const respond = (): void => {
    const read = form.json === null ? readDraft(shape, form.draft) : parse(form.json);
    if ("errors" in read) {
      setErrors(read.errors);
      return;
    }
    setErrors({});
    void send("respond", { value: read.value }, "Answered.");
  };
  const toJson = (): void => {
    const read = readDraft(shape, form.draft);
    setForm({ ...form, json: "value" in read ? JSON.stringify(read.value, null, 2) : "" });
    setErrors({});
  };
  const toFields = (): void => {
    const read = parse(form.json!);
    const draft = "errors" in read ? null : draftFrom(shape, read.value);
    if (draft === null && form.json!.trim()) setErrors({ value: "errors" in read ? read.errors["value"]! : "This does not fit the fields." });
    else {
      setForm({ draft: draft ?? form.draft, json: null });
      setErrors({});
    }
  };
  const canSwitch = shape.kind !== "json" && shape.kind !== "any";
  return (
    <form
      class="answer-form" noValidate onSubmit={(event) => { event.preventDefault(); event.stopPropagation(); respond(); }}
      onKeyDown={(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); respond(); } }}
    >
      {form.json === null ? <AnswerFields shape={shape} draft={form.draft} errors={errors} isDisabled={!mayAnswer || busy} onChange={(draft) => { setForm({ ...form, draft }); if (Object.keys(errors).length) setErrors({}); }} />
        : (
          <label class={`field${errors["value"] ? " wrong" : ""}`}><span>Answer as JSON</span>
            <textarea class="mono" rows={8} spellcheck={false} disabled={!mayAnswer || busy} value={form.json} onInput={(event) => setForm({ ...form, json: event.currentTarget.value })} />
            {errors["value"] && <p class="field-error" role="alert">{errors["value"]}</p>}
          </label>
        )}
      {Object.keys(errors).length > 0 && <p class="dim" role="status">{plural(Object.keys(errors).length, "field needs", "fields need")} another look.</p>}
      {problem && <Problem error={problem} />}
      {!mayAnswer && <p class="note">Your token may look, but not answer in {input.environment}: that needs the run right.</p>}
      <div class="answer-actions">
        <Button kind="primary" type="submit" disabled={!mayAnswer || busy}>{input.actions.respond}</Button>
        <Button disabled={!mayAnswer || busy} title="Refuse to answer; whoever waits is told so" onClick={() => void send("dismiss", {}, "Dismissed.")}>{input.actions.dismiss}</Button>
        <small class="dim">The first answer counts; it cannot be changed.</small>
        <span class="spacer" />
        {canSwitch && mayAnswer && <button type="button" class="linklike" onClick={form.json === null ? toJson : toFields}>{form.json === null ? "as JSON" : "as fields"}</button>}
      </div>
    </form>
  );
}

function parse(text: string): { value: unknown } | { errors: Errors } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { errors: { value: `Not valid JSON: ${(error as Error).message}` } };
  }
}

function Answered({ input }: { input: InputShown }) {
  const by = input.by ? ` by ${input.by}` : "";
  if (input.state === "answered") {
    return <div class="answered"><p><StateIcon status="answered" /> Answered{by} <Time at={input.ended_at} /></p><div class="value"><Tree value={input.answer} depth={0} /></div></div>;
  }
  return <p class="answered"><StateIcon status={input.state} /> {input.state === "dismissed" ? "Dismissed" : "Cancelled"}{by} <Time at={input.ended_at} />{input.cause && `: ${input.cause}`}</p>;
}

export function AnswerDialog({ row, version, onClose }: { row: InputRow; version: string; onClose: () => void }) {
  return (
    <Dialog title={row.title ?? "A question to you"} onClose={onClose} isForm={false}>
      <InputCard id={row.input} version={version} withTitle={false} onDone={onClose} />
    </Dialog>
  );
}

/** Open inputs in a few lines, each with the way to its answer. */
export function OpenInputs({ rows }: { rows: InputRow[] }) {
  const [answering, setAnswering] = useState<InputRow | null>(null);
  // A saved copy can be read, not answered.
  const isLive = useTransport().connection.value.state !== "static";
  return (
    <>
      {rows.length > 0 && (
        <div class="banner asking" role="status">
          <Icon name="inputs" />
          <ul>
            {rows.slice(0, MOST).map((row) => (
              <li key={row.input}><span class="asked">{titleOfInput(row)}{row.title && <span class="dim"> {row.message.split("\n")[0]}</span>}</span>{isLive && <Button small onClick={() => setAnswering(row)}>Answer…</Button>}</li>
            ))}
            {rows.length > MOST && <li><Link to={{ page: "inputs" }}>{plural(rows.length - MOST, "further question")}</Link></li>}
          </ul>
        </div>
      )}
      {answering && <AnswerDialog row={answering} version={rows.some((row) => row.input === answering.input) ? "open" : "over"} onClose={() => setAnswering(null)} />}
    </>
  );
}

const MOST = 5;

export const openInputs = (rows: readonly InputRow[] | undefined, step?: number): InputRow[] =>
  (rows ?? []).filter((row) => row.state === "open" && (step === undefined || stepNumber(row.execution) === step));
