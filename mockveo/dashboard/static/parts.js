// What the dashboard and the HTML report share: text made safe to look at, and the picture of a sequence.
import { html as bare, useState } from "./vendor.js";

// Characters that hide, or turn the direction of what follows; shown by their code points. Text is never read as HTML.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\p{Cs}/gu;
export const printable = (text) =>
  String(text ?? "").replace(UNSEEN, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
// Every text that enters a template, wherever it comes from.
export const html = (strings, ...values) => bare(strings, ...values.map((value) => (typeof value === "string" ? printable(value) : value)));
export const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
export const shortId = (id) => (id.length > 20 ? `${id.slice(0, 9)}\u2026${id.slice(-4)}` : id);
// The words of rules mark code with backticks.
export const rich = (text) => printable(text).split("`").map((part, place) => (place % 2 ? html`<code>${part}</code>` : part));

export const clockText = (seconds) => {
  const whole = Math.abs(seconds);
  if (whole < 120) return `${seconds.toFixed(whole < 1 ? 3 : whole < 10 ? 2 : 1)} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min ${Math.floor(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
};

export function Copy({ text, label = "Copy", title }) {
  const [done, setDone] = useState(false);
  const click = async () => {
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
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button class="copy" onClick=${click} title=${title} aria-live="polite">${done ? "Copied" : label}</button>`;
}
export const Command = ({ text }) => html`<div class="command"><code>${text}</code><${Copy} text=${text} /></div>`;

export const Mark = ({ text, kind = "warn" }) => text && html`<span class="mark ${kind}">${text}</span>`;
// The faults that struck an exchange.
export const Faults = ({ of: { faults } }) => faults.length > 0 && html`<${Mark} text=${`\u2691 ${faults.join(", ")}`} />`;
export const small = (label, onClick, more) => html`<button class="small" onClick=${onClick} ...${more}>${label}</button>`;

// Client on the left, server on the right, time downwards: what was sent, lost, cut, late, and how long it was quiet.
export function Sequence({ exchanges, marks = [], pace = 1, open, limit = 40 }) {
  const near = new Set(exchanges.flatMap(({ number }, place) => (marks.includes(number) ? [place - 2, place - 1, place, place + 1] : [])));
  const isShown = (place) => exchanges.length <= limit || near.has(place) || place < 2 || place >= exchanges.length - 2;
  const places = [...exchanges.keys()].filter(isShown).slice(0, limit);
  const rows = places.flatMap((place, row) => {
    const exchange = exchanges[place];
    const ask = html`<span class="soft">${exchange.number}</span> ${exchange.method} ${exchange.path.replace(/task_\w{12,}/, shortId)} ${exchange.files > 0 && html`<small>${counted(exchange.files, "file")}</small>`}`;
    return [row > 0 && quiet(exchanges[places[row - 1]], exchange, place - places[row - 1] - 1), html`<li class="step ${marks.includes(exchange.number) ? "marked" : ""} ${exchange.fate} ${exchange.tone}">
      <span class="at">${clockText((exchange.at - exchanges[0].at) / pace)}</span>
      <div class="lane">
        ${open ? html`<button class="ask" onClick=${() => open(exchange.number)}>${ask}</button>` : html`<div class="ask">${ask}</div>`}
        <div class="answer">${exchange.status || "\u2717"} ${exchange.answer} ${exchange.trouble && html`<em>${exchange.trouble}</em>`} ${exchange.status > 0 && html`<${Faults} of=${exchange} />`}</div>
      </div></li>`];
  });
  function quiet(before, after, skipped) {
    const gap = (after.at - before.at) / pace - before.ms / 1000;
    const early = gap < before.wait;
    const words = [skipped > 0 && `\u2026 ${skipped} more`, gap >= 0.01 && clockText(gap), before.wait > 0 && (early
      ? `asked to wait ${clockText(before.wait)}, came too early` : `waited as asked (${clockText(before.wait)})`)].filter(Boolean);
    return words.length > 0 && html`<li class="gap ${early ? "early" : before.wait > 0 ? "waited" : ""}"><span>${words.join(" \u00b7 ")}</span></li>`;
  }
  return rows.length > 0 && html`<div class="sequence"><div class="ends" aria-hidden="true"><span>client</span><span>server</span></div><ol aria-label="Sequence of exchanges">${rows}</ol></div>`;
}

// Headers and bodies of an exchange.
export function Wire({ messages }) {
  const table = (pairs, caption) => pairs.length > 0 && html`<table class=${caption}><caption>${caption}</caption><tbody>${pairs.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody></table>`;
  return html`<div class="wire">${messages.map(({ title, line, note, form, headers, body }) => html`<section><h3>${title} <code>${line}</code> <small>${note}</small></h3>
    ${table(form, "form")}${body && html`<pre class="body" tabindex="0">${body}</pre>`}${table(headers, "headers")}</section>`)}</div>`;
}
