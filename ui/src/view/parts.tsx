// Small pieces that every view uses: buttons, times, problems, dialogs, empty states.
import type { ComponentChildren, JSX } from "preact";
import { Component } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ago, clock, duration, iso, moment } from "../core/format";
import { useNow } from "../data/hooks";
import type { RequestError } from "../data/transport";
import { Icon, type IconName } from "./icon";

type ButtonProps = Omit<JSX.IntrinsicElements["button"], "icon"> & {
  icon?: IconName;
  kind?: "primary" | "danger" | "plain" | "quiet";
  label?: string;
  small?: boolean;
};

/** `label` names a button that shows only an icon. */
export function Button({ icon, kind = "plain", label, small, children, class: more, ...rest }: ButtonProps) {
  return (
    <button type="button" {...rest} class={`button ${kind}${small ? " small" : ""}${children ? "" : " bare"}${more ? ` ${more as string}` : ""}`} aria-label={label} title={(rest.title as string) ?? label}>
      {icon && <Icon name={icon} size={small ? 14 : 16} />}
      {children}
    </button>
  );
}

export function CopyButton({ text, what }: { text: string; what: string }) {
  const [state, setState] = useState<"idle" | "done" | "failed">("idle");
  const copy = async (): Promise<void> => {
    setState((await copyText(text)) ? "done" : "failed");
    setTimeout(() => setState("idle"), 1500);
  };
  const label = state === "done" ? "Copied" : state === "failed" ? "Could not copy" : `Copy ${what}`;
  return <Button kind="quiet" small icon={state === "done" ? "done" : state === "failed" ? "warning" : "copy"} label={label} onClick={() => void copy()} />;
}

/** Also where the clipboard is not allowed: plain HTTP, notebooks. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** An id or a command with its copy button. */
export function Copyable({ text, what, children }: { text: string; what: string; children?: ComponentChildren }) {
  return <span class="copyable">{children ?? <code>{text}</code>}<CopyButton text={text} what={what} /></span>;
}

/** An instant: relative or as a time of day, exact on hover. */
export function Time({ at, as = "ago" }: { at: number | null | undefined; as?: "ago" | "clock" | "moment" }) {
  const now = useNow(as === "ago");
  if (at === null || at === undefined) return <span class="dim">–</span>;
  const text = as === "ago" ? ago(at, now) : as === "clock" ? clock(at, true) : moment(at);
  return <time dateTime={new Date(at).toISOString()} title={iso(at)}>{text}</time>;
}

/** A duration that ticks while there is no end. */
export function Span({ from, to }: { from: number | null | undefined; to: number | null | undefined }) {
  const isOpen = to === null || to === undefined;
  const now = useNow(isOpen && from !== null && from !== undefined);
  if (from === null || from === undefined) return <span class="dim">–</span>;
  return <span class="num">{duration((isOpen ? now : to) - from)}</span>;
}

export function Problem({ error, retry, title }: { error: RequestError | { code?: string; message: string }; retry?: (() => void) | undefined; title?: string }) {
  return (
    <div class="problem" role="alert">
      <Icon name="warning" />
      <div>
        {title && <strong>{title}</strong>}
        <p>{error.message}</p>
        {retry && <Button small onClick={retry}>Try again</Button>}
      </div>
    </div>
  );
}

/** `isPage`: it stands for the whole page, so it is its heading. */
export function Empty({ title, children, isPage }: { title: string; children?: ComponentChildren; isPage?: boolean }) {
  return <div class="empty">{isPage ? <h1 class="title">{title}</h1> : <p class="title">{title}</p>}{children}</div>;
}

export function Loading({ what = "Loading" }: { what?: string }) {
  // Appears late: most answers are there at once, and a flash is worse than nothing.
  return <div class="loading" role="status"><span class="late">{what}…</span></div>;
}

/** Keeps a failure of one panel to that panel. */
export class Boundary extends Component<{ name: string; children: ComponentChildren }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static override getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override componentDidCatch(error: Error): void {
    console.error(`${this.props.name}:`, error);
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return <Problem title={`${this.props.name} could not be shown`} error={{ message: this.state.error.message }} retry={() => this.setState({ error: null })} />;
  }
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  footer?: ComponentChildren;
  onSubmit?: () => void;
  wide?: boolean;
  /** False where the content has a form of its own. */
  isForm?: boolean;
}

/** A modal dialog; Escape closes, Ctrl-Enter submits. */
export function Dialog({ title, onClose, children, footer, onSubmit, wide, isForm = true }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) dialog.showModal();
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    onSubmit?.();
  };
  const inside = (
    <>
      <header><h2 id="dialog-title">{title}</h2><Button kind="quiet" icon="close" label="Close" onClick={onClose} /></header>
      <div class="dialog-body">{children}</div>
      {footer && <footer>{footer}</footer>}
    </>
  );
  return (
    <dialog
      ref={ref} class={`dialog${wide ? " broad" : ""}`} aria-labelledby="dialog-title"
      onCancel={(event) => { event.preventDefault(); onClose(); }}
      onClick={(event) => { if (event.target === ref.current) onClose(); }}
      onKeyDown={(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event); event.stopPropagation(); }}
    >
      {isForm ? <form onSubmit={submit} class="dialog-form">{inside}</form> : <div class="dialog-form">{inside}</div>}
    </dialog>
  );
}

/** Asks once before something that cannot be taken back. */
export function Confirm({ title, children, action, onConfirm, onClose }: { title: string; children: ComponentChildren; action: string; onConfirm: () => Promise<void>; onClose: () => void }) {
  const task = useTask(onConfirm);
  return (
    <Dialog
      title={title} onClose={onClose} onSubmit={() => void task.run().then((done) => done && onClose())}
      footer={<><Button onClick={onClose}>Keep as it is</Button><Button kind="danger" type="submit" disabled={task.isBusy}>{action}</Button></>}
    >
      {children}
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}

export interface Task {
  run: () => Promise<boolean>;
  isBusy: boolean;
  error: { message: string; field?: string | undefined } | null;
}

/** Something a button does: one at a time, with its error. */
export function useTask(action: () => Promise<void>): Task {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Task["error"]>(null);
  const busy = useRef(false);
  const run = async (): Promise<boolean> => {
    if (busy.current) return false;
    busy.current = true;
    setBusy(true);
    setError(null);
    try {
      await action();
      return true;
    } catch (problem) {
      const refusal = (problem as RequestError).refusal;
      setError({ message: (problem as Error).message, field: refusal?.field });
      return false;
    } finally {
      busy.current = false;
      setBusy(false);
    }
  };
  return { run, isBusy, error };
}

/** A menu behind a button. */
export function Menu({ label, icon = "more", items, children, title }: {
  label?: string;
  icon?: IconName;
  title?: string;
  children?: ComponentChildren;
  items: ({ label: ComponentChildren; run: () => void; disabled?: string | false; danger?: boolean; key: string } | null | false)[];
}) {
  const [isOpen, setOpen] = useState(false);
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const close = (event: Event): void => {
      if (!event.composedPath().includes(ref.current as EventTarget)) setOpen(false);
    };
    document.addEventListener("pointerdown", close);
    ref.current?.querySelector<HTMLElement>("[role=menuitem]:not(:disabled)")?.focus();
    return () => document.removeEventListener("pointerdown", close);
  }, [isOpen]);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && isOpen) {
      setOpen(false);
      event.stopPropagation();
      ref.current?.querySelector("button")?.focus();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const all = [...(ref.current?.querySelectorAll<HTMLElement>("[role=menuitem]:not(:disabled)") ?? [])];
    const root = ref.current?.getRootNode() as Document | ShadowRoot;
    const at = all.indexOf(root.activeElement as HTMLElement);
    all[(at + (event.key === "ArrowDown" ? 1 : -1) + all.length) % all.length]?.focus();
    event.preventDefault();
  };
  return (
    <div class="menu" ref={ref} onKeyDown={onKey}>
      <Button kind={children ? "plain" : "quiet"} icon={children ? undefined : icon} label={children ? undefined : label ?? title} title={title} aria-haspopup="menu" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {children}{children && <Icon name="down" size={12} />}
      </Button>
      {isOpen && (
        <div class="menu-list" role="menu">
          {items.map((item) => item && (
            <button key={item.key} type="button" role="menuitem" class={item.danger ? "danger" : ""} disabled={Boolean(item.disabled)} title={item.disabled || undefined} onClick={() => { setOpen(false); item.run(); }}>
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** A section of a panel. */
export function Section({ title, children, aside }: { title: string; children: ComponentChildren; aside?: ComponentChildren }) {
  return (
    <section class="section">
      <h3>{title}{aside && <span class="aside">{aside}</span>}</h3>
      {children}
    </section>
  );
}

/** Names and values, one below the other. */
export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return <><dt>{name}</dt><dd>{children}</dd></>;
}
