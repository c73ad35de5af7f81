import assert from "node:assert/strict";
import test from "node:test";
import { draftFrom, emptyDraft, errorsFrom, pathsOf, readDraft, shapeOf, type Draft, type Schema } from "../src/core/schema";

/** As pydantic makes it: references, an enum class, an optional field, a nested model, a list. */
const ORDER: Schema = {
  $defs: {
    Address: { properties: { street: { type: "string", title: "Street" }, zip: { anyOf: [{ type: "string" }, { type: "null" }], default: null } }, required: ["street"], type: "object", title: "Address" },
    Speed: { enum: ["slow", "fast"], type: "string" },
  },
  properties: {
    count: { type: "integer", minimum: 1, maximum: 9, title: "Count" },
    speed: { $ref: "#/$defs/Speed", default: "slow" },
    to: { $ref: "#/$defs/Address", description: "Where it goes" },
    notes: { items: { type: "string" }, type: "array" },
    gift: { type: "boolean", default: false },
    price: { type: ["number", "null"] },
    extras: { items: { enum: ["a", "b"] }, type: "array", uniqueItems: true },
    any: {},
  },
  required: ["count", "to", "price"],
  type: "object",
};

test("a schema becomes fields of the kinds that fit", () => {
  const shape = shapeOf(ORDER);
  assert.ok(shape.kind === "object");
  assert.deepEqual(shape.fields.map((field) => [field.name, field.shape.kind, field.isRequired]), [
    ["count", "number", true], ["speed", "choice", false], ["to", "object", true], ["notes", "list", false],
    ["gift", "boolean", false], ["price", "number", true], ["extras", "set", false], ["any", "json", false],
  ]);
  assert.equal(shape.fields[1]!.shape.fallback, "slow");
  assert.equal(shape.fields[2]!.shape.hint, "Where it goes");
  assert.deepEqual(shape.fields.slice(0, 3).map((field) => field.shape.title), ["Count", "", ""]);
});

test("what is left alone is left out, and what may be null is null where it is needed", () => {
  const shape = shapeOf(ORDER);
  const draft = emptyDraft(shape) as Record<string, Draft>;
  const filled = { ...draft, count: "3", to: { ...(draft["to"] as Record<string, Draft>), street: "Main" } } as Draft;
  assert.deepEqual(readDraft(shape, filled), { value: { count: 3, to: { street: "Main" }, price: null } });
});

test("what is wrong is told at its field", () => {
  const shape = shapeOf(ORDER);
  const draft = { ...(emptyDraft(shape) as object), count: "12", notes: ["x", ""], any: "{" } as unknown as Draft;
  const read = readDraft(shape, draft);
  assert.ok("errors" in read);
  assert.deepEqual(Object.keys(read.errors).sort(), ["value.any", "value.count", "value.notes[1]", "value.to.street"]);
  assert.equal(read.errors["value.count"], "At most 9.");
  assert.deepEqual(pathsOf(shape, draft).filter((path) => path.startsWith("value.notes")), ["value.notes", "value.notes[0]", "value.notes[1]"]);
});

test("an initial value is in the form and comes back as it was", () => {
  const shape = shapeOf(ORDER);
  for (const value of [
    { count: 2, speed: "fast", to: { street: "A", zip: "1" }, notes: ["n"], gift: true, price: 0.5, extras: ["b"], any: { x: [1] } },
    { count: 2, to: { street: "A" }, price: 1, unknown: 7 },
  ]) {
    const draft = draftFrom(shape, value);
    assert.ok(draft !== null);
    assert.deepEqual(readDraft(shape, draft), { value });
  }
  assert.equal(draftFrom(shape, { count: "two" }), null);
});

test("one value by itself is one field", () => {
  const cases: [Schema | null, string, unknown][] = [
    [{ type: "string" }, "12", "12"], [{ type: "integer" }, " 12 ", 12], [{ type: "number" }, "1e3", 1000], [{ type: "boolean" }, "false", false],
    [{ enum: ["yes", 1, null] }, "1", 1], [{ const: "ok" }, "0", "ok"], [{ anyOf: [{ const: 1 }, { const: 2 }] }, "1", 2],
    [null, "", null], [null, "12", 12], [null, "fine by me", "fine by me"], [true, "[1]", [1]], [{ type: "object" }, '{"a": 1}', { a: 1 }],
    [{ anyOf: [{ type: "string" }, { type: "integer" }] }, '"x"', "x"], [{ type: ["string", "null"] }, "", null],
  ];
  for (const [schema, text, value] of cases) assert.deepEqual(readDraft(shapeOf(schema), text), { value }, JSON.stringify(schema));
  assert.deepEqual(readDraft(shapeOf({ type: "boolean" }), ""), { errors: { value: "Choose one." } });
});

test("a schema that contains itself ends as JSON", () => {
  const tree: Schema = { $defs: { N: { type: "object", properties: { next: { $ref: "#/$defs/N" } } } }, $ref: "#/$defs/N" };
  assert.ok(JSON.stringify(shapeOf(tree)).includes('"json"'));
  assert.equal(shapeOf({ $ref: "#/$defs/none" }).kind, "json");
  assert.equal(shapeOf({ $defs: { a: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" }).kind, "json");
});

test("the server's words go to the fields they are about", () => {
  assert.deepEqual(errorsFrom("The answer does not fit: value.to.street: '' is too short; value.notes[0]: 1 is not of type 'string'; and 3 more."), {
    "value.to.street": "'' is too short.", "value.notes[0]": "1 is not of type 'string'.",
  });
  assert.deepEqual(errorsFrom("The answer does not fit: value: 'a' is a required property."), { value: "'a' is a required property." });
  assert.deepEqual(errorsFrom("It was answered already."), {});
});
