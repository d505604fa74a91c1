// A client by the SDK of openai for Node, or of cometapi: `with_openai.mjs openai|cometapi DIRECTORY`, which has node_modules.
// Its own retries are off, as they would send a create again whose answer was lost, and two images are sent by `post`,
// as `videos.create` would name them `input_reference[]`. Redirects of a create are not followed, as in with_fetch.mjs.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

import { files, form, speak, texts } from "./course.mjs";

const [name, directory] = process.argv.slice(2);
const sdk = createRequire(resolve(directory, "package.json"))(name);
const { version } = JSON.parse(readFileSync(join(directory, "node_modules", name, "package.json")));
const Sdk = sdk[{ openai: "OpenAI", cometapi: "CometAPI" }[name]];

async function ask(client, { operation, job, case: given, signal }) {
  if (operation === "retrieve") return client.videos.retrieve(job, { signal }).asResponse();
  if (operation === "content") return client.videos.downloadContent(job, {}, { signal });
  const images = await files(given);
  const options = { signal, fetchOptions: { redirect: "manual" } };
  if (images.length > 1) return client.post("/videos", { body: await form(given), ...options }).asResponse();
  const body = { ...texts(given), ...(images.length > 0 && { input_reference: images[0] }) };
  return client.videos.create(body, options).asResponse();
}

speak(name, version, async (request) => {
  const client = new Sdk({ baseURL: request.case.base_url, apiKey: request.case.api_key, maxRetries: 0 });
  try {
    return await ask(client, request);
  } catch (error) {
    if (!error.status) throw error;
    // The SDK keeps the `error` of a body alone, so there is nothing left of one that is flat.
    return new Response(JSON.stringify({ error: error.error }), { status: error.status, headers: error.headers });
  }
});
