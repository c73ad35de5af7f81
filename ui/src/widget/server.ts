// Where the widget's server is, seen from the browser. Belongs here: what only the page around the notebook
// knows (its Jupyter server's address and cookie). Does not belong here: talking to the server.
import type { Scope } from "../core/environments";

export interface Server {
  api: string;
  base: string;
  project: string;
  xsrf?: string;
  scopes?: Scope[];
  /** It is the extension of the Jupyter server that also serves the notebook, if this page is one of its. */
  jupyter?: boolean;
}

/** The server as this page reaches it; null = not at all, other than through the kernel. */
export function reachable(server: Server | null): Server | null {
  if (!server?.jupyter) return server;
  const config = document.getElementById("jupyter-config-data");
  if (!config) return null;
  const { baseUrl } = JSON.parse(config.textContent ?? "{}") as { baseUrl?: string };
  const base = `${(baseUrl ?? "/").replace(/\/*$/, "/")}coflux/`;
  // A page of another Jupyter server may show a notebook of this kernel's.
  if (new URL(server.base, document.baseURI).pathname !== new URL(base, document.baseURI).pathname) return null;
  // As JupyterLab does; of two cookies of this name the one with the longer path comes first.
  const xsrf = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1];
  return { ...server, base, api: `${base}api/v1`, xsrf };
}
