// What the dashboard and the HTML report share: text made safe to look at, and the picture of a sequence.
import { html as bare, useState } from "./vendor.js";

// Characters that hide, or turn the direction of what follows; shown by their code points. Text is never read as HTML.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\p{Cs}/gu;
export const printable = (text) =>
  String(text ?? "").replace(UNSEEN, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
// Every text that enters a template, wherever it comes from.
export const html = (strings, ...values) => bare(strings, ...values.map((value) => (typeof value === "string" ? printable(value) : value)));
export const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
export const shortId = (id) => (id && id.length > 20 ? `${id.slice(0, 9)}\u2026${id.slice(-4)}` : id || "");

// The words of rules mark code with backticks.
export const rich = (text) =>
  printable(text).split(/`([^`]+)`/).map((part, place) => (place % 2 ? html`<code>${part}</code>` : part));

export const clockText = (seconds) => {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "\u221e";
  const whole = Math.abs(seconds);
  if (whole < 10) return `${seconds.toFixed(whole < 1 ? 3 : 2)} s`;
  if (whole < 120) return `${seconds.toFixed(1)} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min ${Math.floor(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
};
export const bytesText = (bytes) =>
  bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages from a file, or without a permission, still have the old way.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

export function Copy({ text, label = "Copy", title }) {
  const [done, setDone] = useState(false);
  const click = async (event) => {
    event.preventDefault();
    await copyText(typeof text === "function" ? await text() : text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button class="copy" onClick=${click} title=${title} aria-live="polite">${done ? "Copied" : label}</button>`;
}

// The faults that struck an exchange.
export const Faults = ({ of: { faults } }) => (faults.length ? html`<span class="mark fault">\u2691 ${faults.join(", ")}</span>` : "");

export const Command = ({ text }) => html`<div class="command"><code>${text}</code><${Copy} text=${text} /></div>`;

// Client on the left, server on the right, time downwards: what was sent, lost, cut, late, and how long it was quiet.
export function Sequence({ exchanges, marks = [], pace = 1, open, limit = 40, restarts = [] }) {
  const near = new Set(exchanges.flatMap(({ number }, place) => (marks.includes(number) ? [place - 2, place - 1, place, place + 1] : [])));
  const shown = exchanges.length <= limit ? exchanges : exchanges.filter((_, place) => near.has(place) || place < 2 || place >= exchanges.length - 2).slice(0, limit);
  const first = shown[0];
  const places = new Map(exchanges.map((exchange, place) => [exchange, place]));
  let before = null;
  const rows = [];
  for (const exchange of shown) {
    if (before) {
      const skipped = places.get(exchange) - places.get(before) - 1;
      const gap = (exchange.at - before.at) / pace - before.ms / 1000;
      const early = before.wait !== null && before.wait > 0 && gap < before.wait;
      const text = [skipped > 0 && `\u2026 ${skipped} more`, gap >= 0.01 && clockText(gap), before.wait > 0 && (early
        ? `asked to wait ${clockText(before.wait)}, came too early` : `waited as asked (${clockText(before.wait)})`)].filter(Boolean).join(" \u00b7 ");
      if (text) rows.push(html`<li class="gap ${early ? "early" : before.wait > 0 ? "waited" : ""}"><span>${text}</span></li>`);
    }
    if (restarts.includes(exchange.number)) rows.push(html`<li class="gap early"><span>the client was killed and started again</span></li>`);
    const marked = marks.includes(exchange.number);
    const ask = html`<span class="number">${exchange.number}</span> ${exchange.method} ${exchange.path.replace(/task_\w{12,}/, shortId)}${exchange.files ? html` <small>${counted(exchange.files, "file")}</small>` : ""}`;
    rows.push(html`<li class="step ${marked ? "marked" : ""} ${exchange.fate} ${exchange.tone}">
      <span class="at">${clockText((exchange.at - first.at) / pace)}</span>
      <div class="lane">
        ${open ? html`<button class="ask" onClick=${() => open(exchange.number)}>${ask}</button>` : html`<div class="ask">${ask}</div>`}
        <div class="answer">${exchange.status || ""} ${exchange.answer} ${exchange.trouble && html`<em>${exchange.status ? "" : "\u2717 "}${exchange.trouble}</em>`} ${exchange.status ? html`<${Faults} of=${exchange} />` : ""}</div>
      </div>
    </li>`);
    before = exchange;
  }
  if (!rows.length) return null;
  return html`<div class="sequence"><div class="ends" aria-hidden="true"><span>client</span><span>server</span></div><ol aria-label="Sequence of exchanges">${rows}</ol></div>`;
}

// Headers and bodies of an exchange in its JSON form.
export function Wire({ exchange }) {
  const { request, response } = exchange;
  const Headers = ({ list }) => html`<table class="headers"><tbody>${(list || []).map(([name, value]) =>
    html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody></table>`;
  const text = response && response.body !== null && response.body !== undefined
    ? (typeof response.body === "string" ? response.body : JSON.stringify(response.body, null, 2)) : null;
  return html`<div class="wire">
    <section><h4>Request <code>${request.method} ${request.path}${request.query ? `?${request.query}` : ""}</code></h4>
      ${(request.fields || []).length || (request.files || []).length ? html`<table class="form"><caption>Form</caption><tbody>
        ${(request.fields || []).map((field) => html`<tr><th scope="row">${field.name}</th><td>${typeof field.value === "string" ? field.value : JSON.stringify(field.value)}</td></tr>`)}
        ${(request.files || []).map((file) => html`<tr><th scope="row">${file.name}</th><td>${file.filename ?? "(no name)"} <small>${file.content_type || "no type"}${file.bytes !== undefined ? `, ${bytesText(file.bytes)}` : ""}${file.sha256 ? `, sha256 ${file.sha256.slice(0, 12)}\u2026` : ""}</small></td></tr>`)}
      </tbody></table>` : html`<p class="soft">${request.body_bytes ? `A body of ${bytesText(request.body_bytes)}.` : "No body."}</p>`}
      <${Headers} list=${request.headers} /></section>
    <section><h4>Response ${response ? html`<code>${response.status}</code> <small>${response.body_bytes >= 0 ? bytesText(response.body_bytes || 0) : ""}${exchange.duration_ms ? ` in ${clockText(exchange.duration_ms / 1000)}` : ""}</small>` : html`<em>none was sent</em>`}</h4>
      ${text !== null ? html`<pre class="body" tabindex="0">${text.slice(0, 20000)}</pre>` : response ? html`<p class="soft">${response.body_bytes ? "Bytes, not kept here." : "Empty."}</p>` : null}
      ${response ? html`<${Headers} list=${response.headers} />` : null}</section>
  </div>`;
}
