// The one way from views to a server, whatever lies between: a socket, a notebook's comm, or a saved copy.
// Belongs here: the interface and errors. Views know nothing beyond it.
import type { ReadonlySignal } from "@preact/signals";

export interface Refusal {
  code: string;
  message: string;
  field?: string;
}

/** What the server refused, or why it could not be asked. */
export class RequestError extends Error {
  constructor(readonly status: number, readonly refusal: Refusal) {
    super(refusal.message);
  }
}

/** Of the live connection. `since`: when it was last heard, in ms. `isSignedOut`: the server does not know the browser. */
export type Connection =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "lost"; since: number; isSignedOut: boolean }
  | { state: "static"; since: number };

export type Live<T> =
  | { state: "loading" }
  | { state: "ready"; data: T }
  | { state: "failed"; code: string; message: string; data?: T };

export interface Transport {
  readonly connection: ReadonlySignal<Connection>;
  /** Server time minus local time, in ms. */
  readonly clockOffset: ReadonlySignal<number>;
  subscribe(topic: string, args: Args, listener: (live: Live<unknown>) => void): () => void;
  /** Ask anew for a topic that failed. */
  retry(topic: string, args: Args): void;
  /** Connect at once where the connection is lost. */
  reconnect(): void;
  request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T>;
  /** A request outside the project, such as for the list of projects. */
  root<T>(method: string, path: string, body?: unknown): Promise<T>;
  blob(sha256: string, limit?: number): Promise<Blob>;
  blobUrl(sha256: string): string | null;
}

export type Args = Record<string, string | undefined>;

export function topicKey(topic: string, args: Args): string {
  const given = Object.entries(args).filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${topic} ${JSON.stringify(given)}`;
}

export function query(values: Record<string, string | number | undefined>): string {
  const parts = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return parts.length ? `?${parts.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&")}` : "";
}
