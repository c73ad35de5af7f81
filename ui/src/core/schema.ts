// From a JSON schema to a form, and from what was typed to an answer. No DOM.
// Belongs here: strings, numbers, booleans, choices, lists and objects of these; all else is typed as JSON.
// The server decides whether an answer fits; this finds what would surely be refused, before it is sent.

export type Schema = boolean | { [key: string]: unknown };

interface Common {
  title: string;
  hint: string;
  /** Nothing typed may mean null. */
  isNullable: boolean;
  /** The schema's own default, told while the field is empty. */
  fallback: string;
}

export type Shape = Common & (
  | { kind: "text"; isLong: boolean; type: "text" | "date" | "email" | "url"; least: number; most: number | null }
  | { kind: "number"; isWhole: boolean; least: number | null; most: number | null }
  | { kind: "boolean" }
  | { kind: "choice"; choices: unknown[] }
  | { kind: "set"; choices: unknown[] }
  | { kind: "list"; item: Shape; least: number; most: number | null }
  | { kind: "object"; fields: { name: string; isRequired: boolean; shape: Shape }[] }
  | { kind: "json" }
  /** Without a schema: JSON, or else text. */
  | { kind: "any" }
);

/** What was typed, as deep as the shape. Text is kept as it was typed; choices by their place, as text. */
export type Draft = string | Draft[] | boolean[] | { [name: string]: Draft } & { [extra]?: Record<string, unknown> };
/** What an initial object has besides its known fields. */
const extra = Symbol("extra");

/** Errors by path, such as `value.lines[0]`: as the server names them. */
export type Errors = Record<string, string>;

const DEEPEST = 8;

export function shapeOf(schema: Schema | null): Shape {
  if (schema === null) return { kind: "any", title: "", hint: "JSON, or else text; left empty, the answer is null", isNullable: true, fallback: "" };
  return shape(schema, schema, 0);
}

function shape(given: Schema, root: Schema, depth: number): Shape {
  const { schema, isNullable } = settle(given, root);
  const text = (name: string): string => (typeof schema[name] === "string" ? (schema[name] as string) : "");
  const number = (name: string): number | null => (typeof schema[name] === "number" ? (schema[name] as number) : null);
  const common: Common = {
    // Its own, not that of what it refers to: that is the name of a class.
    title: typeof given === "object" && typeof given["title"] === "string" ? given["title"] : "", hint: text("description"), isNullable,
    fallback: schema["default"] === undefined || schema["default"] === null ? "" : typeof schema["default"] === "string" ? schema["default"] : JSON.stringify(schema["default"]),
  };
  const choices = choicesOf(schema);
  if (choices) return choices.length === 1 && choices[0] === null ? { ...common, kind: "json" } : { ...common, kind: "choice", choices };
  switch (depth > DEEPEST ? null : schema["type"]) {
    case "string":
      return { ...common, kind: "text", type: textType(text("format")), isLong: text("format") === "multiline" || (number("maxLength") ?? 0) > 200, least: number("minLength") ?? 0, most: number("maxLength") };
    case "integer":
    case "number":
      return { ...common, kind: "number", isWhole: schema["type"] === "integer", least: number("minimum"), most: number("maximum") };
    case "boolean":
      return { ...common, kind: "boolean" };
    case "array":
      return listOf(schema, root, depth, common);
    case "object":
      return objectOf(schema, root, depth, common);
    default:
      return { ...common, kind: "json", hint: common.hint || "JSON" };
  }
}

const textType = (format: string): "text" | "date" | "email" | "url" =>
  format === "date" || format === "email" ? format : format === "uri" ? "url" : "text";

function listOf(schema: Record<string, unknown>, root: Schema, depth: number, common: Common): Shape {
  const items = schema["items"];
  if (schema["prefixItems"] !== undefined || !isSchema(items)) return { ...common, kind: "json", hint: common.hint || "a JSON list" };
  const item = shape(items, root, depth + 1);
  if (item.kind === "choice" && schema["uniqueItems"] === true) return { ...common, kind: "set", choices: item.choices };
  const least = typeof schema["minItems"] === "number" ? schema["minItems"] : 0;
  return { ...common, kind: "list", item, least, most: typeof schema["maxItems"] === "number" ? schema["maxItems"] : null };
}

function objectOf(schema: Record<string, unknown>, root: Schema, depth: number, common: Common): Shape {
  const properties = schema["properties"];
  if (typeof properties !== "object" || properties === null || !Object.keys(properties).length) return { ...common, kind: "json", hint: common.hint || "a JSON object" };
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const fields = Object.entries(properties).map(([name, given]) => ({
    name, isRequired: required.includes(name), shape: shape(isSchema(given) ? given : true, root, depth + 1),
  }));
  return { ...common, kind: "object", fields };
}

const isSchema = (value: unknown): value is Schema => typeof value === "boolean" || (typeof value === "object" && value !== null && !Array.isArray(value));

/** Follow `$ref`, a single `allOf`, and an `anyOf` that only adds null; what stands beside them counts too. */
function settle(given: Schema, root: Schema): { schema: Record<string, unknown>; isNullable: boolean } {
  let schema: Record<string, unknown> = typeof given === "boolean" ? {} : given;
  let isNullable = false;
  for (let turn = 0; turn < 20; turn++) {
    const { $ref, allOf, anyOf, oneOf, ...beside } = schema;
    const branches = anyOf ?? oneOf;
    if (typeof $ref === "string") {
      const found = lookUp(root, $ref);
      if (!found) return { schema: beside, isNullable };
      schema = { ...found, ...beside };
    } else if (Array.isArray(allOf) && allOf.length === 1 && isSchema(allOf[0])) {
      schema = { ...(typeof allOf[0] === "boolean" ? {} : allOf[0]), ...beside };
    } else if (Array.isArray(branches)) {
      const rest = branches.filter((branch) => !isNull(branch));
      if (rest.length !== 1 || rest.length === branches.length || !isSchema(rest[0])) return { schema: { ...beside, anyOf: branches }, isNullable };
      isNullable = true;
      schema = { ...(typeof rest[0] === "boolean" ? {} : rest[0]), ...beside };
    } else if (Array.isArray(schema["type"])) {
      const rest = schema["type"].filter((name) => name !== "null");
      isNullable ||= rest.length < schema["type"].length;
      schema = { ...schema, type: rest.length === 1 ? rest[0] : undefined };
    } else break;
  }
  return { schema, isNullable };
}

const isNull = (branch: unknown): boolean => typeof branch === "object" && branch !== null && (branch as Record<string, unknown>)["type"] === "null";

function lookUp(root: Schema, ref: string): Record<string, unknown> | null {
  if (!ref.startsWith("#")) return null;
  let at: unknown = root;
  for (const part of ref.slice(1).split("/").slice(1)) {
    const name = decodeURIComponent(part).replace(/~1/g, "/").replace(/~0/g, "~");
    at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[name] : undefined;
  }
  return typeof at === "object" && at !== null && !Array.isArray(at) ? (at as Record<string, unknown>) : null;
}

function choicesOf(schema: Record<string, unknown>): unknown[] | null {
  if (Array.isArray(schema["enum"]) && schema["enum"].length) return schema["enum"];
  if ("const" in schema) return [schema["const"]];
  const branches = schema["anyOf"];
  if (!Array.isArray(branches) || !branches.length) return null;
  const found = branches.flatMap((branch) => (typeof branch === "object" && branch !== null ? choicesOf(branch as Record<string, unknown>) ?? [undefined] : [undefined]));
  return found.includes(undefined) ? null : found;
}

// --- drafts ----------------------------------------------------------------------------------------

/** A form with nothing typed. */
export function emptyDraft(shape: Shape): Draft {
  switch (shape.kind) {
    case "object": return Object.fromEntries(shape.fields.map((field) => [field.name, emptyDraft(field.shape)]));
    case "list": return Array.from({ length: Math.min(shape.least, 50) }, () => emptyDraft(shape.item));
    case "set": return shape.choices.map(() => false);
    default: return "";
  }
}

/** A form that says `value`; null where it does not fit the fields, and must be shown as JSON. */
export function draftFrom(shape: Shape, value: unknown): Draft | null {
  if (value === undefined || (value === null && shape.isNullable)) return emptyDraft(shape);
  switch (shape.kind) {
    case "object": {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
      const draft: Record<string, Draft> & { [extra]?: Record<string, unknown> } = {};
      const rest: Record<string, unknown> = { ...value };
      for (const field of shape.fields) {
        const found = draftFrom(field.shape, (value as Record<string, unknown>)[field.name]);
        if (found === null) return null;
        draft[field.name] = found;
        delete rest[field.name];
      }
      if (Object.keys(rest).length) draft[extra] = rest;
      return draft;
    }
    case "list": {
      if (!Array.isArray(value)) return null;
      const items = value.map((item) => draftFrom(shape.item, item));
      return items.includes(null) ? null : (items as Draft[]);
    }
    case "set": {
      if (!Array.isArray(value)) return null;
      const texts = value.map((item) => JSON.stringify(item));
      const found = shape.choices.map((choice) => texts.includes(JSON.stringify(choice)));
      return found.filter(Boolean).length === value.length ? found : null;
    }
    case "choice": {
      const at = shape.choices.findIndex((choice) => JSON.stringify(choice) === JSON.stringify(value));
      return at < 0 ? null : String(at);
    }
    case "text": return typeof value === "string" ? value : null;
    case "number": return typeof value === "number" ? String(value) : null;
    case "boolean": return typeof value === "boolean" ? String(value) : null;
    case "any": return value === null ? "" : typeof value === "string" && !isJson(value) ? value : JSON.stringify(value, null, 2);
    default: return JSON.stringify(value, null, 2);
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The answer that a form says, or what is wrong with it. */
export function readDraft(shape: Shape, draft: Draft): { value: unknown } | { errors: Errors } {
  const errors: Errors = {};
  const value = read(shape, draft, "value", true, errors);
  return Object.keys(errors).length ? { errors } : { value };
}

/** undefined = leave it out. */
function read(shape: Shape, draft: Draft, path: string, isRequired: boolean, errors: Errors): unknown {
  if (shape.kind === "object") {
    if (!isRequired && isBlank(draft)) return undefined;
    const fields = draft as Record<string, Draft> & { [extra]?: Record<string, unknown> };
    const found: Record<string, unknown> = { ...fields[extra] };
    for (const field of shape.fields) {
      const value = read(field.shape, fields[field.name] ?? "", `${path}.${field.name}`, field.isRequired, errors);
      if (value !== undefined) found[field.name] = value;
    }
    return found;
  }
  if (shape.kind === "list") {
    const items = draft as Draft[];
    if (!items.length && !isRequired) return undefined;
    if (items.length < shape.least) errors[path] = `At least ${shape.least}.`;
    if (shape.most !== null && items.length > shape.most) errors[path] = `At most ${shape.most}.`;
    return items.map((item, i) => read(shape.item, item, `${path}[${i}]`, true, errors));
  }
  if (shape.kind === "set") {
    const chosen = shape.choices.filter((_, i) => (draft as boolean[])[i]);
    return chosen.length || isRequired ? chosen : undefined;
  }
  const text = draft as string;
  if (text.trim() === "") {
    if (shape.kind === "any") return null;
    if (!isRequired) return undefined;
    if (shape.isNullable) return null;
    errors[path] = shape.kind === "choice" || shape.kind === "boolean" ? "Choose one." : "This is needed.";
    return undefined;
  }
  try {
    return readText(shape, text);
  } catch (error) {
    errors[path] = (error as Error).message;
    return undefined;
  }
}

function readText(shape: Shape, text: string): unknown {
  switch (shape.kind) {
    case "text":
      if (text.length < shape.least) throw new Error(`At least ${shape.least} characters.`);
      if (shape.most !== null && text.length > shape.most) throw new Error(`At most ${shape.most} characters; these are ${text.length}.`);
      return text;
    case "number": {
      const value = Number(text);
      if (shape.isWhole && !/^\s*[-+]?\d+\s*$/.test(text)) throw new Error("A whole number, such as 7.");
      if (!Number.isFinite(value)) throw new Error("A number, such as 0.5.");
      if (shape.isWhole && !Number.isSafeInteger(value)) throw new Error("Too big for a number in JSON; up to 9007199254740991.");
      if (shape.least !== null && value < shape.least) throw new Error(`At least ${shape.least}.`);
      if (shape.most !== null && value > shape.most) throw new Error(`At most ${shape.most}.`);
      return value;
    }
    case "boolean": return text === "true";
    case "choice": return shape.choices[Number(text)];
    case "any": return isJson(text) ? JSON.parse(text) : text;
    default:
      try {
        return JSON.parse(text);
      } catch (error) {
        throw new Error(`Not valid JSON: ${(error as Error).message}`);
      }
  }
}

function isBlank(draft: Draft): boolean {
  if (typeof draft === "string") return draft.trim() === "";
  if (Array.isArray(draft)) return !draft.some((item) => item === true || (typeof item !== "boolean" && !isBlank(item)));
  return draft[extra] === undefined && Object.values(draft).every(isBlank);
}

/** The server tells `value.path: reason; value.path: reason`: each to its field. */
export function errorsFrom(message: string): Errors {
  const errors: Errors = {};
  const told = message.replace(/^[^:]*: /, "").replace(/; and \d+ more\.?$/, "").replace(/\.$/, "");
  for (const part of told.split(/; (?=value(?:[.[][^:]*)?: )/)) {
    const found = /^(value(?:[.[][^:]*)?): ([^]*)$/.exec(part);
    if (found) errors[found[1]!] ??= `${found[2]![0]!.toUpperCase()}${found[2]!.slice(1)}.`;
  }
  return errors;
}

/** Paths of all fields that are shown; an error elsewhere is told above the form. */
export function pathsOf(shape: Shape, draft: Draft, path = "value"): string[] {
  if (shape.kind === "object") {
    const fields = draft as Record<string, Draft>;
    return [path, ...shape.fields.flatMap((field) => pathsOf(field.shape, fields[field.name] ?? "", `${path}.${field.name}`))];
  }
  if (shape.kind === "list") return [path, ...(draft as Draft[]).flatMap((item, i) => pathsOf(shape.item, item, `${path}[${i}]`))];
  return [path];
}

export const labelOf = (choice: unknown): string => (typeof choice === "string" ? choice : choice === true ? "Yes" : choice === false ? "No" : JSON.stringify(choice));
