// Short messages about what was done, some with a way back.
import { useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../view/parts";

interface Toast {
  id: number;
  text: string;
  action?: { label: string; run: () => void } | undefined;
}

export interface ToastList {
  shown: Toast[];
  add: (text: string, action?: Toast["action"]) => void;
  remove: (id: number) => void;
}

export function useToasts(): ToastList {
  const [shown, setShown] = useState<Toast[]>([]);
  const next = useRef(1);
  const actions = useMemo(() => {
    const remove = (id: number): void => setShown((old) => old.filter((toast) => toast.id !== id));
    const add: ToastList["add"] = (text, action) => {
      const id = next.current++;
      setShown((old) => [...old.slice(-2), { id, text, action }]);
      setTimeout(() => remove(id), action ? 10_000 : 5000);
    };
    return { add, remove };
  }, []);
  return { shown, ...actions };
}

export function Toasts({ toasts }: { toasts: ToastList }) {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.shown.map((toast) => (
        <div class="toast" key={toast.id}>
          <span>{toast.text}</span>
          {toast.action && <Button small onClick={() => { toast.action!.run(); toasts.remove(toast.id); }}>{toast.action.label}</Button>}
          <Button kind="quiet" small icon="close" label="Dismiss" onClick={() => toasts.remove(toast.id)} />
        </div>
      ))}
    </div>
  );
}
