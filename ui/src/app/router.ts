// The browser's address as a signal. Belongs here: history and location, which nothing else touches.
import { signal } from "@preact/signals";
import { formatAddress, parseAddress, type Address, type Place } from "../core/route";

export class Router {
  readonly address;

  constructor(private readonly base: string) {
    this.address = signal<Address>(this.read());
    addEventListener("popstate", () => {
      this.address.value = this.read();
    });
  }

  private read(): Address {
    const path = location.pathname.startsWith(this.base) ? location.pathname.slice(this.base.length) : location.pathname;
    return parseAddress(path, location.search);
  }

  href(place: Place, environment?: string | null): string {
    const { environment: current, project } = this.address.value;
    return formatAddress({ place, environment: environment === undefined ? current : environment, project });
  }

  go(place: Place, options: { replace?: boolean; environment?: string | null } = {}): void {
    const href = this.href(place, options.environment);
    const url = new URL(href, new URL(this.base, location.origin));
    if (url.href === location.href) return;
    if (options.replace) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
    const before = this.address.value.place;
    this.address.value = this.read();
    if (before.page !== this.address.value.place.page) scrollTo(0, 0);
  }
}
