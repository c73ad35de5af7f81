// Live documents and time for components.
import { signal, type ReadonlySignal } from "@preact/signals";
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { RequestError, topicKey, type Args, type Live, type Transport } from "./transport";

export const TransportContext = createContext<Transport | null>(null);

export function useTransport(): Transport {
  const found = useContext(TransportContext);
  if (!found) throw new Error("no transport");
  return found;
}

/** A topic as it is now; none while `topic` is null. */
export function useTopic<T>(topic: string | null, args: Args = {}): Live<T> {
  const transport = useTransport();
  const key = topic ? topicKey(topic, args) : "";
  const [held, setHeld] = useState<{ key: string; live: Live<T> }>({ key, live: { state: "loading" } });
  useEffect(() => {
    if (!topic) return undefined;
    return coalesced((listener) => transport.subscribe(topic, args, listener), (live) => setHeld({ key, live: live as Live<T> }));
  }, [transport, key]);
  return held.key === key ? held.live : { state: "loading" };
}

/** Several messages in one frame of the screen become one update; a hidden page updates twice a second at most. */
function coalesced(subscribe: (listener: (live: Live<unknown>) => void) => () => void, update: (live: Live<unknown>) => void): () => void {
  let newest: Live<unknown> | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let isFirst = true;
  const flush = (): void => {
    timer = null;
    if (newest) update(newest);
    newest = null;
  };
  const stop = subscribe((live) => {
    newest = live;
    if (isFirst && live.state !== "loading") {
      isFirst = false;
      flush();
    } else if (timer === null) timer = setTimeout(flush, document.hidden ? 500 : 30);
  });
  return () => {
    stop();
    if (timer !== null) clearTimeout(timer);
  };
}

export interface Loaded<T> {
  data: T | null;
  error: RequestError | null;
  isLoading: boolean;
  reload: () => void;
}

/** The answer of a GET request; asked again when the path changes. */
export function useRequest<T>(path: string | null, root = false): Loaded<T> {
  const transport = useTransport();
  const [turn, setTurn] = useState(0);
  const [held, setHeld] = useState<{ path: string | null; data: T | null; error: RequestError | null }>({ path: null, data: null, error: null });
  useEffect(() => {
    if (path === null) return undefined;
    let isWanted = true;
    (root ? transport.root<T>("GET", path) : transport.request<T>("GET", path)).then(
      (data) => isWanted && setHeld({ path, data, error: null }),
      (error) => isWanted && setHeld({ path, data: null, error: asError(error) }),
    );
    return () => {
      isWanted = false;
    };
  }, [transport, path, turn]);
  const isOwn = held.path === path;
  return { data: isOwn ? held.data : null, error: isOwn ? held.error : null, isLoading: path !== null && !isOwn, reload: () => setTurn((n) => n + 1) };
}

export function asError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  return new RequestError(0, { code: "internal", message: error instanceof Error ? error.message : String(error) });
}

// One clock for everything that ticks; it runs only while somebody looks.
const ticking = signal(Date.now());
let watchers = 0;
let interval: ReturnType<typeof setInterval> | null = null;

/** The time in ms, four times a second while `isLive`; else as of the last look. */
export function useNow(isLive = true): number {
  const transport = useContext(TransportContext);
  useEffect(() => {
    if (!isLive) return undefined;
    if (watchers++ === 0) {
      ticking.value = Date.now();
      interval = setInterval(() => {
        if (!document.hidden) ticking.value = Date.now();
      }, 250);
    }
    return () => {
      if (--watchers === 0 && interval) clearInterval(interval);
    };
  }, [isLive]);
  const connection = transport?.connection.value;
  if (connection && (connection.state === "lost" || connection.state === "static")) return connection.since + (transport?.clockOffset.value ?? 0);
  return (isLive ? ticking.value : ticking.peek()) + (transport?.clockOffset.value ?? 0);
}

export const now: ReadonlySignal<number> = ticking;
