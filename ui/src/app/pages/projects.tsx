// The server's projects; nothing is shared between them.
import { useState } from "preact/hooks";
import { useRequest, useTransport } from "../../data/hooks";
import { useSurroundings } from "../../view/context";
import { Button, Dialog, Loading, Problem, useTask } from "../../view/parts";
import { useConfig } from "../config_context";

interface Project {
  name: string;
  state: string;
  reason?: string | null;
}

export function ProjectsPage() {
  const config = useConfig();
  const { may } = useSurroundings();
  const list = useRequest<Project[]>("/projects", true);
  const [isCreating, setCreating] = useState(false);
  return (
    <div class="page narrow">
      <div class="page-head"><h1>Projects</h1><span class="spacer" /><Button icon="plus" disabled={!may("admin")} onClick={() => setCreating(true)}>New project</Button></div>
      {list.error && <Problem error={list.error} retry={list.reload} />}
      {list.isLoading && <Loading />}
      {list.data && (
        <table class="list">
          <thead><tr><th scope="col">Name</th><th scope="col">Process</th></tr></thead>
          <tbody>{list.data.map((project) => (
            <tr key={project.name}>
              <td><a class="cover" href={project.name === "default" ? "./" : `./?project=${encodeURIComponent(project.name)}`}>{project.name}</a>{project.name === config.project && <span class="badge">this one</span>}</td>
              <td class="text">{project.state}{project.reason && `: ${project.reason}`}</td>
            </tr>
          ))}</tbody>
        </table>
      )}
      {isCreating && <NewProject onClose={() => { setCreating(false); list.reload(); }} />}
    </div>
  );
}

function NewProject({ onClose }: { onClose: () => void }) {
  const transport = useTransport();
  const [name, setName] = useState("");
  const task = useTask(async () => {
    await transport.root("POST", "/projects", { name });
    onClose();
  });
  return (
    <Dialog title="New project" onClose={onClose} onSubmit={() => void task.run()} footer={<><Button onClick={onClose}>Close</Button><Button kind="primary" type="submit" disabled={task.isBusy || !name}>Create</Button></>}>
      <label class="field"><span>Name</span><input type="text" required autoFocus value={name} pattern="[a-z0-9][a-z0-9\-]*" onInput={(event) => setName(event.currentTarget.value)} /><small>Lower-case letters, digits and -. It gets data, a process and an environment of its own.</small></label>
      {task.error && <Problem error={task.error} />}
    </Dialog>
  );
}
