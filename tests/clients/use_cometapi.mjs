// The whole flow with cometapi on Node, and so openai-node 6: use_cometapi.mjs PROMPT OUTPUT [IMAGE...]
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";

import { CometAPI } from "cometapi";

const [prompt, output, ...images] = process.argv.slice(2);
const client = new CometAPI(); // finds COMETAPI_BASE_URL and COMETAPI_KEY

// Streams, or files of openai's `toFile`: cometapi 0.1.3 drops a bare Blob without a word.
// The SDK's types know one image; given an array it sends `input_reference[]` for each.
const files = images.map((image) => createReadStream(image));
let video = await client.videos.create({
  prompt,
  model: "veo3-fast",
  ...(files.length > 0 && { input_reference: files.length > 1 ? files : files[0] }),
});
const statuses = [video.status];
while (video.status === "queued" || video.status === "in_progress") {
  await setTimeout(50);
  video = await client.videos.retrieve(video.id);
  statuses.push(video.status);
}
const content = await client.videos.downloadContent(video.id);
await writeFile(output, content.body);
console.log(JSON.stringify({ id: video.id, statuses, path: output }));
