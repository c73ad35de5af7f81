// Search over everything, by keyboard alone.
import { useEffect, useRef, useState } from "preact/hooks";
import { rank, type Candidate } from "../core/search";
import { useSurroundings } from "../view/context";
import { Icon, type IconName } from "../view/icon";
import { useCandidates } from "./candidates";

const KIND_ICONS: Record<Candidate["kind"], IconName> = { page: "home", workflow: "workflow", run: "runs", agent: "agents", environment: "environments", asset: "file", input: "inputs" };

export function Palette({ onClose }: { onClose: () => void }) {
  const { nav } = useSurroundings();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const ref = useRef<HTMLDialogElement>(null);
  const found = rank(useCandidates(text), text, 12);
  useEffect(() => {
    if (ref.current && !ref.current.open) ref.current.showModal();
  }, []);
  const open = (candidate: Candidate | undefined): void => {
    if (!candidate) return;
    nav.go(candidate.place, candidate.environment !== undefined ? { environment: candidate.environment } : {});
    onClose();
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt((at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % Math.max(1, found.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (found[at]) open(found[at]);
      else {
        nav.go({ page: "search", q: text });
        onClose();
      }
    }
    event.stopPropagation();
  };
  return (
    <dialog ref={ref} class="palette" aria-label="Search" onCancel={(event) => { event.preventDefault(); onClose(); }} onClick={(event) => { if (event.target === ref.current) onClose(); }} onKeyDown={onKey}>
      <div class="palette-input">
        <Icon name="search" size={18} />
        <input
          type="text" autoFocus value={text} placeholder="Workflows, runs, ids, agents, environments, pages" role="combobox" aria-label="Search" aria-expanded="true" aria-controls="palette-list"
          aria-activedescendant={found[at] ? `palette-${at}` : undefined} onInput={(event) => { setText(event.currentTarget.value); setAt(0); }}
        />
      </div>
      <ul id="palette-list" role="listbox" aria-label="Found">
        {found.map((candidate, i) => (
          <li key={candidate.kind + candidate.label} id={`palette-${i}`} role="option" aria-selected={i === at} onPointerMove={() => setAt(i)} onClick={() => open(candidate)}>
            <Icon name={KIND_ICONS[candidate.kind]} /><span>{candidate.label}</span><span class="dim clip">{candidate.about}</span>
          </li>
        ))}
        {!found.length && <li class="dim" role="option" aria-selected="false">Nothing found. Enter searches the older runs.</li>}
      </ul>
    </dialog>
  );
}
