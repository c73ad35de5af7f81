// From a target's signature to fields, and from fields to a request. No DOM.
// A field left alone is omitted, so the target's own default counts.
import type { Definition, Parameter } from "./model";

export type FieldKind = "text" | "integer" | "number" | "boolean" | "choice" | "json" | "any";

export interface Field {
  name: string;
  parameter: Parameter;
  kind: FieldKind;
  choices: string[];
  isRequired: boolean;
  /** The default as text, if there is one. */
  placeholder: string;
  hint: string;
}

/** What the person typed; undefined = left alone. `json` = the text is JSON, whatever the field. */
export interface Entry {
  text: string;
  json: boolean;
}

export interface Call {
  arguments: unknown[];
  keyword_arguments: Record<string, unknown>;
}

export function fieldsOf(definition: Definition): Field[] {
  return (definition.parameters ?? []).map((parameter) => {
    const kind = parameter.kind ?? "normal";
    const isSpread = kind === "args" || kind === "kwargs";
    const { field, choices } = isSpread ? { field: "json" as const, choices: [] } : kindOf(parameter.annotation ?? "");
    const hasDefault = parameter.default !== undefined && parameter.default !== null;
    return {
      name: parameter.name, parameter, kind: field, choices,
      isRequired: !hasDefault && !isSpread,
      placeholder: kind === "args" ? "[]" : kind === "kwargs" ? "{}" : parameter.default?.preview ?? "",
      hint: kind === "args" ? "further positional arguments, a JSON list"
        : kind === "kwargs" ? "further named arguments, a JSON object"
          : parameter.annotation ?? "any value: JSON, or else text",
    };
  });
}

function kindOf(annotation: string): { field: FieldKind; choices: string[] } {
  const bare = annotation
    .replace(/\b(typing|t|builtins)\./g, "")
    .replace(/^Optional\[(.*)\]$/, "$1")
    .replace(/\s*\|\s*None$/, "")
    .replace(/^None\s*\|\s*/, "")
    .trim();
  const literal = /^Literal\[(.*)\]$/.exec(bare);
  if (literal) {
    const choices = [...literal[1]!.matchAll(/'([^']*)'|"([^"]*)"|([^,\s]+)/g)].map((m) => m[1] ?? m[2] ?? m[3]!);
    const isText = /^['"]/.test(literal[1]!.trim());
    if (isText) return { field: "choice", choices };
  }
  const simple: Record<string, FieldKind> = { str: "text", int: "integer", float: "number", bool: "boolean", "": "any" };
  return { field: simple[bare] ?? "json", choices: [] };
}

/** The value that a field's text means; throws a sentence for the person. */
export function readField(field: Field, entry: Entry): unknown {
  const text = entry.text;
  if (entry.json || field.kind === "json") return parseJson(text);
  switch (field.kind) {
    case "text":
    case "choice":
      return text;
    case "integer":
      if (!/^\s*[-+]?\d+\s*$/.test(text)) throw new Error("A whole number, such as 7.");
      if (!Number.isSafeInteger(Number(text))) throw new Error("Too big for a number in JSON; up to 9007199254740991.");
      return Number(text);
    case "number": {
      const value = Number(text);
      if (!text.trim() || !Number.isFinite(value)) throw new Error("A number, such as 0.5.");
      return value;
    }
    case "boolean":
      return text === "true";
    default:
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Not valid JSON: ${(error as Error).message}`);
  }
}

/** The arguments of a request, or what is wrong with each field. */
export function readForm(fields: Field[], entries: Record<string, Entry | undefined>): { call: Call } | { errors: Record<string, string> } {
  const errors: Record<string, string> = {};
  const values = new Map<string, unknown>();
  for (const field of fields) {
    const entry = entries[field.name];
    if (!entry) {
      if (field.isRequired) errors[field.name] = "This one has no default.";
      continue;
    }
    try {
      values.set(field.name, readField(field, entry));
    } catch (error) {
      errors[field.name] = (error as Error).message;
    }
  }
  const call: Call = { arguments: [], keyword_arguments: {} };
  const spread = fields.find((field) => field.parameter.kind === "args");
  const more = spread && values.get(spread.name);
  if (more !== undefined && !Array.isArray(more)) errors[spread!.name] = "A JSON list.";
  // What follows a *args value must be given by position as well.
  const isByPosition = Array.isArray(more) && more.length > 0;
  let gap: string | null = null;
  for (const field of fields) {
    const kind = field.parameter.kind ?? "normal";
    const isGiven = values.has(field.name);
    if (kind === "args") call.arguments.push(...(Array.isArray(more) ? more : []));
    else if (kind === "kwargs") mergeKeywords(call, values.get(field.name), field.name, errors);
    else if (kind === "positional" || (isByPosition && kind === "normal")) {
      if (!isGiven) gap ??= field.name;
      else if (gap) errors[gap] = `Needed, because ${field.name} after it is given by position.`;
      else call.arguments.push(values.get(field.name));
      if (!isGiven && isByPosition) errors[field.name] = "Needed, because further positional arguments are given.";
    } else if (isGiven) call.keyword_arguments[field.name] = values.get(field.name);
  }
  return Object.keys(errors).length ? { errors } : { call };
}

function mergeKeywords(call: Call, value: unknown, name: string, errors: Record<string, string>): void {
  if (value === undefined) return;
  if (typeof value !== "object" || value === null || Array.isArray(value)) errors[name] = "A JSON object.";
  else Object.assign(call.keyword_arguments, value);
}

/** Entries that reproduce earlier arguments; those without a JSON form are left out and named. */
export function entriesFrom(fields: Field[], values: Record<string, { value?: unknown; preview: string }>): { entries: Record<string, Entry>; missing: string[] } {
  const entries: Record<string, Entry> = {};
  const missing: string[] = [];
  for (const field of fields) {
    const shown = values[field.name];
    if (!shown) continue;
    if (!("value" in shown)) {
      missing.push(field.name);
      continue;
    }
    const isPlain = typeof shown.value === "string" && (field.kind === "text" || field.kind === "choice");
    const fits = typeof shown.value === "number" ? ["integer", "number"].includes(field.kind) : typeof shown.value === "boolean" && field.kind === "boolean";
    entries[field.name] = { text: isPlain ? (shown.value as string) : JSON.stringify(shown.value), json: !isPlain && !fits && field.kind !== "json" && field.kind !== "any" };
  }
  return { entries, missing };
}

/** The same call for a shell. */
export function asCommand(target: string, call: Call, environment: string): string {
  const words = [...call.arguments.map((value) => shellArgument(value)),
    ...Object.entries(call.keyword_arguments).map(([name, value]) => `${name}=${shellArgument(value)}`)];
  const env = environment === "default" ? [] : ["--environment", environment];
  return ["coflux submit", ...env, target, ...words].join(" ");
}

function shellArgument(value: unknown): string {
  const json = JSON.stringify(value);
  let text = json;
  if (typeof value === "string") {
    // Text that is JSON by itself must be quoted as JSON, or it would be taken as that.
    let isJson = true;
    try {
      JSON.parse(value);
    } catch {
      isJson = false;
    }
    text = isJson ? json : value;
  }
  return /^[\w@%+:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`;
}

/** The same call in Python. */
export function asPython(target: string, call: Call): string {
  const parts = [JSON.stringify(target), ...call.arguments.map(pythonLiteral),
    ...Object.entries(call.keyword_arguments).map(([name, value]) => `${name}=${pythonLiteral(value)}`)];
  return `cf.connect().submit(${parts.join(", ")})`;
}

export function pythonLiteral(value: unknown): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value as object).map(([k, v]) => `${JSON.stringify(k)}: ${pythonLiteral(v)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** `key:value, key:value` as tags; a key may come again with another value. Throws a sentence for the person. */
export function readTags(text: string): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const colon = part.indexOf(":");
    if (colon < 1 || colon === part.length - 1) throw new Error(`${part} is no tag; write key:value, such as team:finance.`);
    (found[part.slice(0, colon)] ??= []).push(part.slice(colon + 1));
  }
  return found;
}

/** A command as words, as a shell takes them: quotes keep what is between them together. */
export function splitWords(text: string): string[] {
  return [...text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) => word.replace(/"([^"]*)"|'([^']*)'/g, (_, a: string | undefined, b: string | undefined) => a ?? b ?? ""));
}
