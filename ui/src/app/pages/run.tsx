// The page of a run: the run view, and what only the page can do with it.
import type { RunPlace } from "../../core/route";
import { useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { RunView } from "../../view/run";
import { exportRun } from "../export";

export function RunPage({ place }: { place: RunPlace }) {
  const transport = useTransport();
  const { environment, toast } = useSurroundings();
  const save = async (): Promise<void> => {
    toast("Collecting the run…");
    try {
      toast(await exportRun(transport, place.run, environment));
    } catch (error) {
      toast(`Could not be saved: ${(error as Error).message}`);
    }
  };
  return <RunView key={place.run} place={place} extra={[{ key: "export", label: "Save as one HTML file", run: () => void save() }]} />;
}
