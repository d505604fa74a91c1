// The board: a column for each state, and the list of exchanges. Long lists draw only the rows that are in sight.
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor.js";
import { Copy, Faults, clockText, counted, html, shortId } from "./parts.js";
import { column, now, oddity, state, trail, view } from "./store.js";

// Rows of one height, of which those in sight are drawn, and a few around.
export function Windowed({ items, height, row, label, empty, follow }) {
  const box = useRef(null);
  const [range, setRange] = useState([0, 30]);
  const look = () => {
    const { scrollTop, clientHeight } = box.current;
    const first = Math.max(Math.floor(scrollTop / height) - 4, 0);
    const next = [first, first + Math.ceil((clientHeight || 600) / height) + 8];
    setRange((old) => (old[0] === next[0] && old[1] === next[1] ? old : next));
  };
  useLayoutEffect(look, [items.length, height]);
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follow && items.length]);
  useEffect(() => {
    const watcher = new ResizeObserver(look);
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  const [first, last] = range;
  const shown = items.slice(first, last);
  return html`<div class="window" ref=${box} onScroll=${look} tabindex=${items.length ? 0 : -1} role=${items.length ? "list" : "group"} aria-label=${label}>
    ${items.length ? html`<div class="sill" style=${{ height: `${items.length * height}px` }}>
      <div class="pane" style=${{ transform: `translateY(${first * height}px)` }}>${shown.map((item, place) => row(item, first + place))}</div></div>` : empty}
  </div>`;
}

const COLUMNS = [
  ["queued", "Queued", "Jobs wait here for a moment after their create."],
  ["running", "In progress", "A poll shows the client this bar's number."],
  ["completed", "Completed", "The clip can be fetched and played."],
  ["failed", "Failed", "Make one fail: open a job, or arm a scenario under Trouble."],
];

export function clientName(agent) {
  const [first] = (agent || "").split(/[ (]/);
  return first ? (first).slice(0, 40).replace("/", " ") : "unknown client";
}

const thumb = (job, place) => `./jobs/${encodeURIComponent(job.id)}/images/${place}`;
export function Frames({ job }) {
  if (!job.images) return null;
  if (!job.kept_images) return html`<span class="frames soft">${counted(job.images, "image")}</span>`;
  return html`<span class="frames">${Array.from({ length: Math.min(job.kept_images, 2) }, (_, place) =>
    html`<img src=${thumb(job, place + 1)} alt=${place ? "last frame" : "first frame"} loading="lazy" width="40" height="40" />`)}</span>`;
}

export function Bar({ job, at }) {
  const { progress, status } = view(job, at);
  return html`<div class="bar ${column(job, at)}" role="progressbar" aria-label=${`progress of ${shortId(job.id)}`} aria-valuenow=${progress} aria-valuemin="0" aria-valuemax="100" aria-valuetext=${`${status}, ${progress} %`}>
    <span style=${{ transform: `scaleX(${progress / 100})` }}></span></div>`;
}

function Card({ job, at }) {
  const { status, progress } = view(job, at);
  const odd = oddity(job, at);
  const known = trail(job.id);
  return html`<div role="listitem" class="slot"><a class="card ${column(job, at)}" href=${`#/job/${encodeURIComponent(job.id)}`}>
    <span class="prompt"><bdi>${job.prompt || html`<i class="soft">no prompt</i>`}</bdi></span>
    <span class="line soft"><span class="model">${job.alias || "no model"}${job.alias !== job.model ? html` <span aria-label="becomes">\u2192</span> ${job.model}` : ""}</span>${job.cost ? html`<span class="cost">${job.cost}</span>` : ""}</span>
    <span class="line"><span class="soft who">${clientName(known.client)} \u00b7 ${clockText(Math.max(at - job.created, 0))}</span>${odd ? html`<span class="mark warn">${odd}</span>` : ""}</span>
    <span class="line state"><span>${status} <b>${progress} %</b></span>${job.error ? html`<span class="mark bad">${job.error.code}</span>` : ""}<${Frames} job=${job} /></span>
    <${Bar} job=${job} at=${at} /></a></div>`;
}

const CARD_HEIGHT = 128;
export function Board({ words }) {
  const at = now();
  const groups = { queued: [], running: [], completed: [], failed: [] };
  for (const job of state.jobs.values()) if (!words || matches(job, words)) groups[column(job, at)].push(job);
  for (const jobs of Object.values(groups)) jobs.reverse();
  if (!state.jobs.size) return html`<${Welcome} />`;
  return html`<div class="board">${COLUMNS.map(([key, title, hint]) => html`<section class="column ${key}" aria-labelledby=${`head-${key}`}>
    <h2 id=${`head-${key}`}>${title} <span class="count">${groups[key].length}</span></h2>
    <${Windowed} items=${groups[key]} height=${CARD_HEIGHT} label=${title} row=${(job) => html`<${Card} key=${job.id} job=${job} at=${at} />`}
      empty=${html`<p class="empty soft">${words ? "No job here fits the search." : hint}</p>`} /></section>`)}</div>`;
}
const matches = (job, words) => words.every((word) => job.words.includes(word) || trail(job.id).client.toLowerCase().includes(word));

function Welcome() {
  const base = state.ready?.base_url || `${location.origin}/v1`;
  const exports = `export COMETAPI_BASE_URL=${base}\nexport COMETAPI_KEY=sk-mockveo`;
  const curl = `curl ${base}/videos --header 'Authorization: Bearer sk-mockveo' --form 'prompt=A paper kite floats above a field.'`;
  return html`<div class="welcome">
    <p class="pulse" aria-hidden="true"></p>
    <h2>Waiting for the first request</h2>
    <p>Give your app these two settings, and its jobs appear here:</p>
    <div class="command"><pre tabindex="0">${exports}</pre><${Copy} text=${exports} /></div>
    <p>or make one job by hand:</p>
    <div class="command"><pre tabindex="0">${curl}</pre><${Copy} text=${curl} /></div>
    <p class="soft">Nothing is paid for and nothing leaves this machine. ${state.exchanges.length ? html`<a href="#/exchanges">${counted(state.exchanges.length, "request")} came, but none made a job.</a>` : ""}</p>
  </div>`;
}

const ROW_HEIGHT = 34;
export function Line({ exchange, chosen }) {
  return html`<div role="listitem" class="row-slot"><a class="row ${exchange.tone} ${chosen ? "chosen" : ""}" href=${`#/exchange/${exchange.number}`} aria-current=${chosen ? "true" : undefined}>
    <span class="n">${exchange.number}</span><span class="t">${clockText(exchange.at)}</span><b class="s">${exchange.status || "\u2717"}</b>
    <span class="what"><b>${exchange.operation || "other"}</b> ${exchange.method} <bdi>${exchange.path}</bdi></span>
    <span class="more"><${Faults} of=${exchange} />${exchange.trouble ? html`<span class="mark warn">${exchange.trouble}</span>` : ""}${exchange.deviations.length ? html`<span class="mark warn">${exchange.deviations[0]}</span>` : ""}
      ${exchange.answer}</span></a></div>`;
}
export function Exchanges({ words, children, chosen }) {
  const fitting = words ? state.exchanges.filter((exchange) => {
    exchange.words ||= `${exchange.line} ${exchange.client} ${exchange.job}`.toLowerCase();
    return words.every((word) => exchange.words.includes(word) || state.jobs.get(exchange.job)?.words.includes(word));
  }) : state.exchanges;
  const [follow, setFollow] = useState(false);
  return html`<div class="split ${children ? "open" : ""}"><section aria-labelledby="head-exchanges">
    <h2 id="head-exchanges">Exchanges <span class="count">${fitting.length}</span>
      <label class="check"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /> follow</label></h2>
    ${state.lost ? html`<p class="soft">${counted(state.lost, "exchange")} came too fast or long ago, and the server no longer has them.</p>` : ""}
    <${Windowed} items=${follow ? fitting : fitting.slice().reverse()} follow=${follow} height=${ROW_HEIGHT} label="Exchanges" row=${(exchange) => html`<${Line} key=${exchange.number} exchange=${exchange} chosen=${exchange.number === chosen} />`}
      empty=${html`<p class="empty soft">${words ? "No exchange fits the search." : "No request has come yet. Every request and its answer will be listed here."}</p>`} />
    </section>${children}</div>`;
}
