// The dialog that starts a run: one field for each parameter, what is left alone keeps its default.
import { useEffect, useMemo, useState } from "preact/hooks";
import { asCommand, asPython, entriesFrom, fieldsOf, readForm, type Entry, type Field } from "../core/form";
import type { Definition, Environment, StepShown } from "../core/model";
import { asError, useTopic, useTransport } from "../data/hooks";
import { RequestError } from "../data/transport";
import { useSurroundings } from "../view/context";
import { Button, Copyable, Dialog, Problem, useTask } from "../view/parts";

export interface SubmitProps {
  repository: string;
  definition: Definition;
  environment: string;
  /** A run whose arguments to begin with. */
  from: string | null;
  onClose: () => void;
}

/** Made once a dialog, so that a double click starts one run. */
const newKey = (): string => (crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`);

export function SubmitDialog({ repository, definition, environment: preset, from, onClose }: SubmitProps) {
  const transport = useTransport();
  const { nav, may, toast } = useSurroundings();
  const target = `${repository}/${definition.name}`;
  const fields = useMemo(() => fieldsOf(definition), [definition]);
  const [entries, setEntries] = useState<Record<string, Entry | undefined>>({});
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [environment, setEnvironment] = useState(preset);
  const [delay, setDelay] = useState("");
  const [note, setNote] = useState<string | null>(null);
  const [key] = useState(newKey);
  const environments = useTopic<Record<string, Environment>>("environments");
  const allowed = environments.state === "ready" ? Object.values(environments.data).filter((e) => e.state !== "archived" && may("run", e.name)) : [];

  useEffect(() => {
    if (!from) return;
    transport.request<StepShown>("GET", `/steps/${from}:1`).then((step) => {
      const found = entriesFrom(fields, step.values);
      setEntries(found.entries);
      setNote(found.missing.length ? `Arguments of ${from}; ${found.missing.join(", ")} cannot be written as JSON and must be given anew.` : `Arguments of ${from}.`);
    }, (error: unknown) => setNote(`The arguments of ${from} could not be read: ${asError(error).message}`));
  }, [from]);

  const read = readForm(fields, entries);
  const call = "call" in read ? read.call : null;
  const task = useTask(async () => {
    if ("errors" in read) {
      setErrors(read.errors);
      throw new Error("Some arguments need another look.");
    }
    setErrors({});
    const seconds = delay.trim() ? Number(delay) : 0;
    if (!Number.isFinite(seconds) || seconds < 0) throw new Error("The delay is a number of seconds.");
    try {
      const done = await transport.request<{ run: string }>("POST", "/runs", {
        target, environment, idempotency_key: key, arguments: read.call.arguments, keyword_arguments: read.call.keyword_arguments,
        options: seconds ? { delay_ms: Math.round(seconds * 1000) } : {},
      });
      nav.go({ page: "run", run: done.run, view: "graph" }, { environment: preset === environment ? undefined : environment });
      toast(`${done.run} is submitted.`);
    } catch (error) {
      if (error instanceof RequestError && error.refusal.field) setErrors(placeError(fields, error.refusal.field, error.message));
      throw error;
    }
  });
  const change = (name: string, entry: Entry | undefined): void => {
    setEntries((old) => ({ ...old, [name]: entry }));
    setErrors(({ [name]: _gone, ...rest }) => rest);
  };
  return (
    <Dialog
      wide title={`Run ${definition.name}`} onClose={onClose} onSubmit={() => void task.run()}
      footer={<><span class="dim hint">Ctrl Enter</span><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" icon="play" disabled={task.isBusy}>Run in {environment}</Button></>}
    >
      {definition.doc && <p class="doc-line">{definition.doc.trim().split("\n\n")[0]}</p>}
      {note && <p class="note">{note}</p>}
      {fields.map((field, i) => <Input key={field.name} field={field} entry={entries[field.name]} error={errors[field.name]} onChange={(entry) => change(field.name, entry)} isFirst={i === 0} />)}
      {!fields.length && <p class="dim">It takes no arguments.</p>}
      <details class="more-options">
        <summary>Where and when</summary>
        <label class="field"><span>Environment</span>
          <select value={environment} onChange={(event) => setEnvironment(event.currentTarget.value)}>
            {!allowed.some((e) => e.name === environment) && <option value={environment}>{environment}</option>}
            {allowed.map((e) => <option key={e.id} value={e.name}>{e.name}{e.state === "paused" ? " (paused)" : ""}</option>)}
          </select>
        </label>
        <label class="field"><span>Delay in seconds</span><input type="text" inputMode="decimal" value={delay} placeholder="0" onInput={(event) => setDelay(event.currentTarget.value)} /></label>
      </details>
      {call && (
        <details class="more-options">
          <summary>The same in Python and in a shell</summary>
          <Copyable text={asPython(target, call)} what="Python call"><pre class="code">{asPython(target, call)}</pre></Copyable>
          <Copyable text={asCommand(target, call, environment)} what="command"><pre class="code">{asCommand(target, call, environment)}</pre></Copyable>
        </details>
      )}
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}

/** The server names a field by its path; the last part that is a parameter is at fault. */
function placeError(fields: Field[], path: string, message: string): Record<string, string> {
  const named = path.split(/[.[\]]+/).reverse().find((part) => fields.some((field) => field.name === part));
  return named ? { [named]: message } : {};
}

export function Input({ field, entry, error, onChange, isFirst }: { field: Field; entry: Entry | undefined; error: string | undefined; onChange: (entry: Entry | undefined) => void; isFirst: boolean }) {
  const id = `field-${field.name}`;
  const isJson = field.kind === "json" || (entry?.json ?? false);
  const describedBy = `${id}-hint${error ? ` ${id}-error` : ""}`;
  const common = { id, "aria-describedby": describedBy, "aria-invalid": error ? ("true" as const) : undefined, autoFocus: isFirst };
  const type = (text: string): void => onChange({ text, json: entry?.json ?? false });
  const defaultLabel = field.isRequired ? "choose…" : `default: ${field.placeholder}`;
  const canSwitch = field.kind !== "json" && field.kind !== "any";
  return (
    <div class={`field${error ? " wrong" : ""}`}>
      <div class="field-head">
        <label for={id}><code>{field.name}</code>{field.isRequired && <span class="required" title="required">*</span>}</label>
        <span id={`${id}-hint`} class="dim hint">{field.hint}</span>
        <span class="spacer" />
        {entry && !field.isRequired && <button type="button" class="linklike" onClick={() => onChange(undefined)}>use the default</button>}
        {canSwitch && <button type="button" class="linklike" aria-pressed={isJson} onClick={() => onChange({ text: isJson || !entry ? entry?.text ?? "" : JSON.stringify(entry.text), json: !isJson })}>{isJson ? "plain" : "JSON"}</button>}
      </div>
      {isJson ? <textarea {...common} class="mono" rows={3} spellcheck={false} value={entry?.text ?? ""} placeholder={field.placeholder} onInput={(event) => type(event.currentTarget.value)} />
        : field.kind === "boolean" || field.kind === "choice" ? (
          <select {...common} value={entry?.text ?? ""} onChange={(event) => (event.currentTarget.value === "" ? onChange(undefined) : type(event.currentTarget.value))}>
            <option value="">{defaultLabel}</option>
            {(field.kind === "boolean" ? ["true", "false"] : field.choices).map((choice) => <option key={choice} value={choice}>{field.kind === "boolean" ? (choice === "true" ? "True" : "False") : choice}</option>)}
          </select>
        )
          : <input {...common} type="text" inputMode={field.kind === "integer" ? "numeric" : field.kind === "number" ? "decimal" : undefined} value={entry?.text ?? ""} placeholder={field.placeholder} autoComplete="off" onInput={(event) => (event.currentTarget.value === "" && field.kind !== "text" && field.kind !== "any" ? onChange(undefined) : type(event.currentTarget.value))} />}
      {error && <p id={`${id}-error`} class="field-error">{error}</p>}
    </div>
  );
}
