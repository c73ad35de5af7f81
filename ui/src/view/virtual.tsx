// A list of fixed-height rows of which only those in view exist. Positions are arithmetic, so a million rows
// jump as fast as ten.
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** Browsers clamp taller scrollers. */
const TALLEST = 16_000_000;

export interface VirtualProps {
  count: number;
  height: number;
  render: (index: number) => ComponentChildren;
  class?: string;
  label: string;
  role?: string;
  /** Scroll this row into view when it changes. */
  reveal?: number | null;
  header?: ComponentChildren;
  scroller?: RefObject<HTMLDivElement | null>;
  onScroll?: (element: HTMLDivElement) => void;
}

export function Virtual({ count, height, render, class: more, label, role = "list", reveal, header, scroller, onScroll }: VirtualProps) {
  const own = useRef<HTMLDivElement>(null);
  const ref = scroller ?? own;
  const [view, setView] = useState({ top: 0, size: 600 });
  const measure = (): void => {
    const element = ref.current;
    if (!element) return;
    setView((old) => {
      const top = Math.floor(element.scrollTop / height) * height;
      return old.top === top && old.size === element.clientHeight ? old : { top, size: element.clientHeight };
    });
  };
  useLayoutEffect(() => {
    const element = ref.current!;
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const element = ref.current;
    if (reveal === null || reveal === undefined || !element) return;
    const y = reveal * height;
    if (y < element.scrollTop || y + height * 2 > element.scrollTop + element.clientHeight) {
      element.scrollTop = Math.max(0, y - element.clientHeight / 3);
    }
  }, [reveal]);
  const shown = Math.min(count, Math.floor(TALLEST / height));
  const first = Math.max(0, Math.min(shown, Math.floor(view.top / height)) - 8);
  const last = Math.min(shown, Math.ceil((view.top + view.size) / height) + 8);
  const rows: ComponentChildren[] = [];
  for (let i = first; i < last; i++) rows.push(render(i));
  return (
    <div ref={ref} class={more ? `virtual ${more}` : "virtual"} tabIndex={0} aria-label={label} role={role as "list"} onScroll={(event) => { measure(); onScroll?.(event.currentTarget); }}>
      {header}
      <div class="virtual-space" role="presentation" style={{ height: `${shown * height}px` }}>
        <div class="virtual-rows" role="presentation" style={{ transform: `translateY(${first * height}px)` }}>{rows}</div>
      </div>
    </div>
  );
}
