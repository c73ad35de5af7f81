// The form of an answer, made from its JSON schema. The page and the notebook widget show this same form.
// Belongs here: fields and their labels. Not here: what they mean (core/schema), sending.
import { useId } from "preact/hooks";
import { emptyDraft, labelOf, type Draft, type Errors, type Shape } from "../core/schema";
import { Button } from "./parts";

interface FieldProps {
  shape: Shape;
  draft: Draft;
  /** Where it is in the answer, as errors name it. */
  path: string;
  name: string;
  isRequired: boolean;
  errors: Errors;
  isDisabled: boolean;
  onChange: (draft: Draft) => void;
}

export function AnswerFields({ shape, draft, errors, isDisabled, onChange }: { shape: Shape; draft: Draft; errors: Errors; isDisabled: boolean; onChange: (draft: Draft) => void }) {
  if (shape.kind === "object") return <Fields {...{ shape, draft, errors, isDisabled, onChange }} path="value" />;
  return <Field {...{ shape, draft, errors, isDisabled, onChange }} path="value" name={shape.title || "Answer"} isRequired={!shape.isNullable} />;
}

function Fields({ shape, draft, path, errors, isDisabled, onChange }: Omit<FieldProps, "name" | "isRequired"> & { shape: Shape & { kind: "object" } }) {
  const fields = draft as Record<string, Draft>;
  return (
    <>
      {shape.fields.map((field) => (
        <Field
          key={field.name} shape={field.shape} draft={fields[field.name] ?? emptyDraft(field.shape)} path={`${path}.${field.name}`}
          name={field.shape.title || field.name.replace(/_/g, " ")} isRequired={field.isRequired} errors={errors} isDisabled={isDisabled}
          // A copy keeps what the fields do not show.
          onChange={(changed) => onChange({ ...fields, [field.name]: changed } as Draft)}
        />
      ))}
    </>
  );
}

function Field(props: FieldProps) {
  const { shape, name, isRequired, errors, path } = props;
  const id = useId();
  const error = errors[path];
  const hint = hintOf(shape, isRequired);
  const about = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  const isGroup = shape.kind === "object" || shape.kind === "list" || shape.kind === "set";
  const mark = isRequired && !shape.isNullable && !isGroup && shape.kind !== "any" && <span class="required" title="needed" aria-hidden="true">*</span>;
  const told = <>{hint && <small id={`${id}-hint`}>{hint}</small>}{error && <p id={`${id}-error`} class="field-error" role="alert">{error}</p>}</>;
  if (isGroup) {
    return (
      <fieldset class={`field group${error ? " wrong" : ""}`} aria-describedby={about} disabled={props.isDisabled}>
        <legend>{name}</legend>
        {told}
        {shape.kind === "object" ? <Fields {...props} shape={shape} /> : shape.kind === "list" ? <Items {...props} shape={shape} /> : <Choices {...props} shape={shape} />}
      </fieldset>
    );
  }
  return (
    <div class={`field${error ? " wrong" : ""}`}>
      <label for={id}>{name}{mark}</label>
      <Control {...props} id={id} about={about} isWrong={Boolean(error)} />
      {told}
    </div>
  );
}

function hintOf(shape: Shape, isRequired: boolean): string {
  const range = shape.kind === "number" && (shape.least !== null || shape.most !== null)
    ? shape.least === null ? `at most ${shape.most}` : shape.most === null ? `at least ${shape.least}` : `${shape.least} to ${shape.most}` : "";
  const fallback = shape.fallback && !isRequired ? `left empty: ${shape.fallback}` : "";
  return [shape.hint, range, fallback].filter(Boolean).join(" · ");
}

function Control({ shape, draft, isRequired, isDisabled, onChange, id, about, isWrong }: FieldProps & { id: string; about: string | undefined; isWrong: boolean }) {
  const text = typeof draft === "string" ? draft : "";
  const common = { id, disabled: isDisabled, "aria-describedby": about, "aria-invalid": isWrong ? ("true" as const) : undefined, "aria-required": isRequired && !shape.isNullable ? ("true" as const) : undefined };
  const type = (event: { currentTarget: { value: string } }): void => onChange(event.currentTarget.value);
  if (shape.kind === "boolean" || shape.kind === "choice") {
    const options = shape.kind === "boolean" ? [["true", "Yes"], ["false", "No"]] : shape.choices.map((choice, i) => [String(i), labelOf(choice)]);
    if (options.length <= 4) return <Radios {...{ options, text, id, about, isDisabled, onChange }} mayClear={!isRequired || shape.isNullable} />;
    return (
      <select {...common} value={text} onChange={type}>
        <option value="">{isRequired && !shape.isNullable ? "choose…" : "–"}</option>
        {options.map(([value, label]) => <option key={value} value={value}>{label}</option>)}
      </select>
    );
  }
  if (shape.kind === "json") return <textarea {...common} class="mono" rows={4} spellcheck={false} value={text} onInput={type} />;
  if (shape.kind === "any" || (shape.kind === "text" && shape.isLong)) return <textarea {...common} rows={3} value={text} onInput={type} />;
  if (shape.kind === "number") return <input {...common} type="text" inputMode={shape.isWhole ? "numeric" : "decimal"} value={text} autoComplete="off" onInput={type} />;
  return <input {...common} type={(shape.kind === "text" ? shape.type : "text") as "text"} value={text} autoComplete="off" onInput={type} />;
}

/** Few choices are seen at once, and pressed with one touch. */
function Radios({ options, text, id, about, isDisabled, mayClear, onChange }: { options: string[][]; text: string; id: string; about: string | undefined; isDisabled: boolean; mayClear: boolean; onChange: (draft: Draft) => void }) {
  return (
    <div class="choices" role="radiogroup" aria-describedby={about}>
      {options.map(([value, label], i) => (
        <label key={value} class="choice"><input type="radio" id={i ? undefined : id} name={id} disabled={isDisabled} checked={text === value} onChange={() => onChange(value!)} /> {label}</label>
      ))}
      {mayClear && text !== "" && !isDisabled && <button type="button" class="linklike" onClick={() => onChange("")}>none</button>}
    </div>
  );
}

function Choices({ shape, draft, isDisabled, onChange }: FieldProps & { shape: Shape & { kind: "set" } }) {
  const chosen = draft as boolean[];
  return (
    <div class="choices">
      {shape.choices.map((choice, i) => (
        <label key={i} class="choice"><input type="checkbox" disabled={isDisabled} checked={chosen[i] ?? false} onChange={(event) => onChange(shape.choices.map((_, j) => (j === i ? event.currentTarget.checked : chosen[j] ?? false)))} /> {labelOf(choice)}</label>
      ))}
    </div>
  );
}

function Items({ shape, draft, path, name, errors, isDisabled, onChange }: FieldProps & { shape: Shape & { kind: "list" } }) {
  const items = draft as Draft[];
  return (
    <>
      {items.map((item, i) => (
        <div class="item" key={i}>
          <Field shape={shape.item} draft={item} path={`${path}[${i}]`} name={`${shape.item.title || name} ${i + 1}`} isRequired errors={errors} isDisabled={isDisabled} onChange={(changed) => onChange(items.map((other, j) => (j === i ? changed : other)))} />
          {!isDisabled && <Button kind="quiet" small icon="close" label={`Remove ${name} ${i + 1}`} onClick={() => onChange(items.filter((_, j) => j !== i))} />}
        </div>
      ))}
      {!isDisabled && (shape.most === null || items.length < shape.most) && <div><Button small icon="plus" onClick={() => onChange([...items, emptyDraft(shape.item)])}>Add</Button></div>}
    </>
  );
}
