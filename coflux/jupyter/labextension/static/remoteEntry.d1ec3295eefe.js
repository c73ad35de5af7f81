// Coflux in JupyterLab and Notebook: runs as cell outputs, a sidebar of runs, the pages in tabs.
//
// Written by hand in the form that a federated module has, so that nothing has to be built: Lab finds the
// object at the end, gives it what is shared, and takes the plugins of `./extension`. Belongs here: what needs
// Lab. Does not belong here: how runs look, which is `widget.js` and the pages, served by the server extension.
(() => {
  const MIME = "application/vnd.coflux.run+json";
  const ICON =
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 16 16"><g class="jp-icon3" fill="none" stroke="#616161" stroke-width="1.4">' +
    '<circle cx="3.2" cy="8" r="1.9"/><circle cx="12.6" cy="3.4" r="1.9"/><circle cx="12.6" cy="12.6" r="1.9"/>' +
    '<path d="M5.1 7.4C8 6.4 8.2 4.4 10.7 3.7M5.1 8.6c2.9 1 3.1 3 5.6 3.7"/></g></svg>';
  const SIGNS = { succeeded: "✓", failed: "✗", cancelled: "■", running: "●", suspended: "◐", queued: "○" };
  const COLOURS = {
    succeeded: "var(--jp-success-color1)", failed: "var(--jp-error-color1)", cancelled: "var(--jp-warn-color1)",
    running: "var(--jp-brand-color1)", suspended: "var(--jp-brand-color1)", queued: "var(--jp-ui-font-color2)",
  };
  const FINISHED = ["succeeded", "failed", "cancelled"];
  const RUNS_SHOWN = 50;

  let scope;
  const shared = async (name) => (await scope[name][Object.keys(scope[name])[0]].get())();

  // --- the server ---------------------------------------------------------------------------------------

  function makeServer({ PageConfig, URLExt }) {
    const base = URLExt.join(PageConfig.getBaseUrl(), "coflux/");
    const api = URLExt.join(base, "api/v1");
    // As Lab itself finds it; of two cookies of this name the one with the longer path comes first.
    const xsrf = () => /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1];
    const get = async (path) => {
      const response = await fetch(api + path, { credentials: "same-origin" });
      if (!response.ok) throw new Error((await response.json().catch(() => null))?.error?.message ?? response.statusText);
      return response.json();
    };
    return { base, api, xsrf, get };
  }

  // --- runs as outputs of cells -------------------------------------------------------------------------

  function makeRenderer({ Panel, Widget }, registry, server) {
    return class RunOutput extends Panel {
      constructor() {
        super();
        this.addClass("jp-RenderedHTMLCommon");
        this.shown = null;
        this.unmount = null;
      }

      async renderModel(model) {
        const { run, project, environment } = model.data[MIME];
        const key = JSON.stringify([run, project, environment]);
        if (key === this.shown) return;
        this.shown = key;
        this.clear();
        try {
          const seen = environment ? `?environment=${encodeURIComponent(environment)}` : "";
          await server.get(`/projects/${encodeURIComponent(project)}/runs/${encodeURIComponent(run)}${seen}`);
          await this.mount(run, project, environment);
        } catch {
          // Of another server, removed, or no server: what the notebook has kept.
          await this.showStill(model);
        }
      }

      async mount(run, project, environment) {
        const widget = (await import(server.base + "static/widget.js")).default;
        const values = {
          run, environment, saved: null,
          server: {
            base: server.base, api: server.api, project, xsrf: server.xsrf(),
            scopes: [{ environment: "*", right: "admin" }],
          },
        };
        const model = { get: (name) => values[name], on: () => undefined, off: () => undefined };
        const place = new Widget();
        this.addWidget(place);
        this.unmount = widget.render({ model, el: place.node });
      }

      async showStill(model) {
        const kind = ["text/html", "image/svg+xml", "text/plain"].find((each) => model.data[each] !== undefined);
        if (!kind) return;
        const still = registry.createRenderer(kind);
        this.addWidget(still);
        await still.renderModel(model);
      }

      clear() {
        this.unmount?.();
        this.unmount = null;
        for (const widget of [...this.widgets]) widget.dispose();
      }

      dispose() {
        if (!this.isDisposed) this.clear();
        super.dispose();
      }
    };
  }

  // --- tabs ---------------------------------------------------------------------------------------------

  function makeTabs(app, { IFrame, MainAreaWidget }, server, icon, themes) {
    const open = new Map();
    const dress = (frame) => {
      const page = frame.node.querySelector("iframe")?.contentDocument?.documentElement;
      if (page && themes) page.dataset.theme = themes.isLight(themes.theme ?? "JupyterLab Light") ? "light" : "dark";
    };
    themes?.themeChanged.connect(() => {
      for (const tab of open.values()) dress(tab.content);
    });
    return (path, title) => {
      let tab = open.get(path);
      if (!tab || tab.isDisposed) {
        const sandbox = ["allow-same-origin", "allow-scripts", "allow-forms", "allow-popups", "allow-downloads", "allow-modals"];
        const frame = new IFrame({ sandbox, referrerPolicy: "same-origin" });
        frame.url = server.base + path;
        frame.node.querySelector("iframe").addEventListener("load", () => dress(frame));
        tab = new MainAreaWidget({ content: frame });
        tab.id = `coflux-tab-${path.replace(/\W+/g, "-")}`;
        tab.title.label = title;
        tab.title.icon = icon;
        tab.title.closable = true;
        open.set(path, tab);
        tab.disposed.connect(() => open.delete(path));
      }
      if (!tab.isAttached) app.shell.add(tab, "main");
      app.shell.activateById(tab.id);
      return tab;
    };
  }

  // --- the sidebar --------------------------------------------------------------------------------------

  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  /** Apply `["set", path, value]` and `["del", path]` to a document. */
  function patch(document, operations) {
    for (const [operation, path, value] of operations) {
      const last = path[path.length - 1];
      const place = path.slice(0, -1).reduce((at, key) => at[key], document);
      if (operation === "del") delete place[last];
      else place[last] = value;
    }
  }

  function makeSidebar({ Widget }, server, openTab) {
    return class Runs extends Widget {
      constructor() {
        super();
        this.id = "coflux-sidebar";
        this.runs = null;
        this.socket = null;
        this.retry = null;
        this.list = make("div", { role: "list" });
        this.note = make("div", { style: "padding: 8px 12px; color: var(--jp-ui-font-color2)" });
        const all = make("button", { className: "jp-Button jp-mod-minimal", textContent: "Open Coflux", title: "All of Coflux, in a tab" });
        all.onclick = () => openTab("", "Coflux");
        const head = make("div", { style: "display: flex; justify-content: space-between; align-items: center; padding: 8px 12px" });
        head.append(make("b", { textContent: "Runs" }), all);
        Object.assign(this.node.style, { overflow: "auto", background: "var(--jp-layout-color1)", color: "var(--jp-ui-font-color1)", fontSize: "var(--jp-ui-font-size1)" });
        this.node.append(head, this.note, this.list);
      }

      onAfterShow() {
        this.connect();
      }

      onAfterHide() {
        this.disconnect();
      }

      onBeforeDetach() {
        this.disconnect();
      }

      connect() {
        if (this.socket || !this.isVisible) return;
        this.say(this.runs ? "" : "Asking the server…");
        const socket = new WebSocket(`${server.api.replace(/^http/, "ws")}/projects/default/topics`);
        this.socket = socket;
        socket.onopen = () => socket.send(JSON.stringify({ op: "sub", id: 1, topic: "runs", args: {} }));
        socket.onmessage = (event) => this.hear(JSON.parse(event.data));
        socket.onclose = () => {
          if (this.socket !== socket) return;
          this.socket = null;
          this.say("The server does not answer; trying again…");
          this.retry = setTimeout(() => this.connect(), 3000);
        };
      }

      disconnect() {
        clearTimeout(this.retry);
        const socket = this.socket;
        this.socket = null;
        socket?.close();
      }

      hear(message) {
        if (message.t === "snap") this.runs = message.data;
        else if (message.t === "patch") patch(this.runs, message.ops);
        else if (message.t === "err") return this.say(message.message);
        else return;
        this.draw();
      }

      say(text) {
        this.note.textContent = text;
        this.note.hidden = !text;
      }

      draw() {
        const rows = this.runs.runs ?? this.runs;
        const runs = Object.values(rows).filter((run) => run && run.run).sort((a, b) => b.created_at - a.created_at);
        const running = runs.filter((run) => !FINISHED.includes(run.status));
        const recent = runs.filter((run) => FINISHED.includes(run.status)).slice(0, RUNS_SHOWN);
        this.say(runs.length ? "" : "No runs yet. In a notebook: %load_ext coflux, then %coflux run.");
        this.list.replaceChildren(...this.section("Running", running), ...this.section("Recent", recent));
      }

      section(title, runs) {
        if (!runs.length) return [];
        const head = make("div", { textContent: title, style: "padding: 6px 12px; color: var(--jp-ui-font-color2); text-transform: uppercase; font-size: var(--jp-ui-font-size0)" });
        return [head, ...runs.map((run) => this.row(run))];
      }

      row(run) {
        const sign = make("span", { textContent: SIGNS[run.status] ?? "○", title: run.status, style: `color: ${COLOURS[run.status] ?? "inherit"}; width: 1.2em; flex: none` });
        const name = make("span", { textContent: run.target, style: "overflow: hidden; text-overflow: ellipsis; white-space: nowrap" });
        const when = new Date(run.created_at).toLocaleTimeString();
        const more = make("span", { textContent: `${run.environment === "default" ? "" : run.environment + " · "}${when}`, style: "margin-left: auto; padding-left: 8px; color: var(--jp-ui-font-color2); white-space: nowrap; flex: none" });
        const row = make("button", {
          title: `${run.target} (${run.run}): ${run.status}`,
          style: "display: flex; width: 100%; border: 0; background: none; color: inherit; font: inherit; text-align: left; padding: 4px 12px; cursor: pointer",
        }, sign, name, more);
        row.dataset.run = run.run;
        row.setAttribute("role", "listitem");
        row.onmouseenter = () => { row.style.background = "var(--jp-layout-color2)"; };
        row.onmouseleave = () => { row.style.background = "none"; };
        row.onclick = () => openTab(`runs/${run.run}`, run.target.split("/").pop());
        return row;
      }
    };
  }

  // --- the plugin ---------------------------------------------------------------------------------------

  async function load() {
    const names = ["@jupyterlab/application", "@jupyterlab/apputils", "@jupyterlab/coreutils", "@jupyterlab/launcher",
      "@jupyterlab/rendermime", "@jupyterlab/ui-components", "@lumino/widgets"];
    const [application, apputils, coreutils, launcher, rendermime, components, widgets] = await Promise.all(names.map(shared));
    const activate = (app, registry, labShell, cards, palette, themes) => {
      const server = makeServer(coreutils);
      const icon = new components.LabIcon({ name: "coflux:icon", svgstr: ICON });
      const Renderer = makeRenderer(widgets, registry, server);
      // Before the widget manager's, which knows nothing of a run once its kernel is gone.
      registry.addFactory({ safe: true, mimeTypes: [MIME], createRenderer: () => new Renderer() }, -20);
      const openTab = makeTabs(app, apputils, server, icon, themes);
      app.commands.addCommand("coflux:open", {
        label: (args) => (args.run ? `Open run ${args.run}` : "Coflux"),
        caption: "Workflows, runs, agents and environments",
        icon,
        execute: (args) => (args.run ? openTab(`runs/${args.run}`, args.run) : openTab("", "Coflux")),
      });
      palette?.addItem({ command: "coflux:open", category: "Coflux" });
      cards?.add({ command: "coflux:open", category: "Other", rank: 10 });
      if (!labShell) return;
      const Runs = makeSidebar(widgets, server, openTab);
      const sidebar = new Runs();
      sidebar.title.icon = icon;
      sidebar.title.caption = "Coflux runs";
      labShell.add(sidebar, "left", { rank: 450 });
    };
    const plugin = {
      id: "coflux:plugin",
      description: "Runs as outputs, a sidebar of runs, Coflux's pages in tabs.",
      autoStart: true,
      requires: [rendermime.IRenderMimeRegistry],
      optional: [application.ILabShell, launcher.ILauncher, apputils.ICommandPalette, apputils.IThemeManager],
      activate,
    };
    return () => ({ __esModule: true, default: plugin });
  }

  const modules = { "./extension": load, "./style": async () => () => ({}) };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["coflux"] = {
    init: (given) => { scope = given; },
    get: (name) => (modules[name] ? modules[name]() : Promise.reject(new Error(`no module ${name}`))),
  };
})();
