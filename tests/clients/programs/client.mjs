// A correct client of Node's own at level 2 of the client protocol, which polls every 10 seconds whatever it is asked.
import { openAsBlob } from "node:fs";
import { createInterface } from "node:readline";

const PAUSE = 10_000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

async function run(it) {
  const form = new FormData();
  form.append("prompt", it.input.prompt);
  for (const name of ["model", "size"]) if (it.input[name] !== null) form.append(name, it.input[name]);
  for (const { path, filename, content_type: type } of it.input.images)
    form.append("input_reference", await openAsBlob(path, { type }), filename);
  const headers = { Authorization: `Bearer ${it.api_key}` };
  let answer = await fetch(`${it.base_url}/videos`, { method: "POST", headers, body: form });
  if (!answer.ok) throw new Error(await answer.text());
  let job = await answer.json();
  const url = `${it.base_url}/videos/${encodeURIComponent(job.id)}`;
  while (!["completed", "failed", "error"].includes(job.status)) {
    await sleep(PAUSE);
    answer = await fetch(url, { headers });
    if (answer.ok) job = await answer.json();
  }
  return job;
}

async function play(it) {
  const common = { type: "result", id: it.id, video: null, content_path: null, error: null };
  try {
    const { id, status, model, error } = await run(it);
    const outcome = status === "completed" ? "completed" : "failed";
    say({ ...common, outcome, video: { id, status, model }, error: error ? { type: "job", message: error.message } : null });
  } catch (error) {
    say({ ...common, outcome: "error", error: { type: error.name, message: error.message } });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.type === "hello") say({ type: "hello", client: "node", version: process.version, features: {} });
  else if (message.type === "case") await play(message);
}
