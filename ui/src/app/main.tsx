// The page: finds out where it is and starts.
import { render } from "preact";
import { SocketTransport } from "../data/socket";
import { StaticTransport, type Saved } from "../data/static";
import { TransportContext } from "../data/hooks";
import { App } from "./app";
import { readConfig } from "./config";
import { Exported } from "./exported";
import { Router } from "./router";

const root = document.getElementById("app")!;
const saved = document.getElementById("coflux-saved");
root.textContent = "";
if (saved) {
  const content = JSON.parse(saved.textContent ?? "{}") as Saved & { run: string };
  render(<TransportContext.Provider value={new StaticTransport(content)}><Exported run={content.run} at={content.at} /></TransportContext.Provider>, root);
} else {
  const config = readConfig();
  const router = new Router(config.base);
  const transport = new SocketTransport({ api: config.api, project: config.project, xsrf: config.xsrf });
  addEventListener("online", () => transport.reconnect());
  document.addEventListener("visibilitychange", () => { if (!document.hidden) transport.reconnect(); });
  render(<TransportContext.Provider value={transport}><App config={config} router={router} /></TransportContext.Provider>, root);
}
