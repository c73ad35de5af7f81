// What a person prefers, kept in this browser.
import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

function stored(name: string): string | null {
  try {
    return localStorage.getItem(`coflux.${name}`);
  } catch {
    return null;
  }
}

function store(name: string, value: string): void {
  try {
    localStorage.setItem(`coflux.${name}`, value);
  } catch {
    // Not kept, then: private windows and embedded pages.
  }
}

export const theme = signal<Theme>((stored("theme") as Theme | null) ?? "system");
export const isRailSmall = signal(stored("rail") === "small");

effect(() => {
  store("theme", theme.value);
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
});
effect(() => store("rail", isRailSmall.value ? "small" : "wide"));
