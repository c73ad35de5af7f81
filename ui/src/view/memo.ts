// Skips a component while its properties say the same; Preact keeps this in its compatibility layer.
import { Component, createElement, type ComponentType, type FunctionComponent } from "preact";

export function memo<P extends object>(Inner: FunctionComponent<P>, isSame: (before: P, after: P) => boolean): ComponentType<P> {
  return class Memo extends Component<P> {
    static override displayName = `Memo(${Inner.name})`;

    override shouldComponentUpdate(next: P): boolean {
      return !isSame(this.props as P, next);
    }

    override render() {
      return createElement(Inner, this.props as P);
    }
  };
}
