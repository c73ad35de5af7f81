// Finding places by a few letters. No DOM.
import type { Place } from "./route";

export interface Candidate {
  place: Place;
  label: string;
  about: string;
  kind: "page" | "workflow" | "run" | "agent" | "environment" | "asset" | "input";
  environment?: string;
}

/** Best first: begins with the text, has it at the start of a word, has it, has its letters in order. */
export function rank(candidates: readonly Candidate[], text: string, limit: number): Candidate[] {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return candidates.slice(0, limit);
  const words = wanted.split(/\s+/);
  return candidates
    .map((candidate, i) => ({ candidate, i, score: Math.min(...words.map((word) => score(candidate, word))) }))
    .filter((found) => found.score > 0)
    .sort((a, b) => b.score - a.score || a.i - b.i)
    .slice(0, limit)
    .map((found) => found.candidate);
}

function score({ label, about }: Candidate, word: string): number {
  const text = label.toLowerCase();
  if (text.startsWith(word)) return 5;
  if (new RegExp(`[^a-z0-9]${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`).test(text)) return 4;
  if (text.includes(word)) return 3;
  if (about.toLowerCase().includes(word)) return 2;
  let at = 0;
  for (const letter of text) if (letter === word[at]) at++;
  return at === word.length && word.length > 2 ? 1 : 0;
}

const ID = /^(R[b-df-hj-np-tv-zB-DF-HJ-NP-TV-Z2-9]{6,32})(?::(\d+)(?::(\d+))?)?$/;

const INPUT = /^R[b-df-hj-np-tv-zB-DF-HJ-NP-TV-Z2-9]{6,32}\/i[1-9]\d{0,8}$/;

/** An id typed or pasted leads straight to what it names. */
export function idPlace(text: string): Place | null {
  const trimmed = text.trim();
  const input = INPUT.exec(trimmed);
  if (input) return { page: "input", input: trimmed };
  const run = ID.exec(trimmed);
  if (run) return { page: "run", run: run[1]!, view: "graph", ...(run[2] ? { step: Number(run[2]) } : {}), ...(run[3] ? { attempt: Number(run[3]) } : {}) };
  if (/^A[b-df-hj-np-tv-zB-DF-HJ-NP-TV-Z2-9]{6,32}$/.test(trimmed)) return { page: "asset", asset: trimmed };
  return null;
}
