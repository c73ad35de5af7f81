// Tokens: who may do what from where. A token's value is shown once.
import { useState } from "preact/hooks";
import type { Right } from "../../core/environments";
import { readTags } from "../../core/form";
import { useRequest, useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { Button, Confirm, Copyable, Dialog, Empty, Loading, Problem, Time, useTask } from "../../view/parts";
import { tags as showTags } from "./queue";

interface Token {
  id: string;
  name: string;
  right: Right;
  environment: string;
  created_at: number;
  created_by: string;
  expires_at?: number | null;
  /** Of inputs that it may answer. */
  tags?: Record<string, string[]>;
}

const RIGHTS: Record<Right, string> = {
  read: "view and download",
  run: "and submit, cancel, run again, register, host agents",
  admin: "and environments, tokens, settings",
};
const EXPIRIES: [string, number | null][] = [["never", null], ["in 1 day", 1], ["in 7 days", 7], ["in 30 days", 30], ["in 90 days", 90], ["in 1 year", 365]];

export function TokensPage() {
  const { may } = useSurroundings();
  const isAllowed = may("admin");
  const list = useRequest<Token[]>(isAllowed ? "/tokens" : null);
  const [isCreating, setCreating] = useState(false);
  const [revoked, setRevoked] = useState<Token | null>(null);
  if (!isAllowed) return <Empty isPage title="Tokens are for administrators"><p>Your token gives no admin right in this project. Whoever made it can make others.</p></Empty>;
  return (
    <div class="page">
      <div class="page-head"><h1>Tokens</h1><span class="spacer" /><Button kind="primary" icon="plus" onClick={() => setCreating(true)}>New token</Button></div>
      <p class="dim">Agents and programs elsewhere need one: <code>COFLUX_TOKEN=… coflux agent …</code></p>
      {list.error && <Problem error={list.error} retry={list.reload} />}
      {list.isLoading && <Loading />}
      {list.data?.length === 0 && <Empty title="No tokens but the server's own" />}
      {list.data && list.data.length > 0 && (
        <table class="list">
          <thead><tr><th scope="col">Name</th><th scope="col">Right</th><th scope="col">Environments</th><th scope="col" class="wide">Created</th><th scope="col" class="wide">Tags</th><th scope="col">Expires</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
          <tbody>
            {list.data.map((token) => (
              <tr key={token.id}>
                <td>{token.name} <code class="dim wide">{token.id}</code></td>
                <td title={RIGHTS[token.right]}>{token.right}</td>
                <td><code>{token.environment}</code></td>
                <td class="wide"><Time at={token.created_at} />{token.created_by && ` by ${token.created_by}`}</td>
                <td class="wide">{showTags(token.tags)}</td>
                <td>{token.expires_at ? <Time at={token.expires_at} /> : "never"}</td>
                <td class="actions"><Button small onClick={() => setRevoked(token)}>Revoke…</Button></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {isCreating && <NewToken onClose={() => { setCreating(false); list.reload(); }} />}
      {revoked && <Revoke token={revoked} onClose={() => { setRevoked(null); list.reload(); }} />}
    </div>
  );
}

function Revoke({ token, onClose }: { token: Token; onClose: () => void }) {
  const transport = useTransport();
  return (
    <Confirm title={`Revoke ${token.name}?`} action="Revoke it" onClose={onClose} onConfirm={async () => { await transport.request("DELETE", `/tokens/${token.id}`); }}>
      <p>Whoever uses it is refused from now on, and its connections are closed within seconds.</p>
      <p class="dim">This cannot be taken back; make a new one instead.</p>
    </Confirm>
  );
}

function NewToken({ onClose }: { onClose: () => void }) {
  const transport = useTransport();
  const [name, setName] = useState("");
  const [right, setRight] = useState<Right>("run");
  const [environment, setEnvironment] = useState("*");
  const [tags, setTags] = useState("");
  const [days, setDays] = useState<number | null>(90);
  const [made, setMade] = useState<{ id: string; token: string } | null>(null);
  const task = useTask(async () => {
    setMade(await transport.request("POST", "/tokens", { name, right, environment, tags: readTags(tags), expires_ms: days === null ? null : days * 86_400_000 }));
  });
  if (made) {
    return (
      <Dialog title={`Token ${name}`} onClose={onClose} footer={<Button kind="primary" onClick={onClose}>I have it</Button>}>
        <p>This is the only time that it is shown.</p>
        <Copyable text={made.token} what="token"><code class="token">{made.token}</code></Copyable>
      </Dialog>
    );
  }
  return (
    <Dialog title="New token" onClose={onClose} onSubmit={() => void task.run()} footer={<><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy || !name.trim()}>Create</Button></>}>
      <label class="field"><span>Name</span><input type="text" required autoFocus value={name} placeholder="build machine" onInput={(event) => setName(event.currentTarget.value)} /><small>Shown wherever something was done with it.</small></label>
      <fieldset class="field"><legend>Right</legend>
        {Object.entries(RIGHTS).map(([value, meaning]) => <label class="choice" key={value}><input type="radio" name="right" checked={right === value} onChange={() => setRight(value as Right)} /> <strong>{value}</strong> <span class="dim">{meaning}</span></label>)}
      </fieldset>
      <label class="field"><span>Environments</span><input type="text" class="mono" value={environment} onInput={(event) => setEnvironment(event.currentTarget.value)} /><small><code>*</code> for all, a name, or <code>dev/*</code> for those below.</small></label>
      <label class="field"><span>Tags</span><input type="text" class="mono" value={tags} placeholder="team:finance, region:north" onInput={(event) => setTags(event.currentTarget.value)} /><small>For questions that only some may answer: those whose prompt requires these.</small></label>
      <label class="field"><span>Expires</span>
        <select value={String(days)} onChange={(event) => setDays(event.currentTarget.value === "null" ? null : Number(event.currentTarget.value))}>
          {EXPIRIES.map(([label, value]) => <option key={label} value={String(value)}>{label}</option>)}
        </select>
      </label>
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}
