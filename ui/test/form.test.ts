import assert from "node:assert/strict";
import test from "node:test";
import { asCommand, asPython, entriesFrom, fieldsOf, readForm, readTags, splitWords } from "../src/core/form";
import type { Definition, Parameter } from "../src/core/model";

const define = (...parameters: Parameter[]): Definition => ({ name: "report", parameters });
const typed = (text: string, json = false) => ({ text, json });

test("a field fits its annotation", () => {
  const kinds = ["str", "int", "float", "bool", "", "list[int]", "int | None", "Optional[str]", "Literal['fast', 'slow']", "Literal[1, 2]", "typing.Optional[bool]"];
  const fields = fieldsOf(define(...kinds.map((annotation, i) => ({ name: `p${i}`, annotation }))));
  assert.deepEqual(fields.map((field) => field.kind), ["text", "integer", "number", "boolean", "any", "json", "integer", "text", "choice", "json", "boolean"]);
  assert.deepEqual(fields[8]!.choices, ["fast", "slow"]);
});

test("a field left alone is omitted, a required one is missed", () => {
  const fields = fieldsOf(define({ name: "city", annotation: "str" }, { name: "days", annotation: "int", default: { preview: "7" } }));
  assert.deepEqual(readForm(fields, { city: typed("Oslo") }), { call: { arguments: [], keyword_arguments: { city: "Oslo" } } });
  assert.deepEqual(readForm(fields, {}), { errors: { city: "This one has no default." } });
});

test("text is text even where it looks like a number", () => {
  const fields = fieldsOf(define({ name: "a", annotation: "str" }, { name: "b" }, { name: "c" }));
  assert.deepEqual(readForm(fields, { a: typed("12"), b: typed("12"), c: typed("a b") }), { call: { arguments: [], keyword_arguments: { a: "12", b: 12, c: "a b" } } });
});

test("what does not fit is said at its field", () => {
  const fields = fieldsOf(define({ name: "n", annotation: "int" }, { name: "x", annotation: "dict" }));
  const read = readForm(fields, { n: typed("7.5"), x: typed("{a: 1}") });
  assert.ok("errors" in read && read.errors["n"] && read.errors["x"]!.startsWith("Not valid JSON"));
});

test("positional-only and star arguments go by position", () => {
  const fields = fieldsOf(define({ name: "a", kind: "positional", annotation: "int" }, { name: "b", annotation: "int" }, { name: "rest", kind: "args" }, { name: "k", kind: "keyword", annotation: "int" }, { name: "more", kind: "kwargs" }));
  const entries = { a: typed("1"), b: typed("2"), rest: typed("[3, 4]"), k: typed("5"), more: typed('{"z": 6}') };
  assert.deepEqual(readForm(fields, entries), { call: { arguments: [1, 2, 3, 4], keyword_arguments: { k: 5, z: 6 } } });
  assert.ok("errors" in readForm(fields, { ...entries, rest: typed("3") }));
});

test("arguments of an earlier run fill the form, those without JSON are named", () => {
  const fields = fieldsOf(define({ name: "a", annotation: "str" }, { name: "b", annotation: "int" }, { name: "c" }, { name: "d", annotation: "str" }));
  const found = entriesFrom(fields, { a: { preview: "'x'", value: "x" }, b: { preview: "[1]", value: [1] }, c: { preview: "12", value: "12" }, d: { preview: "<Frame>" } });
  assert.deepEqual(found, { entries: { a: typed("x"), b: typed("[1]", true), c: typed('"12"') }, missing: ["d"] });
  assert.deepEqual(readForm(fields.slice(0, 3), found.entries), { call: { arguments: [], keyword_arguments: { a: "x", b: [1], c: "12" } } });
});

test("the same call in Python and in a shell", () => {
  const call = { arguments: [], keyword_arguments: { city: "São Paulo", days: 7, flag: true, id: "12", none: null } };
  assert.equal(asPython("my.flows/report", call), 'cf.connect().submit("my.flows/report", city="São Paulo", days=7, flag=True, id="12", none=None)');
  assert.equal(asCommand("my.flows/report", call, "dev"), "coflux submit --environment dev my.flows/report city='São Paulo' days=7 flag=true id='\"12\"' none=null");
});

test("tags are read as they are written for the command", () => {
  assert.deepEqual(readTags(" team:finance, region:north team:ops "), { team: ["finance", "ops"], region: ["north"] });
  assert.deepEqual(readTags(""), {});
  for (const wrong of ["team", "team:", ":x"]) assert.throws(() => readTags(wrong), /no tag/);
});

test("a command is split as a shell does", () => {
  assert.deepEqual(splitWords(`./tell.sh  --to "a b" --x='1 2' ""`), ["./tell.sh", "--to", "a b", "--x=1 2", ""]);
});
