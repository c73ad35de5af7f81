// The page's configuration for its components.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Config } from "./config";

export const ConfigContext = createContext<Config | null>(null);

export function useConfig(): Config {
  const found = useContext(ConfigContext);
  if (!found) throw new Error("no configuration");
  return found;
}
