// What kind of thing a file is, from its name. No DOM.

export type FileKind = "image" | "table" | "code" | "text" | "archive" | "folder" | "file";

const KINDS: Record<Exclude<FileKind, "folder" | "file">, string> = {
  image: "png jpg jpeg gif webp svg bmp tif tiff ico",
  table: "csv tsv parquet feather arrow xlsx xls ods",
  code: "json ipynb py js ts html css sql sh yaml yml toml xml r",
  text: "txt md rst log pdf",
  archive: "zip gz tgz tar bz2 xz zst 7z",
};
const BY_EXTENSION = new Map(Object.entries(KINDS).flatMap(([kind, list]) => list.split(" ").map((extension) => [extension, kind as FileKind])));

/** By the extension. */
export function kindOf(path: string): FileKind {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return (dot > 0 && BY_EXTENSION.get(name.slice(dot + 1).toLowerCase())) || "file";
}

/** Of an asset: what its only file is, else a folder. */
export function kindOfAll(paths: readonly string[]): FileKind {
  if (paths.length !== 1) return "folder";
  return kindOf(paths[0]!);
}
