// A client by what Node has on board, fetch and FormData. It does not follow redirects of its create: fetch sends a form on
// under another boundary than its Content-Type names.
import { form, speak } from "./course.mjs";

speak("fetch", process.versions.node, async ({ operation, job, case: given, signal }) => {
  const url = [`${given.base_url}/videos`, job && encodeURIComponent(job), operation === "content" && operation].filter(Boolean).join("/");
  const headers = { Authorization: `Bearer ${given.api_key}` };
  return operation === "create"
    ? fetch(url, { method: "POST", body: await form(given), headers, signal, redirect: "manual" })
    : fetch(url, { headers, signal });
});
