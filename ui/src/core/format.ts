// Times, durations, sizes and numbers as people read them. No DOM, no clock: `now` comes in.

/** `12 ms`, `3.4 s`, `5 min 10 s`, `2 h 5 min`, `3 d 4 h`: as the terminal says it. */
export function duration(ms: number): string {
  if (ms < 0) ms = 0;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `just now`, `5 min ago`, `in 20 s`, `3 d ago`. */
export function ago(at: number, now: number): string {
  const apart = Math.abs(now - at);
  if (apart < 5000) return "just now";
  const units: [number, string][] = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"]];
  const [size, unit] = units.find(([length]) => apart >= length)!;
  const text = `${Math.floor(apart / size)} ${unit}`;
  return at > now ? `in ${text}` : `${text} ago`;
}

const two = (n: number): string => String(n).padStart(2, "0");

/** Local time of day: `14:03:11`, with milliseconds if asked. */
export function clock(at: number, withMs = false): string {
  const d = new Date(at);
  const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return withMs ? `${text}.${String(d.getMilliseconds()).padStart(3, "0")}` : text;
}

/** Local date and time: `2026-11-23 14:03:11`. */
export function moment(at: number): string {
  const d = new Date(at);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(at)}`;
}

/** Exact, with the zone: `2026-11-23T14:03:11.042+01:00`. */
export function iso(at: number): string {
  const d = new Date(at);
  const offset = -d.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return `${day}T${clock(at, true)}${zone}`;
}

/** `512 B`, `1.2 kB`, `3.4 MB`. */
export function bytes(count: number): string {
  let rest = count;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (rest < 1000) return unit === "B" ? `${rest} B` : `${rest.toFixed(1)} ${unit}`;
    rest /= 1000;
  }
  return `${rest.toFixed(1)} TB`;
}

/** `12,345`. */
export function count(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `1 step`, `2 steps`. */
export function plural(n: number, word: string, many = `${word}s`): string {
  return `${count(n)} ${n === 1 ? word : many}`;
}

/** `name` of `repository/name`. */
export function shortTarget(target: string): string {
  return target.slice(target.lastIndexOf("/") + 1);
}

/** A qualified exception name without what says nothing: `builtins.ValueError` is `ValueError`. */
export function errorName(type: string): string {
  return type.replace(/^builtins\./, "");
}
