// What the server tells the page: where it is, who looks, what they may.
import type { Scope } from "../core/environments";

export interface Config {
  /** Path under which everything lies, such as `/` or `/user/x/coflux/`. */
  base: string;
  api: string;
  version: string;
  user: string;
  project: string;
  scopes: Scope[];
  xsrf?: string;
}

export function readConfig(): Config {
  const element = document.getElementById("coflux-config");
  const found = JSON.parse(element?.textContent ?? "{}") as Partial<Config>;
  return {
    base: found.base ?? "/", api: found.api ?? "/api/v1", version: found.version ?? "", user: found.user ?? "",
    project: found.project ?? "default", scopes: found.scopes ?? [{ environment: "*", right: "admin" }], xsrf: found.xsrf,
  };
}
