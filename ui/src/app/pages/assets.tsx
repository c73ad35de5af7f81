// Assets over all runs, newest first: found by name, the chosen one beside the list.
import { useEffect, useState } from "preact/hooks";
import { shortTarget } from "../../core/format";
import { stepNumber, type AssetShown, type RunSummary } from "../../core/model";
import type { Place } from "../../core/route";
import { isLive } from "../../core/states";
import { asError, useRequest, useTopic, useTransport } from "../../data/hooks";
import { query, type RequestError } from "../../data/transport";
import { AssetView, iconOf, nameOf, sizeOf } from "../../view/assets";
import { useSurroundings } from "../../view/context";
import { Icon } from "../../view/icon";
import { Link } from "../../view/link";
import { Button, Empty, Loading, Problem, Time } from "../../view/parts";

const PAGE = 100;
/** Milliseconds without a key before what is typed is looked for. */
const PAUSE = 200;

export function AssetsPage({ place }: { place: Place & { page: "assets" } }) {
  const { nav, environment } = useSurroundings();
  const { assets, error, hasMore, isBusy, older, reload } = useAssets(environment, useCalm(place.q ?? ""));
  // What an address names may be older than all that are listed.
  const chosen = place.asset ?? assets?.[0]?.id;
  return (
    <div class="page assets-page">
      <h1>Assets</h1>
      <div class="bar-tools">
        <input type="search" value={place.q ?? ""} placeholder="Find by name or file" aria-label="Find assets" onInput={(event) => nav.go({ page: "assets", q: event.currentTarget.value || undefined }, { replace: true })} />
      </div>
      {error && <Problem title="Assets could not be loaded" error={error} retry={reload} />}
      {!assets ? !error && <Loading what="Loading assets" /> : !chosen || !assets.length ? (
        place.q ? <Empty title="No asset fits"><Button small onClick={() => nav.go({ page: "assets" }, { replace: true })}>Clear</Button></Empty>
          : <Empty title="No assets yet"><p>A step keeps files with <code>cf.persist_asset("report.csv")</code>; the newest are listed here, of all runs.</p></Empty>
      ) : (
        <div class="assets">
          <nav class="asset-list" aria-label="Assets">
            {assets.map((asset) => <Item key={asset.id} asset={asset} isChosen={asset.id === chosen} to={{ ...place, asset: asset.id }} />)}
            {hasMore && <Button small disabled={isBusy} onClick={older}>Older assets</Button>}
          </nav>
          <Chosen key={chosen} id={chosen} asset={assets.find((asset) => asset.id === chosen)} />
        </div>
      )}
    </div>
  );
}

function Item({ asset, isChosen, to }: { asset: AssetShown; isChosen: boolean; to: Place }) {
  const { environment } = useSurroundings();
  const step = asset.execution ? stepNumber(asset.execution) : 1;
  return (
    <Link class="asset-item" to={to} replace aria-current={isChosen ? "true" : undefined}>
      <Icon name={iconOf(asset)} /><span class="clip">{nameOf(asset)}</span>
      <span class="dim clip">{sizeOf(asset)} · {asset.created_at !== undefined && <Time at={asset.created_at} />}</span>
      <span class="dim clip">step {step} of {asset.target && shortTarget(asset.target)}{environment === null && `, ${asset.environment}`}</span>
    </Link>
  );
}

/** With all its files, of which the list has only the first. */
function Chosen({ id, asset }: { id: string; asset: AssetShown | undefined }) {
  const isWhole = asset !== undefined && (asset.files ?? 0) <= asset.entries.length;
  const whole = useRequest<AssetShown>(isWhole ? null : `/assets/${encodeURIComponent(id)}`);
  if (isWhole) return <AssetView asset={asset} />;
  if (whole.error) return <Problem title={`Asset ${id}`} error={whole.error} retry={whole.reload} />;
  if (!whole.data) return <Loading />;
  return <AssetView asset={{ ...whole.data, execution: asset?.execution ?? whole.data.execution }} />;
}

/** A text as it was when it last stood still. */
function useCalm(text: string): string {
  const [calm, setCalm] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setCalm(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  return calm;
}

function useAssets(environment: string | null, name: string) {
  const transport = useTransport();
  const path = (before?: string): string => `/assets${query({ environment: environment ?? undefined, name: name || undefined, before, limit: PAGE })}`;
  const newest = useRequest<AssetShown[]>(path());
  const [held, setHeld] = useState<{ assets: AssetShown[]; isEnd: boolean; isBusy: boolean; error: RequestError | null }>(NONE);
  // Those of before stay until the others are there.
  const [shown, setShown] = useState<AssetShown[] | null>(null);
  useEffect(() => setHeld(NONE), [environment, name]);
  useEffect(() => setShown(null), [environment]);
  useEffect(() => {
    if (newest.data) setShown(newest.data);
  }, [newest.data]);
  const finished = useFinished(environment);
  useEffect(() => {
    const timer = setTimeout(newest.reload, 500);
    return () => clearTimeout(timer);
  }, [finished]);
  const known = new Set(shown?.map((asset) => asset.id));
  const assets = shown && [...shown, ...held.assets.filter((asset) => !known.has(asset.id))];
  const older = (): void => {
    setHeld((old) => ({ ...old, isBusy: true }));
    transport.request<AssetShown[]>("GET", path(assets?.at(-1)?.id)).then(
      (page) => setHeld((old) => ({ assets: [...old.assets, ...page], isEnd: page.length < PAGE, isBusy: false, error: null })),
      (error: unknown) => setHeld((old) => ({ ...old, isBusy: false, error: asError(error) })),
    );
  };
  return { assets, error: newest.error ?? held.error, hasMore: (shown?.length ?? 0) >= PAGE && !held.isEnd, isBusy: held.isBusy, older, reload: newest.reload };
}

const NONE = { assets: [], isEnd: false, isBusy: false, error: null };

/** What changes when a run ends: there may be new assets then. */
function useFinished(environment: string | null): string {
  const runs = useTopic<Record<string, RunSummary>>("runs", { environment: environment ?? undefined });
  if (runs.state !== "ready") return "";
  return Object.values(runs.data).filter((run) => !isLive(run.status)).map((run) => run.run).sort().join();
}
