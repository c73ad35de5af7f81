import assert from "node:assert/strict";
import test from "node:test";
import { kindOf, kindOfAll } from "../src/core/files";

test("a file is of the kind that its extension says", () => {
  assert.deepEqual(["a/b.PNG", "x.csv", "n.ipynb", "r.md", "m.tar.gz", "model.bin", "Makefile", ".csv", "a.d/b"].map(kindOf), ["image", "table", "code", "text", "archive", "file", "file", "file", "file"]);
});

test("one file is what it is, several are a folder", () => {
  assert.equal(kindOfAll(["chart.png"]), "image");
  assert.equal(kindOfAll(["a.png", "b.png"]), "folder");
  assert.equal(kindOfAll([]), "folder");
});
