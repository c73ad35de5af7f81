// Values as they were previewed where they were made: scalars inline, structures as a tree, links to what
// they refer to. Nothing is decoded here beyond JSON.
import { useState } from "preact/hooks";
import { bytes, count } from "../core/format";
import { attemptNumber, runOf, stepNumber, type ValueShown } from "../core/model";
import { useSurroundings } from "./context";
import { Icon } from "./icon";
import { CopyButton } from "./parts";

/** A value with its type, size and references. `isTyped`: the type stands beside it already. */
export function Value({ value, isTyped }: { value: ValueShown; isTyped?: boolean }) {
  const has = "value" in value;
  const isBig = value.size > 4096;
  return (
    <div class="value">
      {has ? <Tree value={value.value} depth={0} /> : <pre class="preview">{value.preview || <span class="dim">no preview</span>}</pre>}
      <div class="value-about">
        {!has && !isTyped && <span class="dim">{value.type}</span>}
        {isBig && <span class="dim">{bytes(value.size)}</span>}
        {value.references?.map((reference) => <Reference key={reference.kind + reference.id} kind={reference.kind} id={reference.id} />)}
        <CopyButton text={has ? JSON.stringify(value.value, null, 2) : value.preview} what="value" />
      </div>
      {value.problem && <p class="note">{value.problem}</p>}
    </div>
  );
}

/** A link to an execution or asset. */
export function Reference({ kind, id }: { kind: string; id: string }) {
  const { nav, isEmbedded } = useSurroundings();
  if (isEmbedded && kind !== "execution") return <code class="chip">{id}</code>;
  const href = kind === "asset" ? nav.href({ page: "asset", asset: id })
    : kind === "execution" ? nav.href({ page: "run", run: runOf(id), view: "graph", step: stepNumber(id), attempt: attemptNumber(id) }) : null;
  const icon = kind === "asset" ? "file" : "link";
  return href ? <a class="chip" href={href}><Icon name={icon} size={12} />{id}</a> : <code class="chip">{id}</code>;
}

const FIRST = 50;

/** A JSON value; what is long or deep opens on request. */
export function Tree({ value, depth, name }: { value: unknown; depth: number; name?: string }) {
  const isNested = typeof value === "object" && value !== null;
  const entries: [string, unknown][] = isNested ? (Array.isArray(value) ? value.map((item, i) => [String(i), item]) : Object.entries(value)) : [];
  const [isOpen, setOpen] = useState(depth === 0 && entries.length <= FIRST);
  const [shown, setShown] = useState(FIRST);
  const label = name !== undefined && <span class="key">{name}: </span>;
  if (!isNested) return <div class="leaf">{label}<Scalar value={value} /></div>;
  const isList = Array.isArray(value);
  if (!entries.length) return <div class="leaf">{label}{isList ? "[]" : "{}"}</div>;
  const flat = entries.every(([, item]) => typeof item !== "object" || item === null) && JSON.stringify(value).length < 60;
  if (flat) return <div class="leaf">{label}<span class="flat">{isList ? "[" : "{"}{entries.map(([key, item], i) => <span key={key}>{i > 0 && ", "}{!isList && <span class="key">{key}: </span>}<Scalar value={item} /></span>)}{isList ? "]" : "}"}</span></div>;
  return (
    <div class="branch">
      <button type="button" class="twist" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <Icon name={isOpen ? "down" : "right"} size={12} />{label}
        <span class="dim">{isList ? `${count(entries.length)} items` : `${count(entries.length)} keys`}</span>
      </button>
      {isOpen && (
        <div class="twigs">
          {entries.slice(0, shown).map(([key, item]) => <Tree key={key} value={item} depth={depth + 1} name={key} />)}
          {entries.length > shown && <button type="button" class="linklike" onClick={() => setShown(shown + 500)}>{count(entries.length - shown)} more</button>}
        </div>
      )}
    </div>
  );
}

const LONG = 2000;

function Scalar({ value }: { value: unknown }) {
  const [isWhole, setWhole] = useState(false);
  if (typeof value === "string") {
    const text = isWhole || value.length <= LONG ? value : value.slice(0, LONG);
    return (
      <span class="s-text">{JSON.stringify(text).length > 80 || text.includes("\n") ? <span class="block">{text}</span> : JSON.stringify(text)}
        {text.length < value.length && <button type="button" class="linklike" onClick={() => setWhole(true)}> {count(value.length - LONG)} more characters</button>}
      </span>
    );
  }
  if (value === null) return <span class="s-none">None</span>;
  if (typeof value === "boolean") return <span class="s-none">{value ? "True" : "False"}</span>;
  return <span class="s-number">{String(value)}</span>;
}
