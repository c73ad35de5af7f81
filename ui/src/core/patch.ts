// Patches of live documents, applied with structural sharing: what did not change stays identical,
// so that views compare by identity. A patch that does not fit is an error; the caller asks anew.

export type Json = unknown;
export type Op = ["set", (string | number)[], Json] | ["del", (string | number)[]];

type Holder = Record<string | number, Json>;

export function applyOps(document: Json, ops: readonly Op[]): Json {
  const copied = new Set<object>();
  let root = document;
  const own = (value: Json): Holder => {
    if (typeof value !== "object" || value === null) throw new Error("patch leads into something that is no object");
    if (copied.has(value)) return value as Holder;
    const copy = (Array.isArray(value) ? [...value] : { ...value }) as Holder;
    copied.add(copy);
    return copy;
  };
  for (const op of ops) {
    const path = op[1];
    const last = path[path.length - 1];
    if (last === undefined) {
      if (op[0] !== "set") throw new Error("patch deletes the whole");
      root = op[2];
      continue;
    }
    let at = own(root);
    root = at;
    for (const key of path.slice(0, -1)) {
      if (!(key in at)) throw new Error(`patch leads nowhere: ${path.join(".")}`);
      at = at[key] = own(at[key]);
    }
    if (op[0] === "set") at[last] = op[2];
    else delete at[last];
  }
  return root;
}
