// The board: a column for each state, and the list of exchanges. Long lists draw only the rows that are in sight.
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor.js";
import { Command, Faults, Mark, clockText, counted, html } from "./parts.js";
import { column, fits, linkOf, now, oddity, pathOf, state, trail, view } from "./store.js";

// Rows of one height, of which those in sight are drawn, and a few around.
function Windowed({ items, height, row, label, empty, follow }) {
  const box = useRef(null);
  const [first, setFirst] = useState(0);
  const [count, setCount] = useState(30);
  const look = () => {
    const { scrollTop, clientHeight } = box.current;
    setFirst(Math.max(Math.floor(scrollTop / height) - 4, 0));
    setCount(Math.ceil((clientHeight || 600) / height) + 8);
  };
  useLayoutEffect(look, [items.length]);
  useLayoutEffect(() => { if (follow) box.current.scrollTop = box.current.scrollHeight; }, [follow && items.length]);
  useEffect(() => {
    const watcher = new ResizeObserver(look);
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  return html`<div class="window" ref=${box} onScroll=${look} tabindex=${items.length ? 0 : -1} role=${items.length ? "list" : "group"} aria-label=${label}>
    ${items.length ? html`<div style=${{ height: `${items.length * height}px` }}><div style=${{ transform: `translateY(${first * height}px)` }}>${items.slice(first, first + count).map(row)}</div></div>`
    : html`<p class="empty soft">${state.words.length ? "Nothing here fits the search." : empty}</p>`}</div>`;
}

const COLUMNS = {
  queued: ["Queued", "Jobs wait here for a moment after their create."],
  running: ["In progress", "A poll shows the client this bar's number."],
  completed: ["Completed", "The clip can be fetched and played."],
  failed: ["Failed", "Make one fail: open a job, or arm a scenario under Trouble."],
};

export const clientName = (job) => trail(job.id).client.split(/[ (]/)[0].slice(0, 40).replace("/", " ") || "unknown client";
export const modelNames = ({ alias, model }) => `${alias || "no model"}${alias === model ? "" : ` \u2192 ${model}`}`;
export function Bar({ job, at }) {
  const { progress } = view(job, at);
  return html`<div class="bar ${column(job, at)}" role="progressbar" aria-label="progress" aria-valuenow=${progress}><span style=${{ transform: `scaleX(${progress / 100})` }}></span></div>`;
}

function Card({ job, at }) {
  const { status, progress } = view(job, at);
  const odd = oddity(job, at);
  const frames = Array.from({ length: Math.min(job.kept_images, 2) }, (_, place) =>
    html`<img src=${`./${pathOf(job.id)}/images/${place + 1}`} alt=${place ? "last frame" : "first frame"} width="40" height="24" />`);
  return html`<div role="listitem" class="slot"><a class="card ${column(job, at)}" href=${linkOf(job.id)}>
    <span class="prompt"><bdi>${job.prompt || "no prompt"}</bdi></span>
    <span class="line soft"><span>${modelNames(job)}</span>${job.cost && html`<span>${job.cost}</span>`}</span>
    <span class="line"><span class="soft">${clientName(job)} \u00b7 ${clockText(Math.max(at - job.created, 0))}</span><${Mark} text=${odd} /></span>
    <span class="line state"><span>${status} <b>${progress} %</b></span><${Mark} kind="bad" text=${job.error?.code} />
      <span class="frames soft">${frames.length || !job.images ? frames : counted(job.images, "image")}</span></span>
    <${Bar} job=${job} at=${at} /></a></div>`;
}

export function Board() {
  const at = now();
  const groups = { queued: [], running: [], completed: [], failed: [] };
  for (const job of [...state.jobs.values()].reverse()) if (fits(job.words, trail(job.id).client)) groups[column(job, at)].push(job);
  if (!state.jobs.size) return html`<${Welcome} />`;
  return html`<div class="board">${Object.entries(COLUMNS).map(([key, [title, hint]]) => html`<section class="column ${key}" aria-label=${title}>
    <h2>${title} <span class="count">${groups[key].length}</span></h2>
    <${Windowed} items=${groups[key]} height=${128} label=${title} row=${(job) => html`<${Card} key=${job.id} job=${job} at=${at} />`} empty=${hint} /></section>`)}</div>`;
}

function Welcome() {
  const base = state.world?.base_url;
  return base && html`<div class="nothing"><h2>Waiting for the first request</h2><p>Give your app these two settings, and its jobs appear here:</p>
    <${Command} text=${`export COMETAPI_BASE_URL=${base}\nexport COMETAPI_KEY=sk-mockveo`} /><p>or make one job by hand:</p>
    <${Command} text=${`curl ${base}/videos --header 'Authorization: Bearer sk-mockveo' --form 'prompt=A paper kite floats above a field.'`} />
    <p class="soft">Nothing is paid for and nothing leaves this machine. ${state.exchanges.length > 0 && html`<a href="#/exchanges">${counted(state.exchanges.length, "request")} came, but none made a job.</a>`}</p></div>`;
}

export function Exchanges({ children, chosen }) {
  const fitting = state.exchanges.filter((exchange) => fits(exchange.words, state.jobs.get(exchange.job)?.words));
  const [follow, setFollow] = useState(false);
  const row = (exchange) => html`<div role="listitem" key=${exchange.number}><a class="row ${exchange.tone} ${exchange.number === chosen ? "chosen" : ""}" href=${`#/exchange/${exchange.number}`} aria-current=${exchange.number === chosen}>
    <span class="n soft">${exchange.number}</span><span class="t soft">${clockText(exchange.at)}</span><b class="s">${exchange.status || "\u2717"}</b>
    <span class="what"><b>${exchange.operation || "other"}</b> ${exchange.method} <bdi>${exchange.path}</bdi></span>
    <span class="more"><${Faults} of=${exchange} /><${Mark} text=${exchange.trouble} /><${Mark} text=${exchange.remarks[0]} /> ${exchange.answer}</span></a></div>`;
  return html`<div class="split ${children ? "open" : ""}"><section aria-label="Exchanges">
    <h2>Exchanges <span class="count">${fitting.length}</span> <label class="check"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /> follow</label></h2>
    <${Windowed} items=${follow ? fitting : fitting.reverse()} follow=${follow} height=${34} label="Exchanges" row=${row} empty="No request has come yet. Every request and its answer will be listed here." />
    </section>${children}</div>`;
}
