// What this browser prefers, and facts about the server.
import { bytes, plural } from "../../core/format";
import { useRequest } from "../../data/hooks";
import { Link } from "../../view/link";
import { Copyable, Fact, Facts } from "../../view/parts";
import { useConfig } from "../config_context";
import { theme, type Theme } from "../settings";

const THEMES: Record<Theme, string> = { system: "As the system", light: "Light", dark: "Dark" };

export function SettingsPage() {
  const config = useConfig();
  const version = useRequest<{ version: string; protocol: number }>("/version", true);
  const storage = useRequest<{ rows: number; logs: number; blobs: number; blob_count: number }>("/storage");
  const isOld = version.data && config.version && version.data.version !== config.version;
  return (
    <div class="page narrow">
      <h1>Settings</h1>
      <section>
        <h2>Appearance</h2>
        <fieldset class="field"><legend>Theme</legend>
          {Object.entries(THEMES).map(([value, label]) => <label class="choice" key={value}><input type="radio" name="theme" checked={theme.value === value} onChange={() => { theme.value = value as Theme; }} /> {label}</label>)}
        </fieldset>
        <p class="dim">Kept in this browser. Press <kbd>?</kbd> for the keyboard.</p>
      </section>
      <section>
        <h2>Server</h2>
        <Facts>
          <Fact name="version">{version.data?.version ?? config.version}{isOld && " (reload this page for it)"}</Fact>
          <Fact name="address"><Copyable text={new URL(config.base, location.origin).href} what="address" /></Fact>
          <Fact name="project">{config.project} <Link to={{ page: "projects" }}>all projects</Link></Fact>
          {storage.data && <Fact name="on disk">{bytes(storage.data.rows)} of runs, {bytes(storage.data.logs)} of logs and metrics, {bytes(storage.data.blobs)} in {plural(storage.data.blob_count, "blob")}</Fact>}
          <Fact name="signed in as">{config.user}</Fact>
          <Fact name="rights">{config.scopes.map((scope) => <code class="chip" key={scope.environment + scope.right}>{scope.right} in {scope.environment}</code>)}</Fact>
          <Fact name="API"><a href={`${config.api}/openapi.json`}>OpenAPI document</a></Fact>
          <Fact name="licences"><a href="static/THIRD_PARTY_LICENSES.txt">of what this page is built from</a></Fact>
        </Facts>
      </section>
    </div>
  );
}
