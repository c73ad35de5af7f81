// A link to a place: a real address for new tabs, and no page load for a plain click.
import type { JSX } from "preact";
import type { Place } from "../core/route";
import { useSurroundings } from "./context";

type LinkProps = Omit<JSX.IntrinsicElements["a"], "href" | "role"> & { role?: "tab" | "menuitem" | "option"; to: Place; environment?: string | null; replace?: boolean };

export function Link({ to, environment, replace, onClick, children, ...rest }: LinkProps) {
  const { nav } = useSurroundings();
  return (
    <a
      {...rest} href={nav.href(to, environment)}
      onClick={(event) => {
        (onClick as ((event: MouseEvent) => void) | undefined)?.(event);
        if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        nav.go(to, { environment, replace });
      }}
    >
      {children}
    </a>
  );
}
