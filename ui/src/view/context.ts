// What views may know of where they are: links, rights, the environment they look from.
// The page and the notebook widget each bring their own; views never touch location or document.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Right } from "../core/environments";
import type { Place } from "../core/route";

export interface Nav {
  /** The address of a place, from the environment looked from now. */
  href(place: Place, environment?: string | null): string;
  go(place: Place, options?: { replace?: boolean; environment?: string | null }): void;
}

export interface Surroundings {
  nav: Nav;
  /** The environment looked from; null = each run's own. */
  environment: string | null;
  may(right: Right, environment?: string): boolean;
  toast(text: string, action?: { label: string; run: () => void }): void;
  /** Saved copy or notebook: no links out of the view. */
  isEmbedded: boolean;
}

export const SurroundingsContext = createContext<Surroundings | null>(null);

export function useSurroundings(): Surroundings {
  const found = useContext(SurroundingsContext);
  if (!found) throw new Error("no surroundings");
  return found;
}
