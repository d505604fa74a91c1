// Requests with Node's own fetch: each line of standard input is one, as JSON, and what came of it is a line of output.
import { createInterface } from "node:readline";

async function probe({ url, form, timeout, ...options }) {
  // Not FormData, which Node 20 sends again after a redirect with another boundary than its Content-Type names.
  if (form) options.body = new URLSearchParams(form);
  const seen = { status: 0, headers: {}, url: "", error: "" };
  const chunks = [];
  const begun = performance.now();
  try {
    const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(timeout) });
    Object.assign(seen, { status: answer.status, headers: Object.fromEntries(answer.headers), url: answer.url });
    for await (const chunk of answer.body ?? []) chunks.push(chunk);
  } catch (error) {
    seen.error = error.cause?.code ?? error.name;
  }
  return { ...seen, elapsed: performance.now() - begun, body: Buffer.concat(chunks).toString("base64") };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await probe(JSON.parse(line))));
}
