// The SDK of openai or of cometapi for Node as its pages show it: `as_it_comes.mjs openai|cometapi DIRECTORY`, which has
// node_modules. Its own retries, several images as an array, a loop of one's own, as it has no poller, and whatever is not
// completed taken for failed. The one timeout that it takes is the deadline.
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";

import { FEATURES, files, listen, texts } from "./course.mjs";

const [name, directory] = process.argv.slice(2);
const sdk = createRequire(resolve(directory, "package.json"))(name);
const { version } = JSON.parse(readFileSync(join(directory, "node_modules", name, "package.json")));
const Sdk = sdk[{ openai: "OpenAI", cometapi: "CometAPI" }[name]];

async function result(given) {
  const client = new Sdk({ baseURL: given.base_url, apiKey: given.api_key, timeout: given.deadline_s * 1000 });
  const images = await files(given);
  const reference = images.length > 0 && { input_reference: images.length > 1 ? images : images[0] };
  let video = await client.videos.create({ ...texts(given), ...reference });
  while (video.status === "queued" || video.status === "in_progress") {
    await setTimeout(given.poll_interval_s * 1000);
    video = await client.videos.retrieve(video.id);
  }
  const common = { video: { id: video.id, status: video.status, model: video.model } };
  if (video.status !== "completed")
    return { outcome: "failed", ...common, error: { type: "failed", message: JSON.stringify(video.error ?? null) } };
  const path = join(given.state_dir, "video.mp4");
  await writeFile(path, (await client.videos.downloadContent(video.id)).body);
  return { outcome: "completed", ...common, content_path: path };
}

listen(name, version, FEATURES, (given) =>
  result(given).catch((error) => ({
    outcome: "error",
    error: { type: error.constructor.name, message: String(error.message) },
  })),
);
