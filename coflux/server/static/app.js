// Recent runs of a project, read through the API.
const config = JSON.parse(document.getElementById("coflux-config").textContent);
const message = document.getElementById("message");
const table = document.querySelector("table");

document.getElementById("project").textContent = `project ${config.project}`;

function row(run) {
  const line = document.createElement("tr");
  const created = new Date(run.created_at).toLocaleString();
  for (const text of [run.run, run.target, run.environment, run.status, created]) {
    line.append(Object.assign(document.createElement("td"), { textContent: text }));
  }
  return line;
}

async function show() {
  const path = `${config.api}/projects/${encodeURIComponent(config.project)}/runs`;
  const response = await fetch(path);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error.message);
  table.tBodies[0].replaceChildren(...body.map(row));
  table.hidden = body.length === 0;
  message.textContent = body.length === 0 ? "No runs yet." : "";
}

async function keepShowing() {
  try {
    await show();
  } catch (error) {
    message.textContent = error.message;
  }
  setTimeout(keepShowing, 2000);
}

keepShowing();
