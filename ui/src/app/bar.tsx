// The pieces of the top bar: environment, connection, theme.
import { hierarchy } from "../core/environments";
import { clock } from "../core/format";
import type { Environment } from "../core/model";
import { useTopic, useTransport } from "../data/hooks";
import { useSurroundings } from "../view/context";
import { Icon } from "../view/icon";
import { Button, Menu } from "../view/parts";
import type { Router } from "./router";
import { theme, type Theme } from "./settings";

export function EnvironmentSwitcher() {
  const { environment, nav } = useSurroundings();
  const live = useTopic<Record<string, Environment>>("environments");
  const all = live.state === "ready" ? Object.values(live.data) : [];
  const current = all.find((e) => e.name === environment);
  const place = (nav as Router).address.value.place;
  const choose = (name: string | null): void => nav.go(place, { environment: name });
  return (
    <Menu
      title="Environment"
      items={[
        { key: "", label: <span class={environment === null ? "chosen" : ""}>All environments</span>, run: () => choose(null) },
        ...hierarchy(all).filter((b) => b.environment.state !== "archived").map(({ environment: e, depth }) => ({
          key: e.id,
          label: <span class={e.name === environment ? "chosen" : ""} style={{ paddingLeft: `${depth * 14}px` }}>{depth > 0 && <span class="dim">└ </span>}{e.name}{e.state === "paused" && <span class="badge f-stopped">paused</span>}</span>,
          run: () => choose(e.name),
        })),
        { key: "manage", label: <span class="dim">Manage environments…</span>, run: () => nav.go({ page: "environments" }) },
      ]}
    >
      <Icon name="environments" size={14} /><span class="sr">Environment:</span>
      <span class="clip">{environment ?? "All environments"}</span>
      {current?.state === "paused" && <span class="badge f-stopped">paused</span>}
    </Menu>
  );
}

/** A dot while all is well; says so when the view is old. */
export function ConnectionMark() {
  const transport = useTransport();
  const connection = transport.connection.value;
  if (connection.state === "live") return <span class="connection live" title="Live"><span class="dot" /><span class="sr">Live</span></span>;
  if (connection.state === "connecting") return <span class="connection" title="Connecting"><span class="dot" /><span class="sr">Connecting</span></span>;
  if (connection.state === "lost" && connection.isSignedOut) {
    // The sign-in page keeps the address.
    return <span class="connection lost" role="status"><span class="dot" />Signed out<button type="button" class="linklike" onClick={() => location.reload()}>sign in again</button></span>;
  }
  return <span class="connection lost" role="status"><span class="dot" />Reconnecting, as of {clock(connection.since)}<button type="button" class="linklike" onClick={() => transport.reconnect()}>now</button></span>;
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const ICONS = { system: "system", light: "sun", dark: "moon" } as const;

export function ThemeSwitch() {
  return <Button kind="quiet" icon={ICONS[theme.value]} label={`Theme: ${theme.value}`} onClick={() => { theme.value = NEXT[theme.value]; }} />;
}
