// Log lines of a run, step or attempt: the last page first, earlier ones on scrolling up, new ones as they
// come. It follows only while the reader is at the end, and never moves what is being read.
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { clock, count, iso } from "../core/format";
import { append, empty, prepend, type Window } from "../core/lines";
import { attemptNumber, stepNumber, type LogLine, type Model } from "../core/model";
import type { Place } from "../core/route";
import { asError, useTransport } from "../data/hooks";
import { query, type RequestError } from "../data/transport";
import { Ansi } from "./ansi";
import { useSurroundings } from "./context";
import { Icon } from "./icon";
import { Link } from "./link";
import { Button, CopyButton, copyText, Empty, Loading, Problem } from "./parts";
import { Virtual } from "./virtual";

const ROW = 20;
const PAGE = 1000;
const LEVELS = ["debug", "stdout", "info", "stderr", "warning", "error"];

export interface LogsProps {
  /** RUN, RUN:STEP or RUN:STEP:ATTEMPT. */
  id: string;
  model: Model | null;
  isLive: boolean;
  line: number | null;
  text: string;
  level: string;
  onFilter: (filter: { q?: string; level?: string }) => void;
  placeOfStep: ((step: number) => Place) | null;
  placeOfLine: ((line: LogLine) => Place) | null;
}

interface Page {
  entries: LogLine[];
  cursor: string;
  first: string | null;
  more: boolean;
}

export function Logs(props: LogsProps) {
  const { id, model, isLive, line, text, level, onFilter } = props;
  const logs = useLogs(id, text, level, isLive, line);
  const scroller = useRef<HTMLDivElement>(null);
  const [isFollowing, setFollowing] = useState(line === null);
  const [unseen, setUnseen] = useState(0);
  const [isWrapped, setWrapped] = useState(false);
  const before = useRef<{ first: number; last: number; length: number }>({ first: 0, last: 0, length: 0 });
  const { lines, hasEarlier } = logs.window;

  // Lines put in above move the rest down; the reader must not notice.
  useLayoutEffect(() => {
    const element = scroller.current;
    const was = before.current;
    const first = lines[0]?.id ?? 0;
    const last = lines[lines.length - 1]?.id ?? 0;
    before.current = { first, last, length: lines.length };
    if (!element) return;
    if (was.length && first !== was.first) {
      const index = first < was.first ? lines.findIndex((entry) => entry.id === was.first) : -lines.length + was.length;
      if (!isFollowing) element.scrollTop += index * ROW;
    }
    if (isFollowing) element.scrollTop = element.scrollHeight;
    else if (was.last && last > was.last) setUnseen((n) => n + lines.filter((entry) => entry.id > was.last).length);
  }, [lines]);

  const toEnd = (): void => {
    setUnseen(0);
    setFollowing(true);
    if (logs.window.hasLater) logs.restart();
    requestAnimationFrame(() => { if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight; });
  };
  const onScroll = (element: HTMLDivElement): void => {
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < ROW * 1.5;
    if (isAtEnd !== isFollowing) setFollowing(isAtEnd);
    if (isAtEnd && unseen) setUnseen(0);
    if (element.scrollTop < ROW * 200 && hasEarlier) logs.earlier();
    if (isAtEnd && logs.window.hasLater) logs.later();
  };
  const spansSteps = !id.includes(":");
  return (
    <div class="logs">
      <div class="bar-tools">
        <input type="search" value={text} placeholder="Find in logs" aria-label="Find in logs" onInput={(event) => onFilter({ q: event.currentTarget.value })} />
        <select value={level} aria-label="Least level" onChange={(event) => onFilter({ level: event.currentTarget.value })}>
          <option value="">all levels</option>
          {LEVELS.slice(1).map((name) => <option key={name} value={name}>{name} and up</option>)}
        </select>
        <Button small aria-pressed={isWrapped} onClick={() => setWrapped(!isWrapped)}>Wrap</Button>
        <span class="spacer" />
        {isLive && <span class={`follow${isFollowing ? " on" : ""}`}>{isFollowing ? "following" : "paused"}</span>}
        <Button kind="quiet" small icon="copy" label="Copy the lines shown" onClick={() => void copyText(lines.map(asText).join("\n"))} />
      </div>
      {logs.error && <Problem error={logs.error} retry={logs.restart} />}
      {!lines.length && !logs.error && (logs.isLoading ? <Loading what="Loading logs" /> : (
        <Empty title={text || level ? "No line fits" : isLive ? "Nothing logged yet" : "Nothing was logged"}>
          {text || level ? <Button small onClick={() => onFilter({ q: "", level: "" })}>Clear the filter</Button> : <p>What the code prints or logs shows up here, line by line.</p>}
        </Empty>
      ))}
      {lines.length > 0 && (isWrapped
        ? <Wrapped {...props} lines={lines} spansSteps={spansSteps} scroller={scroller} onScroll={onScroll} />
        : (
          <Virtual
            count={lines.length} height={ROW} label="Log lines" class={`log-lines${spansSteps ? " spans" : ""}`} scroller={scroller} onScroll={onScroll}
            reveal={line === null ? null : Math.max(0, lines.findIndex((entry) => entry.id === line))}
            render={(index) => <Line key={lines[index]!.id} {...props} entry={lines[index]!} spansSteps={spansSteps} model={model} />}
          />
        ))}
      {(unseen > 0 || logs.window.hasLater) && !isFollowing && (
        <button type="button" class="new-lines" onClick={toEnd}><Icon name="down" size={12} /> {unseen ? `${count(unseen)} new lines` : "To the end"}</button>
      )}
    </div>
  );
}

/** Wrapped lines have heights of their own, so only the last few hundred are laid out. */
function Wrapped({ lines, scroller, onScroll, ...rest }: LogsProps & { lines: LogLine[]; spansSteps: boolean; scroller: RefObject<HTMLDivElement | null>; onScroll: (element: HTMLDivElement) => void }) {
  const shown = lines.slice(-2000);
  return (
    <div class={`virtual log-lines wrapped${rest.spansSteps ? " spans" : ""}`} ref={scroller} tabIndex={0} aria-label="Log lines" role="list" onScroll={(event) => onScroll(event.currentTarget)}>
      {shown.map((entry) => <Line key={entry.id} {...rest} entry={entry} />)}
    </div>
  );
}

function Line({ entry, line, spansSteps, placeOfStep, placeOfLine, model }: LogsProps & { entry: LogLine; spansSteps: boolean }) {
  const step = stepNumber(entry.execution);
  const name = model?.byNumber.get(step)?.name;
  const time = <span title={iso(entry.at)}>{clock(entry.at, true)}</span>;
  return (
    <div role="listitem" class={`log-line l-${entry.level}${entry.id === line ? " marked" : ""}`}>
      {placeOfLine ? <Link class="log-time" to={placeOfLine(entry)} replace>{time}</Link> : <span class="log-time">{time}</span>}
      {spansSteps && placeOfStep && (
        <Link class="log-step" to={placeOfStep(step)} title={entry.execution}>{name ?? "step"} <span class="num">{step}{attemptNumber(entry.execution) > 1 && `#${attemptNumber(entry.execution)}`}</span></Link>
      )}
      <span class="log-level">{entry.level}</span>
      <span class="log-text"><Ansi text={entry.text} />{entry.partial && <span class="dim" title="A long line, split here">⏎</span>}</span>
      <span class="log-copy"><CopyButton text={entry.text} what="line" /></span>
    </div>
  );
}

function asText(entry: LogLine): string {
  return `${iso(entry.at)} ${entry.execution} ${entry.level} ${entry.text}`;
}

/** Pages in both directions and what comes in while somebody looks. */
function useLogs(id: string, text: string, level: string, isLive: boolean, line: number | null) {
  const transport = useTransport();
  const { environment } = useSurroundings();
  const [turn, setTurn] = useState(0);
  const key = [id, environment, text, level, turn].join("\n");
  const [held, setHeld] = useState<{ key: string; window: Window; error: RequestError | null }>({ key: "", window: empty, error: null });
  const busy = useRef(false);
  const live = useRef(isLive);
  live.current = isLive;
  const latest = useRef(held);
  latest.current = held;
  const ask = (more: Record<string, string | number | undefined>, signal?: AbortSignal): Promise<Page> =>
    transport.request<Page>("GET", `/logs${query({ id, environment: environment ?? undefined, text: text || undefined, at_least: level || undefined, limit: PAGE, ...more })}`, undefined, signal);

  useEffect(() => {
    const abort = new AbortController();
    const isWanted = (): boolean => !abort.signal.aborted;
    const follow = async (from: string): Promise<void> => {
      let cursor = from;
      while (isWanted()) {
        const wasLive = live.current;
        const began = Date.now();
        const page = await ask({ after: cursor, wait_ms: wasLive ? 25_000 : undefined }, abort.signal);
        if (!isWanted()) return;
        cursor = page.cursor;
        if (page.entries.length) setHeld((old) => (old.key === key && !old.window.hasLater ? { ...old, window: append(old.window, page.entries) } : old));
        // The last lines may come just after the end.
        if (!wasLive && !page.more) return;
        if (Date.now() - began < 300) await new Promise((done) => setTimeout(done, 300));
      }
    };
    const start = async (): Promise<void> => {
      const { key: of, window: { lines, hasLater } } = latest.current;
      // The run only ended, or went on: what is there stays.
      if (of === key && lines.length && !hasLater) return follow(String(lines[lines.length - 1]!.id));
      if (line !== null && turn === 0) {
        const [back, ahead] = await Promise.all([ask({ before: String(line), limit: 300 }, abort.signal), ask({ after: String(line - 1), limit: PAGE }, abort.signal)]);
        setHeld({ key, error: null, window: { lines: [...back.entries, ...ahead.entries], hasEarlier: back.more, hasLater: ahead.more } });
        if (!ahead.more) await follow(ahead.cursor);
        return;
      }
      const page = await ask({ before: "end" }, abort.signal);
      setHeld({ key, error: null, window: { lines: page.entries, hasEarlier: page.more, hasLater: false } });
      await follow(page.entries.length ? page.cursor : "0");
    };
    const timer = setTimeout(() => {
      start().catch((error: unknown) => {
        if (isWanted()) setHeld((old) => ({ key, window: old.key === key ? old.window : empty, error: asError(error) }));
      });
    }, text ? 250 : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [key, isLive]);

  const isOwn = held.key === key;
  const window = isOwn ? held.window : empty;
  const page = (more: Record<string, string>, add: (old: Window, page: Page) => Window): void => {
    if (busy.current) return;
    busy.current = true;
    ask(more).then((found) => setHeld((old) => (old.key === key ? { ...old, window: add(old.window, found) } : old)), (error: unknown) => setHeld((old) => ({ ...old, error: asError(error) })))
      .finally(() => { busy.current = false; });
  };
  return {
    window, error: isOwn ? held.error : null, isLoading: !isOwn,
    restart: () => setTurn((n) => n + 1),
    earlier: () => page({ before: String(window.lines[0]!.id) }, (old, found) => prepend(old, found.entries, !found.more)),
    later: () => page({ after: String(window.lines[window.lines.length - 1]!.id) }, (old, found) => ({ ...append(old, found.entries), hasLater: found.more })),
  };
}
