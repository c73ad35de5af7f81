// Colours that programs print, as text spans; other control codes are dropped. Never HTML strings.
import Anser from "anser";

export function Ansi({ text }: { text: string }) {
  if (!text.includes("\u001b")) return <>{clean(text)}</>;
  const parts = Anser.ansiToJson(text, { json: true, remove_empty: true, use_classes: true });
  return <>{parts.map((part, i) => <span key={i} class={classes(part.fg, part.bg, part.decorations)}>{clean(part.content)}</span>)}</>;
}

function classes(fg: string | null, bg: string | null, decorations: readonly string[]): string {
  return [fg && `a-${fg.replace("ansi-", "")}`, bg && `b-${bg.replace("ansi-", "")}`, ...decorations.map((name) => `d-${name}`)].filter(Boolean).join(" ");
}

const CONTROL = /\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

export function clean(text: string): string {
  return text.replace(CONTROL, "");
}
