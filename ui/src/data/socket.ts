// Live topics over one WebSocket: snapshots, patches, reconnecting by itself, and REST by fetch.
// Belongs here: the protocol of coflux/server/project/topics.py. Identical subscriptions share one.
import { signal } from "@preact/signals";
import { applyOps, type Op } from "../core/patch";
import { RequestError, topicKey, type Args, type Connection, type Live, type Transport } from "./transport";

interface Message {
  id?: number;
  t: "snap" | "patch" | "err" | "hb";
  seq?: number;
  data?: unknown;
  ops?: Op[];
  code?: string;
  message?: string;
  now?: number;
}

interface Subscription {
  id: number;
  topic: string;
  args: Args;
  seq: number;
  live: Live<unknown>;
  listeners: Set<(live: Live<unknown>) => void>;
  /** Closes it a moment after the last listener left. */
  closing: ReturnType<typeof setTimeout> | null;
}

/** Silence after which the connection counts as lost: a heartbeat comes every 15 s. */
const SILENCE = 20_000;
/** A subscription outlives its last listener for this long, so that going back costs nothing. */
const LINGER = 5_000;

export interface SocketOptions {
  /** Address of the API, such as `/api/v1`. */
  api: string;
  project: string;
  /** Value of the header that a Jupyter server wants. */
  xsrf?: string;
  makeSocket?: (url: string) => WebSocket;
  fetch?: (url: string, init?: RequestInit) => Promise<Response>;
}

export class SocketTransport implements Transport {
  readonly connection = signal<Connection>({ state: "connecting" });
  readonly clockOffset = signal(0);
  private socket: WebSocket | null = null;
  private subscriptions = new Map<string, Subscription>();
  private byId = new Map<number, Subscription>();
  private nextId = 1;
  private attempts = 0;
  private heard = Date.now();
  private retryTimer: ReturnType<typeof setTimeout> | null = null;
  private isClosed = false;
  private watchdog: ReturnType<typeof setInterval>;

  constructor(private readonly options: SocketOptions) {
    this.watchdog = setInterval(() => this.watch(), 3000);
    this.connect();
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.watchdog);
    if (this.retryTimer) clearTimeout(this.retryTimer);
    this.socket?.close();
  }

  /** Connect at once, not only when the next attempt is due. */
  reconnect(): void {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    if (this.retryTimer) clearTimeout(this.retryTimer);
    this.connect();
  }

  private connect(): void {
    this.retryTimer = null;
    const base = new URL(`${this.options.api}/projects/${encodeURIComponent(this.options.project)}/topics`, document.baseURI);
    base.protocol = base.protocol.replace("http", "ws");
    const socket = (this.options.makeSocket ?? ((url: string) => new WebSocket(url)))(base.href);
    this.socket = socket;
    socket.onopen = () => {
      this.attempts = 0;
      this.heard = Date.now();
      this.connection.value = { state: "live" };
      for (const subscription of this.subscriptions.values()) this.sendSubscribe(subscription);
    };
    socket.onmessage = (event) => this.receive(JSON.parse(event.data as string) as Message);
    socket.onclose = () => {
      if (this.socket === socket) this.lost();
    };
  }

  private lost(): void {
    this.socket = null;
    if (this.isClosed) return;
    if (this.connection.value.state !== "lost") this.connection.value = { state: "lost", since: this.heard, isSignedOut: false };
    // A socket does not tell why it was refused.
    else void this.checkSignIn();
    const delay = Math.min(8000, 500 * 2 ** this.attempts) * (0.5 + Math.random() / 2);
    this.attempts = Math.min(this.attempts + 1, 8);
    this.retryTimer = setTimeout(() => this.connect(), delay);
  }

  private async checkSignIn(): Promise<void> {
    const response = await this.reach(`${this.options.api}/projects`, { credentials: "same-origin" }).catch(() => null);
    const connection = this.connection.value;
    if (response && connection.state === "lost") this.connection.value = { ...connection, isSignedOut: response.status === 401 };
  }

  private watch(): void {
    if (this.socket?.readyState === WebSocket.OPEN && Date.now() - this.heard > SILENCE) {
      const socket = this.socket;
      this.lost();
      socket.close();
    }
  }

  private receive(message: Message): void {
    this.heard = Date.now();
    if (message.t === "hb") {
      if (message.now !== undefined) this.clockOffset.value = message.now - Date.now();
      return;
    }
    const subscription = this.byId.get(message.id ?? -1);
    if (!subscription) return;
    if (message.t === "err") {
      this.publish(subscription, { ...keep(subscription.live), state: "failed", code: message.code ?? "invalid", message: message.message ?? "" });
      return;
    }
    if (message.t === "snap") {
      subscription.seq = message.seq ?? 0;
      this.publish(subscription, { state: "ready", data: message.data });
      return;
    }
    this.patch(subscription, message);
  }

  private patch(subscription: Subscription, message: Message): void {
    if (subscription.live.state !== "ready" || message.seq !== subscription.seq + 1) return this.resubscribe(subscription);
    try {
      const data = applyOps(subscription.live.data, message.ops ?? []);
      subscription.seq = message.seq;
      this.publish(subscription, { state: "ready", data });
    } catch {
      this.resubscribe(subscription);
    }
  }

  private publish(subscription: Subscription, live: Live<unknown>): void {
    subscription.live = live;
    for (const listener of subscription.listeners) listener(live);
  }

  /** Ask for a fresh snapshot under a new number; what still comes for the old one is ignored. */
  private resubscribe(subscription: Subscription): void {
    this.send({ op: "unsub", id: subscription.id });
    this.byId.delete(subscription.id);
    subscription.id = this.nextId++;
    this.byId.set(subscription.id, subscription);
    this.sendSubscribe(subscription);
  }

  private sendSubscribe(subscription: Subscription): void {
    this.send({ op: "sub", id: subscription.id, topic: subscription.topic, args: tidy(subscription.args) });
  }

  private send(message: unknown): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  subscribe(topic: string, args: Args, listener: (live: Live<unknown>) => void): () => void {
    const key = topicKey(topic, args);
    let subscription = this.subscriptions.get(key);
    if (!subscription) {
      subscription = { id: this.nextId++, topic, args, seq: 0, live: { state: "loading" }, listeners: new Set(), closing: null };
      this.subscriptions.set(key, subscription);
      this.byId.set(subscription.id, subscription);
      this.sendSubscribe(subscription);
    } else if (subscription.live.state === "failed") {
      subscription.live = { state: "loading" };
      this.resubscribe(subscription);
    }
    const found = subscription;
    if (found.closing) clearTimeout(found.closing);
    found.closing = null;
    found.listeners.add(listener);
    listener(found.live);
    return () => {
      found.listeners.delete(listener);
      if (!found.listeners.size && !found.closing) found.closing = setTimeout(() => this.forget(key, found), LINGER);
    };
  }

  private forget(key: string, subscription: Subscription): void {
    this.subscriptions.delete(key);
    this.byId.delete(subscription.id);
    this.send({ op: "unsub", id: subscription.id });
  }

  retry(topic: string, args: Args): void {
    const subscription = this.subscriptions.get(topicKey(topic, args));
    if (!subscription) return;
    this.publish(subscription, { state: "loading" });
    this.resubscribe(subscription);
  }

  request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    return this.ask(method, `${this.options.api}/projects/${encodeURIComponent(this.options.project)}${path}`, body, signal);
  }

  root<T>(method: string, path: string, body?: unknown): Promise<T> {
    return this.ask(method, this.options.api + path, body);
  }

  private async ask<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    const response = await this.fetch(url, { method, body: body === undefined ? undefined : JSON.stringify(body), signal });
    return (await response.json()) as T;
  }

  private reach(url: string, init: RequestInit): Promise<Response> {
    return (this.options.fetch ?? ((to, how) => fetch(to, how)))(url, init);
  }

  private async fetch(url: string, init: RequestInit): Promise<Response> {
    const headers: Record<string, string> = {};
    if (init.body) headers["Content-Type"] = "application/json";
    if (this.options.xsrf) headers["X-XSRFToken"] = this.options.xsrf;
    let response: Response;
    try {
      response = await this.reach(url, { ...init, headers, credentials: "same-origin" });
    } catch (error) {
      if ((error as Error).name === "AbortError") throw error;
      throw new RequestError(0, { code: "unavailable", message: "The server cannot be reached; nothing was changed by this request as far as is known." });
    }
    if (!response.ok) throw new RequestError(response.status, await refusal(response));
    return response;
  }

  async blob(sha256: string, limit?: number): Promise<Blob> {
    const headers: Record<string, string> = limit ? { Range: `bytes=0-${limit - 1}` } : {};
    const response = await this.reach(this.blobUrl(sha256), { headers, credentials: "same-origin" });
    if (!response.ok) throw new RequestError(response.status, await refusal(response));
    return response.blob();
  }

  blobUrl(sha256: string): string {
    return `${this.options.api}/projects/${encodeURIComponent(this.options.project)}/blobs/${sha256}`;
  }
}

async function refusal(response: Response): Promise<{ code: string; message: string; field?: string }> {
  try {
    const body = (await response.json()) as { error?: { code: string; message: string; field?: string } };
    if (body.error) return body.error;
  } catch {
    // Not ours: a proxy's page, perhaps.
  }
  return { code: "internal", message: `The server answered ${response.status} ${response.statusText}.` };
}

function keep(live: Live<unknown>): { data?: unknown } {
  return "data" in live && live.data !== undefined ? { data: live.data } : {};
}

function tidy(args: Args): Args {
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined));
}
