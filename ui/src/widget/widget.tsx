// The notebook widget (anywidget): the run view in a shadow root, fed by the server the page comes from, or
// by the copy that the notebook keeps. State lives on the server; this is a view.
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { TransportContext } from "../data/hooks";
import { SocketTransport } from "../data/socket";
import { StaticTransport, type Saved } from "../data/static";
import type { Transport } from "../data/transport";
import { may as mayWith } from "../core/environments";
import { formatAddress, type Place, type RunPlace } from "../core/route";
import { SurroundingsContext, type Surroundings } from "../view/context";
import { RunView } from "../view/run";
import { throughKernel, type CommModel } from "./comm";
import { reachable, type Server } from "./server";
import style from "../view/style.css?text";

interface Model {
  get(name: "run"): string;
  get(name: "environment"): string | null;
  get(name: "server"): Server | null;
  get(name: "saved"): Saved | null;
  on(name: string, callback: () => void): void;
  off(name: string, callback: () => void): void;
  /** Only where there is a kernel behind it. */
  send?: unknown;
}

function Widget({ model }: { model: Model }) {
  const run = model.get("run");
  const given = model.get("server");
  const near = useMemo(() => reachable(given), [model]);
  // Through the kernel the server is asked by its own paths; its pages are still where they are.
  const isFar = !near && !!given && !!model.send;
  const server = near ?? (isFar ? { ...given!, api: "/api/v1" } : null);
  const saved = model.get("saved");
  const [place, setPlace] = useState<RunPlace>({ page: "run", run, view: "graph" });
  const [transport, setTransport] = useState<Transport | null>(() => (saved ? new StaticTransport(saved) : null));
  useEffect(() => {
    if (!server) return undefined;
    const way = isFar ? throughKernel(model as Model & CommModel) : null;
    const socket = new SocketTransport({ ...server, ...way });
    // The saved copy stays until the server answers.
    const stop = socket.connection.subscribe((connection) => {
      if (connection.state === "live" || !saved) setTransport(socket);
    });
    return () => {
      stop();
      socket.close();
      way?.close();
    };
  }, [server?.api, server?.project]);
  if (!transport) return <p class="loading">No server to ask, and nothing saved.</p>;
  const environment = model.get("environment");
  const surroundings: Surroundings = {
    nav: {
      href: (to: Place) => (server ? server.base + formatAddress({ place: to, environment, project: server.project === "default" ? null : server.project }) : "#"),
      go: (to: Place) => {
        if (to.page === "run" && to.run === run) setPlace(to);
        else if (server) window.open(surroundings.nav.href(to), "_blank");
      },
    },
    environment, toast: () => undefined, isEmbedded: true,
    may: (right, where) => transport instanceof SocketTransport && mayWith(server?.scopes ?? [], right, where),
  };
  return (
    <TransportContext.Provider value={transport}>
      <SurroundingsContext.Provider value={surroundings}><RunView place={place} /></SurroundingsContext.Provider>
    </TransportContext.Provider>
  );
}

/** Light or dark as the notebook is, followed while it changes; null = as the system. */
function watchTheme(host: HTMLElement): () => void {
  const read = (): void => {
    const body = document.body;
    const html = document.documentElement;
    const lab = body.dataset["jpThemeLight"];
    const isDark = lab !== undefined ? lab === "false" : body.classList.contains("vscode-dark") || html.getAttribute("theme") === "dark" || html.classList.contains("dark") ? true
      : body.classList.contains("vscode-light") || html.getAttribute("theme") === "light" ? false : null;
    if (isDark === null) delete host.dataset["theme"];
    else host.dataset["theme"] = isDark ? "dark" : "light";
  };
  read();
  const observer = new MutationObserver(read);
  for (const element of [document.body, document.documentElement]) observer.observe(element, { attributes: true });
  return () => observer.disconnect();
}

const HEIGHT = "coflux.widget.height";

export default {
  render({ model, el }: { model: Model; el: HTMLElement }) {
    const host = document.createElement("div");
    // JupyterLab's shortcuts would otherwise act on the notebook.
    host.dataset["lmSuppressShortcuts"] = "true";
    let height = "420px";
    try {
      height = localStorage.getItem(HEIGHT) ?? height;
    } catch {
      // The default, then.
    }
    host.style.cssText = `display:block;height:${height};resize:vertical;overflow:hidden`;
    el.append(host);
    const shadow = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style.replace(/:root(\[[^\]]*\])?/g, (_, theme: string | undefined) => (theme ? `:host(${theme})` : ":host")));
    shadow.adoptedStyleSheets = [sheet];
    const root = document.createElement("div");
    root.className = "widget";
    shadow.append(root);
    const unwatch = watchTheme(host);
    const sizes = new ResizeObserver(() => {
      try {
        if (host.style.height !== height) localStorage.setItem(HEIGHT, host.style.height);
      } catch {
        // Not remembered, then.
      }
    });
    sizes.observe(host);
    const stopKeys = (event: Event): void => event.stopPropagation();
    host.addEventListener("keydown", stopKeys);
    render(<Widget model={model} />, root);
    return () => {
      unwatch();
      sizes.disconnect();
      host.removeEventListener("keydown", stopKeys);
      render(null, root);
    };
  },
};
