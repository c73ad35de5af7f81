// An error as a person wants it: what, then where in their code; library frames folded.
import { useState } from "preact/hooks";
import { errorName } from "../core/format";
import type { ErrorShown, ResultShown } from "../core/model";
import { CopyButton } from "./parts";

export function Failure({ error, lastLines }: { error: ErrorShown; lastLines?: ResultShown["last_lines"] }) {
  return (
    <div class="failure">
      <div class="failure-head">
        <div><strong>{errorName(error.type)}</strong>{error.message && <span class="message">{error.message}</span>}</div>
        <CopyButton text={asText(error)} what="traceback" />
      </div>
      {error.frames.length > 0 && <Frames frames={error.frames} />}
      {error.notes?.map((note, i) => <p key={i} class="note">{note}</p>)}
      {lastLines && lastLines.length > 0 && <pre class="preview" aria-label="Last log lines">{lastLines.join("\n")}</pre>}
      {error.cause && <><p class="dim cause">caused by</p><Failure error={error.cause} /></>}
    </div>
  );
}

type Frame = ErrorShown["frames"][number];
const isLibrary = (frame: Frame): boolean => /site-packages|dist-packages|\/lib\/python3|<frozen /.test(frame.file);

function Frames({ frames }: { frames: Frame[] }) {
  const [isAll, setAll] = useState(false);
  const hidden = frames.filter(isLibrary).length;
  const shown = isAll || hidden === frames.length ? frames : frames.filter((frame) => !isLibrary(frame));
  return (
    <ol class="frames">
      {shown.map((frame, i) => (
        <li key={i} class={i === shown.length - 1 ? "last" : ""}>
          <div class="where"><span class="file" title={frame.file}>{shortFile(frame.file)}</span>:{frame.line} <span class="dim">in</span> {frame.function}</div>
          {frame.source && <pre>{frame.source.trim()}</pre>}
        </li>
      ))}
      {hidden > 0 && hidden < frames.length && (
        <li><button type="button" class="linklike" onClick={() => setAll(!isAll)}>{isAll ? "hide library frames" : `${hidden} library frames`}</button></li>
      )}
    </ol>
  );
}

function shortFile(file: string): string {
  const parts = file.split("/");
  return parts.length > 3 ? `…/${parts.slice(-2).join("/")}` : file;
}

/** As Python prints it. */
export function asText(error: ErrorShown): string {
  const cause = error.cause ? `${asText(error.cause)}\n\nThe above exception was the cause of the following one:\n\n` : "";
  const frames = error.frames.map((f) => `  File "${f.file}", line ${f.line}, in ${f.function}${f.source ? `\n    ${f.source.trim()}` : ""}`);
  const head = frames.length ? "Traceback (most recent call last):\n" : "";
  return `${cause}${head}${frames.join("\n")}${frames.length ? "\n" : ""}${errorName(error.type)}: ${error.message}`;
}
