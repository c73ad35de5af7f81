// The colours of states are told apart by people with colour-blindness, and stand out from the background.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

type RGB = [number, number, number];

const css = readFileSync("src/view/style.css", "utf8");
const FAMILIES = ["pending", "active", "ok", "reused", "failed", "stopped", "input"];
const variable = (name: string): [string, string] => {
  const found = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css);
  assert.ok(found, name);
  return [found[1]!, found[2]!];
};
const parse = (hex: string): RGB => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255) as RGB;
const linear = (c: number): number => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const luminance = (hex: string): number => {
  const [r, g, b] = parse(hex).map(linear) as RGB;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a: string, b: string): number => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p) as [number, number];
  return (x + 0.05) / (y + 0.05);
};

// Machado, Oliveira and Fernandes 2009, severity 1.
const VISIONS: Record<string, number[][]> = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

function lab(hex: string, vision: number[][]): RGB {
  const rgb = parse(hex).map(linear);
  const seen = vision.map((row) => Math.min(1, Math.max(0, row.reduce((sum, m, i) => sum + m * rgb[i]!, 0))));
  const [r, g, b] = seen as RGB;
  const f = (t: number): number => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

test("state families differ for everybody, light and dark", () => {
  for (const scheme of [0, 1]) {
    for (const [name, vision] of Object.entries(VISIONS)) {
      const colours = FAMILIES.map((family) => lab(variable(family)[scheme]!, vision));
      for (let i = 0; i < colours.length; i++) {
        for (let j = 0; j < i; j++) {
          const distance = Math.hypot(...colours[i]!.map((c, k) => c - colours[j]![k]!));
          assert.ok(distance > 15, `${FAMILIES[i]} and ${FAMILIES[j]} for ${name}, ${scheme ? "dark" : "light"}: ${distance.toFixed(1)}`);
        }
      }
    }
  }
});

test("state colours stand out from the background, text from its own", () => {
  const background = variable("bg");
  for (const scheme of [0, 1] as const) {
    for (const family of FAMILIES) assert.ok(contrast(variable(family)[scheme], background[scheme]) >= 2.9, family);
    assert.ok(contrast(variable("text")[scheme], background[scheme]) >= 10);
    assert.ok(contrast(variable("dim")[scheme], variable("bg-soft")[scheme]) >= 4.5);
    assert.ok(contrast(variable("accent")[scheme], background[scheme]) >= 4.5);
  }
});
