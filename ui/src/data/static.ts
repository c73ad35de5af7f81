// A saved copy of a run as a transport: exported pages, re-opened notebooks, tests. Nothing can be asked
// that was not saved; actions are refused with a sentence.
import { signal } from "@preact/signals";
import { RequestError, topicKey, type Args, type Connection, type Live, type Transport } from "./transport";

export interface Saved {
  /** When, in ms. */
  at: number;
  /** Documents by `topicKey`. */
  topics: Record<string, unknown>;
  /** Answers of GET requests by path. */
  answers: Record<string, unknown>;
  /** Small blobs, base64, by SHA-256. */
  blobs: Record<string, string>;
}

export class StaticTransport implements Transport {
  readonly connection;
  readonly clockOffset = signal(0);

  constructor(private readonly saved: Saved) {
    this.connection = signal<Connection>({ state: "static", since: saved.at });
  }

  subscribe(topic: string, args: Args, listener: (live: Live<unknown>) => void): () => void {
    const data = this.saved.topics[topicKey(topic, args)];
    listener(data === undefined
      ? { state: "failed", code: "not_found", message: "This was not saved with the page." }
      : { state: "ready", data });
    return () => undefined;
  }

  retry(): void {
    // What was not saved will not come.
  }

  reconnect(): void {
    // There is nothing to connect to.
  }

  request<T>(method: string, path: string): Promise<T> {
    const answer = method === "GET" ? this.saved.answers[path] : undefined;
    if (answer !== undefined) return Promise.resolve(answer as T);
    const message = method === "GET" ? "This was not saved with the page." : "This is a saved copy; open the run on its server to act on it.";
    return Promise.reject(new RequestError(0, { code: "unavailable", message }));
  }

  root<T>(method: string, path: string): Promise<T> {
    return this.request(method, path);
  }

  blob(sha256: string): Promise<Blob> {
    const text = this.saved.blobs[sha256];
    if (text === undefined) return Promise.reject(new RequestError(0, { code: "not_found", message: "This file was not saved with the page." }));
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return Promise.resolve(new Blob([bytes]));
  }

  blobUrl(): null {
    return null;
  }
}
