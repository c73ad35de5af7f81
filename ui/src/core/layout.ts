// The band layout: each step a column by longest path over older steps, each parent a horizontal band
// in which its children are packed in creation order. Append-only: a column never changes, siblings
// never swap, so a growing graph stays put (UI.md, appendix).

export interface Box {
  id: string;
  col: number;
  row: number;
}

export interface Layout {
  boxes: Map<string, Box>;
  cols: number;
  rows: number;
}

/** Places nodes given in creation order; parents and dependencies that are no older node are ignored. */
export function layout(
  order: readonly string[],
  parentOf: (id: string) => string | null,
  depsOf: (id: string) => readonly string[],
): Layout {
  const n = order.length;
  const index = new Map<string, number>();
  order.forEach((id, i) => index.set(id, i));
  const col = new Int32Array(n);
  const parent = new Int32Array(n).fill(-1);
  const first = new Int32Array(n).fill(-1);
  const next = new Int32Array(n).fill(-1);
  const last = new Int32Array(n).fill(-1);
  const roots: number[] = [];
  let cols = 0;
  for (let i = 0; i < n; i++) {
    const id = order[i]!;
    const above = parentOf(id);
    const p = above === null ? -1 : index.get(above) ?? -1;
    let c = 0;
    if (p >= 0 && p < i) {
      parent[i] = p;
      c = col[p]! + 1;
      if (last[p]! >= 0) next[last[p]!] = i;
      else first[p] = i;
      last[p] = i;
    } else {
      roots.push(i);
    }
    for (const dep of depsOf(id)) {
      const j = index.get(dep);
      if (j !== undefined && j < i && col[j]! + 1 > c) c = col[j]! + 1;
    }
    col[i] = c;
    cols = Math.max(cols, c + 1);
  }
  const { relative, skylines } = pack(n, col, first, next);
  const row = new Int32Array(n);
  const boxes = new Map<string, Box>();
  let base = 0;
  let rows = 0;
  for (const root of roots) {
    row[root] = base;
    base += tallest(skylines[root]!);
  }
  for (let i = 0; i < n; i++) {
    if (parent[i]! >= 0) row[i] = row[parent[i]!]! + relative[i]!;
    rows = Math.max(rows, row[i]! + 1);
    boxes.set(order[i]!, { id: order[i]!, col: col[i]!, row: row[i]! });
  }
  return { boxes, cols, rows };
}

/** Children are younger than parents, so one reverse pass packs every band bottom-up. */
function pack(n: number, col: Int32Array, first: Int32Array, next: Int32Array) {
  const relative = new Int32Array(n);
  // skylines[i][x]: height used in column col[i] + x of the band of i.
  const skylines: (Int32Array | null)[] = new Array(n).fill(null);
  for (let i = n - 1; i >= 0; i--) {
    let end = col[i]!;
    for (let k = first[i]!; k >= 0; k = next[k]!) end = Math.max(end, col[k]! + skylines[k]!.length - 1);
    const sky = new Int32Array(end - col[i]! + 1);
    sky[0] = 1;
    for (let k = first[i]!; k >= 0; k = next[k]!) {
      const block = skylines[k]!;
      const offset = col[k]! - col[i]!;
      const height = tallest(block);
      let top = 0;
      for (let x = 0; x < block.length; x++) top = Math.max(top, sky[offset + x]!);
      relative[k] = top;
      for (let x = 0; x < block.length; x++) sky[offset + x] = top + height;
      skylines[k] = null;
    }
    skylines[i] = sky;
  }
  return { relative, skylines };
}

function tallest(sky: Int32Array): number {
  let height = 0;
  for (const value of sky) if (value > height) height = value;
  return height;
}
