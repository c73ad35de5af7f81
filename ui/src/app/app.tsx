// The shell: navigation, environment, search, connection, and the page that the address names.
import { signal } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import { may as mayWith, type Right } from "../core/environments";
import { plural } from "../core/format";
import type { Place } from "../core/route";
import { SurroundingsContext, type Surroundings } from "../view/context";
import { Icon, type IconName } from "../view/icon";
import { Link } from "../view/link";
import { Boundary, Button, Empty } from "../view/parts";
import type { Config } from "./config";
import { ConnectionMark, EnvironmentSwitcher, ThemeSwitch } from "./bar";
import { ConfigContext } from "./config_context";
import { Keys, useKeys } from "./keys";
import { AgentsPage } from "./pages/agents";
import { AssetPage } from "./pages/asset";
import { AssetsPage } from "./pages/assets";
import { EnvironmentsPage } from "./pages/environments";
import { HomePage } from "./pages/home";
import { HooksPage } from "./pages/hooks";
import { InputPage, InputsPage, useOpenInputs } from "./pages/inputs";
import { PoolsPage } from "./pages/pools";
import { ProjectsPage } from "./pages/projects";
import { QueuePage } from "./pages/queue";
import { RunPage } from "./pages/run";
import { RunsPage } from "./pages/runs";
import { SchedulesPage } from "./pages/schedules";
import { SearchPage } from "./pages/search";
import { SettingsPage } from "./pages/settings";
import { TokensPage } from "./pages/tokens";
import { WorkflowPage, WorkflowsPage } from "./pages/workflows";
import type { Router } from "./router";
import { Palette } from "./palette";
import { isRailSmall } from "./settings";
import { Toasts, useToasts } from "./toasts";

export const PAGES: { place: Place; label: string; icon: IconName; key: string }[] = [
  { place: { page: "home" }, label: "Home", icon: "home", key: "h" },
  { place: { page: "workflows" }, label: "Workflows", icon: "workflow", key: "w" },
  { place: { page: "runs" }, label: "Runs", icon: "runs", key: "r" },
  { place: { page: "assets" }, label: "Assets", icon: "file", key: "f" },
  { place: { page: "inputs" }, label: "Inputs", icon: "inputs", key: "i" },
  { place: { page: "schedules" }, label: "Schedules", icon: "schedules", key: "c" },
  { place: { page: "queue" }, label: "Queue", icon: "queue", key: "q" },
  { place: { page: "agents" }, label: "Agents", icon: "agents", key: "a" },
  { place: { page: "pools" }, label: "Pools", icon: "pools", key: "p" },
  { place: { page: "hooks" }, label: "Hooks", icon: "hooks", key: "n" },
  { place: { page: "environments" }, label: "Environments", icon: "environments", key: "e" },
  { place: { page: "tokens" }, label: "Tokens", icon: "tokens", key: "t" },
  { place: { page: "settings" }, label: "Settings", icon: "settings", key: "s" },
];

export function App({ config, router }: { config: Config; router: Router }) {
  const { place, environment } = router.address.value;
  const toasts = useToasts();
  const surroundings = useMemo<Surroundings>(() => ({
    nav: router, environment,
    may: (right: Right, where?: string) => mayWith(config.scopes, right, where),
    toast: toasts.add, isEmbedded: false,
  }), [environment, router, config]);
  const [isSearching, setSearching] = useState(false);
  const [isHelping, setHelping] = useState(false);
  useKeys(router, { onSearch: () => setSearching(true), onHelp: () => setHelping(true) });
  useEffect(() => {
    // Seen in a tab that is not looked at.
    document.title = `${openCount.value ? `(${openCount.value}) ` : ""}${titleOf(place)} · Coflux`;
  }, [place, openCount.value]);
  const small = isRailSmall.value;
  const active = place.page === "workflow" ? "workflows" : place.page === "run" ? "runs" : place.page === "input" ? "inputs" : place.page === "asset" ? "assets" : place.page;
  return (
    <ConfigContext.Provider value={config}>
      <SurroundingsContext.Provider value={surroundings}>
        <div class={`shell${small ? " small-rail" : ""}`}>
          <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to content</a>
          <header class="topbar">
            <Link class="brand" to={{ page: "home" }} aria-label="Coflux, home"><Logo /><span class="wide">Coflux</span></Link>
            {config.project !== "default" && <Link to={{ page: "projects" }} class="project-name">{config.project}</Link>}
            <EnvironmentSwitcher />
            <span class="spacer" />
            <button type="button" class="search-button" onClick={() => setSearching(true)} aria-keyshortcuts="Control+K"><Icon name="search" /><span class="wide">Search</span><kbd class="wide">/</kbd></button>
            <ConnectionMark />
            <ThemeSwitch />
          </header>
          <nav class="rail" aria-label="Main">
            {PAGES.map(({ place: to, label, icon }) => (
              <Link key={label} to={to} class="rail-item" aria-current={active === to.page ? "page" : undefined} title={small ? label : undefined}>
                <Icon name={icon} size={18} /><span>{label}</span>{to.page === "inputs" && <OpenCount />}
              </Link>
            ))}
            <span class="spacer" />
            <Button kind="quiet" class="rail-toggle" icon={small ? "right" : "left"} label={small ? "Wider menu" : "Narrower menu"} onClick={() => { isRailSmall.value = !small; }} />
          </nav>
          <main id="main" tabIndex={-1} class={place.page === "run" ? "full" : ""}>
            <Boundary name="This page" key={place.page}><Page place={place} /></Boundary>
          </main>
          {isSearching && <Palette onClose={() => setSearching(false)} />}
          {isHelping && <Keys onClose={() => setHelping(false)} />}
          <Toasts toasts={toasts} />
        </div>
      </SurroundingsContext.Provider>
    </ConfigContext.Provider>
  );
}

const openCount = signal(0);

/** How many questions are open. */
function OpenCount() {
  const open = useOpenInputs();
  const found = open.state === "ready" ? open.data.length : 0;
  useEffect(() => {
    openCount.value = found;
  }, [found]);
  if (open.state !== "ready" || !open.data.length) return null;
  return <b class="rail-count num" title={`${plural(open.data.length, "question")} open`}>{open.data.length > 99 ? "99+" : open.data.length}</b>;
}

function Page({ place }: { place: Place }) {
  switch (place.page) {
    case "home": return <HomePage />;
    case "workflows": return <WorkflowsPage />;
    case "workflow": return <WorkflowPage place={place} />;
    case "runs": return <RunsPage place={place} />;
    case "run": return <RunPage place={place} />;
    case "queue": return <QueuePage />;
    case "inputs": return <InputsPage place={place} />;
    case "input": return <InputPage place={place} />;
    case "agents": return <AgentsPage />;
    case "environments": return <EnvironmentsPage />;
    case "schedules": return <SchedulesPage />;
    case "pools": return <PoolsPage />;
    case "hooks": return <HooksPage />;
    case "tokens": return <TokensPage />;
    case "settings": return <SettingsPage />;
    case "projects": return <ProjectsPage />;
    case "assets": return <AssetsPage place={place} />;
    case "asset": return <AssetPage place={place} />;
    case "search": return <SearchPage q={place.q ?? ""} />;
    case "unknown": return <Empty isPage title="There is no such page"><p><code>{place.path}</code></p><p><Link to={{ page: "home" }}>Home</Link></p></Empty>;
  }
}

function titleOf(place: Place): string {
  switch (place.page) {
    case "run": return place.step !== undefined ? `${place.run}:${place.step}` : place.run;
    case "workflow": return place.target;
    case "asset": return place.asset;
    case "input": return place.input;
    default: return place.page[0]!.toUpperCase() + place.page.slice(1);
  }
}

function Logo() {
  return (
    <svg class="logo" width="24" height="24" viewBox="0 0 24 24" aria-hidden="true">
      <path d="M5 7h5c5 0 4 10 9 10M5 17h5c2 0 3-1.5 3.8-3.200" />
      <circle cx="5" cy="7" r="2.6" /><circle cx="5" cy="17" r="2.6" /><circle cx="19" cy="17" r="2.6" class="accent" />
    </svg>
  );
}
