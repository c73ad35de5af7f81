// Icons: one glyph for each state, drawn after the terminal's, and a few for actions.
import type { ComponentChildren, JSX } from "preact";
import { lookOf, type Glyph } from "../core/states";

const ring = <circle cx="8" cy="8" r="5.25" />;
const GLYPHS: Record<Glyph, JSX.Element> = {
  ring,
  quarter: <>{ring}<path d="M8 8V2.75A5.25 5.25 0 0 1 13.25 8Z" class="fill" /></>,
  dot: <circle cx="8" cy="8" r="5.5" class="fill" />,
  half: <>{ring}<path d="M6 5.2v5.6M8 4.2v7.6M10 5.2v5.6" /></>,
  dotted: <circle cx="8" cy="8" r="5.25" stroke-dasharray="1.9 2.22" />,
  loop: <><path d="M13 8a5 5 0 1 1-1.6-3.7" /><path d="M13.2 1.8v3.1h-3.1" /></>,
  dashed: <path d="M2 8h2.2M6 8h2.2M10 8h3.4M10.4 4.8 13.6 8l-3.2 3.2" />,
  hook: <path d="M3.5 2.5V9h9M9.6 5.8 12.8 9l-3.2 3.2" />,
  bars: <path d="M3 4.5h10M3 8h10M3 11.5h10" />,
  tick: <path d="M2.8 8.6 6.3 12l6.9-7.6" stroke-width="2.1" />,
  cross: <path d="m3.7 3.7 8.6 8.6m0-8.6-8.6 8.6" stroke-width="2.1" />,
  barred: <>{ring}<path d="m4.3 4.3 7.4 7.4" /></>,
  question: <><path d="M3.200 2.750h9.600a1 1 0 0 1 1 1v6.500a1 1 0 0 1-1 1H8.500L5.200 14v-2.750h-2a1 1 0 0 1-1-1v-6.500a1 1 0 0 1 1-1Z" /><path d="M6.600 5.600a1.450 1.450 0 1 1 1.900 1.500c-.4.15-.5.4-.5.8m0 1.300v.1" stroke-width="1.300" /></>,
};

export function StateIcon({ status, size = 14 }: { status: string; size?: number }) {
  const look = lookOf(status);
  return (
    <svg class={`glyph f-${look.family}${status === "running" ? " pulse" : ""}`} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      {GLYPHS[look.glyph]}
    </svg>
  );
}

/** Glyph and word. `outcome`: how it turned out at the end of a link, told where that is no success. */
export function Status({ status, outcome }: { status: string; outcome?: string | undefined }) {
  const failed = outcome !== undefined && outcome !== status && outcome !== "value";
  return (
    <span class="status">
      <StateIcon status={status} />
      <span>{lookOf(status).word}</span>
      {failed && <><span class="dim">→</span><StateIcon status={outcome!} /><span>{lookOf(outcome!).word}</span></>}
    </span>
  );
}

const ICONS = {
  search: <><circle cx="7" cy="7" r="4.5" /><path d="m10.5 10.5 3.5 3.5" /></>,
  copy: <><rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5" /></>,
  done: <path d="M3 8.5 6.5 12 13 4.5" />,
  close: <path d="m4 4 8 8m0-8-8 8" />,
  play: <path d="M4.5 2.8v10.4L13 8Z" class="fill" />,
  stop: <rect x="4" y="4" width="8" height="8" rx="1" class="fill" />,
  rerun: <><path d="M13 8a5 5 0 1 1-1.6-3.7" /><path d="M13.2 1.8v3.1h-3.1" /></>,
  more: <path d="M3.5 8h.01M8 8h.01M12.5 8h.01" stroke-width="2.6" />,
  down: <path d="m4 6 4 4 4-4" />,
  right: <path d="m6 4 4 4-4 4" />,
  left: <path d="m10 4-4 4 4 4" />,
  link: <><path d="M7 9.5a2.8 2.8 0 0 0 4 0l2-2a2.83 2.83 0 0 0-4-4L8 4.5" /><path d="M9 6.5a2.8 2.8 0 0 0-4 0l-2 2a2.83 2.83 0 0 0 4 4l1-1" /></>,
  home: <path d="M2.5 7.5 8 3l5.5 4.5M4 6.5V13h3V9.5h2V13h3V6.5" />,
  workflow: <><rect x="2" y="5.5" width="4" height="5" rx="1" /><rect x="10" y="2" width="4" height="4" rx="1" /><rect x="10" y="10" width="4" height="4" rx="1" /><path d="M6 8h2m2-4H9a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h1" /></>,
  runs: <path d="M5.5 4H14M5.5 8H14M5.5 12H14M2 4h.01M2 8h.01M2 12h.01" stroke-width="1.8" />,
  queue: <><circle cx="8" cy="8" r="5.5" /><path d="M8 4.8V8l2.2 1.6" /></>,
  agents: <><rect x="2.5" y="3" width="11" height="4" rx="1" /><rect x="2.5" y="9" width="11" height="4" rx="1" /><path d="M5 5h.01M5 11h.01" stroke-width="2" /></>,
  environments: <><circle cx="4.5" cy="3.5" r="1.5" /><circle cx="4.5" cy="12.5" r="1.5" /><circle cx="11.5" cy="5.5" r="1.5" /><path d="M4.5 5v6m7-4c0 2.5-7 1-7 3.5" /></>,
  schedules: <><rect x="2.5" y="3.5" width="11" height="10" rx="1" /><path d="M2.5 6.5h11M5.5 2v3m5-3v3M8 8.5v2l1.5 1" /></>,
  pools: <><circle cx="8" cy="8" r="2" /><circle cx="3.5" cy="4" r="1.5" /><circle cx="12.5" cy="4" r="1.5" /><circle cx="3.5" cy="12" r="1.5" /><circle cx="12.5" cy="12" r="1.5" /><path d="m6.5 6.700-1.800-1.600m4.800 1.600 1.800-1.600m-4.800 4.200-1.800 1.600m4.800-1.600 1.800 1.600" /></>,
  tokens: <><circle cx="5.5" cy="10.5" r="3" /><path d="m7.7 8.3 5.8-5.8M11 5l2 2" /></>,
  settings: <><path d="M2.5 5h6M12 5h1.5M2.5 11H4M7.5 11h6" /><circle cx="10.2" cy="5" r="1.7" /><circle cx="5.8" cy="11" r="1.7" /></>,
  sun: <><circle cx="8" cy="8" r="3" /><path d="M8 1.5v1.7m0 9.6v1.7M1.5 8h1.7m9.6 0h1.7M3.4 3.4l1.2 1.2m6.8 6.8 1.2 1.2m0-9.2-1.2 1.2M4.6 11.4l-1.2 1.2" /></>,
  moon: <path d="M13 9.5A5.7 5.7 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z" />,
  system: <><rect x="2" y="3" width="12" height="8" rx="1" /><path d="M6 13.5h4" /></>,
  menu: <path d="M2.5 4h11m-11 4h11m-11 4h11" />,
  download: <path d="M8 2.5v8m-3.5-3.2L8 10.8l3.5-3.5M2.5 13.5h11" />,
  maximise: <path d="M9.5 2.5h4v4m0-4-4.5 4.5M6.5 13.5h-4v-4m0 4L7 9" />,
  file: <path d="M4 2h5l3.5 3.5V14H4ZM9 2v3.5h3.5" />,
  image: <><rect x="2.500" y="3" width="11" height="10" rx="1" /><circle cx="6" cy="6.500" r="1" /><path d="m3.500 12 3.500-3 2 1.500 2-2 2.500 2.500" /></>,
  table: <><rect x="2.500" y="3" width="11" height="10" rx="1" /><path d="M2.500 6.400h11m-11 3.300h11M6.500 6.400V13" /></>,
  code: <path d="M5.500 4.500 2 8l3.500 3.500m5-7L14 8l-3.500 3.500M9 3.500l-2 9" />,
  text: <path d="M3 4h10M3 7h10M3 10h10M3 13h6" />,
  archive: <><rect x="2.500" y="3" width="11" height="3" rx="1" /><path d="M3.500 6v7h9V6M6.500 8.500h3" /></>,
  folder: <path d="M2.500 12.500v-9H6L7.500 5h6v7.500Z" />,
  warning: <path d="M8 2.2 14.5 13.5h-13ZM8 6.5v3.2m0 1.9v.1" />,
  pause: <path d="M5.5 3.5v9m5-9v9" stroke-width="2" />,
  plus: <path d="M8 3v10M3 8h10" />,
  inputs: <><path d="M3.200 2.500h9.600a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H8.500L5 14.200V11.500H3.200a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1Z" /><path d="M6.400 5.400a1.600 1.600 0 1 1 2.100 1.600c-.4.15-.5.4-.5.8m0 1.400v.1" /></>,
  hooks: <path d="M8 2.200a3.700 3.700 0 0 1 3.700 3.700c0 3 1.300 4.300 1.300 5.100H3c0-.8 1.300-2.100 1.300-5.100A3.700 3.700 0 0 1 8 2.200ZM6.600 13.500h2.800" />,
  pin: <path d="M5.600 2.500h4.800l-.6 4.300 2.200 2.400H4l2.200-2.400ZM8 9.200V14" />,
  edit: <path d="m3 13 .7-3L11 2.7 13.3 5 6 12.3Z" />,
} as const;

export type IconName = keyof typeof ICONS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">{ICONS[name] as ComponentChildren}</svg>;
}
