// The whole flow with what Node has on board, fetch and FormData: use_fetch.mjs PROMPT OUTPUT [IMAGE...]
import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout } from "node:timers/promises";

const [prompt, output, ...images] = process.argv.slice(2);
const url = `${process.env.COMETAPI_BASE_URL}/videos`;

async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${process.env.COMETAPI_KEY}` };
  const answer = await fetch(url + path, { ...options, headers });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer;
}

const form = new FormData(); // and no Content-Type of one's own: fetch knows the boundary
form.append("prompt", prompt);
form.append("model", "veo3-fast");
for (const image of images) form.append("input_reference", await openAsBlob(image), basename(image));
let video = await (await ask("", { method: "POST", body: form })).json();
const statuses = [video.status];
while (video.status === "queued" || video.status === "in_progress") {
  await setTimeout(50);
  video = await (await ask(`/${video.id}`)).json();
  statuses.push(video.status);
}
await writeFile(output, (await ask(`/${video.id}/content`)).body);
console.log(JSON.stringify({ id: video.id, statuses, path: output }));
