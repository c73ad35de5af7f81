// The keyboard: `g` and a letter goes to a page, `/` searches, `?` shows this list.
import { useEffect, useRef } from "preact/hooks";
import { Dialog } from "../view/parts";
import { PAGES } from "./app";
import type { Router } from "./router";

export function useKeys(router: Router, on: { onSearch: () => void; onHelp: () => void }): void {
  const handlers = useRef(on);
  handlers.current = on;
  useEffect(() => {
    let isGoing = false;
    let timer: ReturnType<typeof setTimeout>;
    const onKey = (event: KeyboardEvent): void => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        handlers.current.onSearch();
        return;
      }
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, dialog, [contenteditable]")) return;
      if (isGoing) {
        isGoing = false;
        const page = PAGES.find((candidate) => candidate.key === event.key);
        if (page) {
          event.preventDefault();
          router.go(page.place);
        }
        return;
      }
      if (event.key === "g") {
        isGoing = true;
        clearTimeout(timer);
        timer = setTimeout(() => { isGoing = false; }, 1500);
      } else if (event.key === "/") {
        event.preventDefault();
        handlers.current.onSearch();
      } else if (event.key === "?") handlers.current.onHelp();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [router]);
}

const SHEET: [string, string][] = [
  ["/ or Ctrl K", "search"],
  ["Esc", "close the panel, dialog or menu"],
  ["Ctrl Enter", "submit the dialog"],
  ["arrows", "in the graph: to what it came from, to what comes of it, up and down"],
  ["Space", "in the graph: open or close a stack"],
  ["+  −  0", "in the graph: zoom in, out, show all"],
  ["f  r", "in the graph: next failed, next running"],
];

export function Keys({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="facts keys">
        {PAGES.map((page) => <><dt key={page.key}><kbd>g</kbd> <kbd>{page.key}</kbd></dt><dd>{page.label}</dd></>)}
        {SHEET.map(([keys, what]) => <><dt key={keys}><kbd>{keys}</kbd></dt><dd>{what}</dd></>)}
      </dl>
    </Dialog>
  );
}
