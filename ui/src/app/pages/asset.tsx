// One asset by its id.
import type { AssetShown } from "../../core/model";
import type { Place } from "../../core/route";
import { useRequest } from "../../data/hooks";
import { query } from "../../data/transport";
import { AssetView, nameOf } from "../../view/assets";
import { useSurroundings } from "../../view/context";
import { Loading, Problem } from "../../view/parts";

export function AssetPage({ place }: { place: Place & { page: "asset" } }) {
  const { environment } = useSurroundings();
  const found = useRequest<AssetShown>(`/assets/${encodeURIComponent(place.asset)}${query({ environment: environment ?? undefined })}`);
  if (found.error) return <Problem title={`Asset ${place.asset}`} error={found.error} retry={found.reload} />;
  if (!found.data) return <Loading />;
  return <div class="page"><h1>{nameOf(found.data)}</h1><AssetView asset={found.data} path={place.path} placeOf={(path) => ({ ...place, path })} /></div>;
}
