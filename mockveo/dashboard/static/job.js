// One job: its axis of time with states and exchanges, its clip and frames, and every exchange in full.
import { useEffect, useState } from "./vendor.js";
import { Copy, Faults, Mark, Sequence, Wire, clockText, counted, html, rich, shortId, small } from "./parts.js";
import { Bar, clientName, modelNames } from "./board.js";
import { act, api, byNumber, column, findingsOf, hasEnded, linkOf, now, oddity, pace, pathOf, state, trail, view } from "./store.js";
import { Panel, ScenarioPick } from "./tools.js";

const MAX_MARKS = 240;

const nice = (span) => {
  const unit = 10 ** Math.floor(Math.log10(span / 6));
  return unit * ([1, 2, 5].find((factor) => factor * unit >= span / 6) || 10);
};

// States underneath, exchanges above: polls as dots, downloads as bars, faults as flags, Retry-After as a shaded span.
function Axis({ job, chosen, choose }) {
  const at = now();
  const { exchanges } = trail(job.id);
  const [hovered, setHovered] = useState(null);
  const speed = pace();
  const start = job.created;
  const lastAt = exchanges.at(-1)?.at ?? start;
  const span = (Math.max(lastAt, job.ends ?? Math.min(at, lastAt + 600), start + 1) - start) * 1.03;
  const percent = (time) => Math.min(Math.max(((time - start) / span) * 100, 0), 100);
  const placed = (from, to) => ({ left: `${percent(from)}%`, ...(to !== undefined && { width: `${percent(to) - percent(from)}%` }) });
  const guilty = new Set(state.findings.flatMap((finding) => finding.exchanges));
  const matters = (exchange) => exchange.faults.length > 0 || guilty.has(exchange.number);
  const bins = new Map();
  for (const exchange of exchanges) {
    const bin = exchanges.length > MAX_MARKS ? Math.round(((exchange.at - start) / span) * MAX_MARKS) : exchange.number;
    const [old, count] = bins.get(bin) || [exchange, 0];
    bins.set(bin, [matters(exchange) ? exchange : old, count + 1]);
  }
  const polls = exchanges.filter(({ operation }) => operation === "retrieve");
  const gaps = polls.slice(1).map((poll, place) => [polls[place].at, poll.at]);
  const usual = gaps.map(([from, to]) => to - from).sort((a, b) => a - b)[gaps.length >> 1] || 0;
  const mark = ([exchange, count]) => {
    const { number, operation, faults } = exchange;
    const text = `exchange ${number}${count > 1 ? ` and ${count - 1} more` : ""}: ${operation} ${exchange.status || "no answer"} ${exchange.answer} at ${clockText(exchange.at - start)} ${exchange.trouble} ${faults.join(", ")}`;
    const begun = exchange.at - (exchange.ms / 1000) * speed;
    return html`<button key=${number} class="dot ${operation} ${exchange.tone} ${exchange.fate} ${guilty.has(number) ? "guilty" : ""} ${count > 1 ? "many" : ""}"
      style=${["content", "delivery"].includes(operation) ? { minWidth: "10px", ...placed(begun, exchange.at) } : placed(exchange.at)} aria-label=${text} aria-pressed=${number === chosen}
      onMouseEnter=${() => setHovered(number)} onMouseLeave=${() => setHovered(null)} onFocus=${() => setHovered(number)} onBlur=${() => setHovered(null)} onClick=${() => choose(number)}>${faults.length > 0 && html`<i aria-hidden="true">\u2691</i>`}</button>`;
  };
  const stage = ({ status, progress, at: from }, place, all) => html`<span class="stage ${place === all.length - 1 && job.ends !== null ? (progress === 100 ? "completed" : "failed") : status === "queued" ? "queued" : "running"} ${from > at ? "future" : ""}"
    style=${placed(from, all[place + 1]?.at ?? start + span)} title=${`${status} from ${clockText(from - start)}`}>${status}</span>`;
  const shown = byNumber(hovered ?? chosen);
  const step = nice(span);
  return html`<figure class="axis" aria-label="The job over time"><div class="track">
      ${gaps.filter(([from, to]) => to - from > Math.max(3 * usual, span / 20)).map(([from, to]) => html`<small class="gap" style=${placed(from, to)} title=${`no poll for ${clockText(to - from)}`}>${clockText(to - from)}</small>`)}
      ${exchanges.filter(({ wait }) => wait > 0).map((exchange) => html`<span class="wait" style=${placed(exchange.at, exchange.at + exchange.wait * speed)} title=${`Retry-After: ${exchange.wait} s`}></span>`)}
      ${[...bins.values()].map(mark)}${at < start + span && !hasEnded(job, at) && html`<span class="cursor" style=${placed(at)} aria-hidden="true"></span>`}</div>
    <div class="states">${job.timeline.map(stage)}</div>
    <div class="ticks" aria-hidden="true">${Array.from({ length: Math.floor(span / step) + 1 }, (_, place) => html`<span style=${placed(start + place * step)}>${clockText(place * step).replace(/\.0+ /, " ")}</span>`)}</div>
    <figcaption aria-live="polite">${shown ? html`<b>${shown.number}</b> ${clockText(shown.at - start)} \u00b7 ${shown.method} ${shortId(shown.path.split("/").pop())} \u2192 ${shown.status || "no answer"} ${shown.answer} ${shown.trouble} <${Faults} of=${shown} />`
      : `${counted(polls.length, "poll")}${usual ? `, usually every ${clockText(usual)} of its time` : ""}. Point at a mark to see the exchange.`}</figcaption></figure>`;
}

function Clip({ job, where }) {
  const src = `./${pathOf(job.id)}/content?variant=video`;
  const figure = (label, picture) => html`<figure>${picture}<figcaption>${label}</figcaption></figure>`;
  const image = (place, label) => place <= job.kept_images && figure(label, html`<img src=${`./${pathOf(job.id)}/images/${place}`} alt=${label} />`);
  const still = (label, time) => figure(label, html`<video src=${src} muted playsinline preload="auto" tabindex="-1" aria-label=${label} onLoadedMetadata=${({ target }) => { target.currentTime = time(target.duration); }}></video>`);
  const done = where === "completed";
  return html`<${Panel} title="Clip">${done ? html`<video class="player" controls preload="metadata" src=${src} aria-label="The clip of this job"></video>`
    : html`<p class="empty soft">${where === "failed" ? "A failed job has no clip." : "It can be played once the job has completed."}</p>`}
    <div class="stills">${image(1, "your first image")}${done && [still("first frame", () => 0.01), still("last frame", (end) => Math.max(end - 0.05, 0))]}${image(2, "your second image")}</div>
    ${job.images > 0 && !job.kept_images && html`<p class="soft">${counted(job.images, "image")} came with it; their bytes are kept with <code>mockveo[video]</code> only.</p>`}<//>`;
}

// What the server answers to a GET; null until then, and `{ problem }` if it refuses.
function useAnswer(place) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    let current = true;
    setFound(null);
    if (place) api("GET", place).catch(({ message: problem }) => ({ problem })).then((answer) => current && setFound(answer));
    return () => { current = false; };
  }, [place, state.world?.run]);
  return found;
}

export function Detail({ number, others, close }) {
  const answer = useAnswer(`journal/${number}/messages`);
  const exchange = byNumber(number);
  const [other, setOther] = useState(0);
  const diff = useAnswer(other && `journal/${number}/diff?other=${other}`);
  const [saving, setSaving] = useState(false);
  const job = exchange?.job;
  return html`<${Panel} title=${`Exchange ${number}`} kind="detail"><a class="button small" href=${close}>Close</a>
    ${!answer?.code ? html`<p class="problem">${answer?.problem}</p>` : html`
    <p class="actions">${Object.entries(answer.code).map(([name, text]) => html`<${Copy} label=${name} title=${`Copy as ${name}`} text=${text} />`)}
      ${state.jobs.has(job) && html`<a class="button small" href=${linkOf(job)}>Its job</a>`}
      ${exchange?.operation === "create" && !job && small("Save as case", () => setSaving(!saving))}
      <label>Compare with <select value=${other} onChange=${({ target }) => setOther(Number(target.value))}><option value="0">\u2014</option>
        ${(others || state.exchanges).slice(-200).map((each) => each.number !== number && html`<option value=${each.number}>${each.number}: ${each.operation} ${each.status}</option>`)}</select></label></p>
    ${saving && html`<${SaveCase} from=${`journal/${number}`} />`}
    ${exchange?.faults.length > 0 && html`<p><${Faults} of=${exchange} /> of the scenario ${exchange.scenario}</p>`}
    ${exchange?.remarks.map((text) => html`<p class="problem">${text}</p>`)}
    ${state.findings.filter(({ exchanges }) => exchanges.includes(number)).map((finding) => html`<p><a href=${`#/rule/${finding.rule}`} class="mark ${finding.verdict}">${finding.rule}</a> ${finding.message}</p>`)}
    ${diff?.rows ? html`<table class="diff"><caption>${number} and ${other}, what differs is marked</caption><tbody>${diff.rows.map(([a, b, same]) =>
      html`<tr class=${same ? "" : "differs"}><td>${a}</td><td>${b}</td></tr>`)}</tbody></table>` : html`<${Wire} messages=${answer.messages} />`}`}<//>`;
}

function SaveCase({ from }) {
  const made = useAnswer(`${from}/case`);
  const [written, setWritten] = useState(null);
  const [kind, setKind] = useState("case");
  if (!made || made.problem) return html`<p class=${made ? "problem" : "soft"} role="status">${made?.problem || "making it\u2026"}</p>`;
  const { corpus } = state.world;
  const isCase = kind === "case";
  const file = isCase ? written?.path || made.file : made.file.replace(/^seen\./, "scenario-");
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([made[kind]], { type: "application/yaml" }));
    link.download = file.split("/").pop();
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const write = async () => setWritten(await act("POST", `${from}/case`, undefined, ({ path }) => `Written to ${path}`));
  return html`<div class="save" role="region" aria-label="Save as case">
    <p class="actions"><span class="segments" role="group" aria-label="What to save">${["Contract case", "Scenario"].map((label, place) => html`<button aria-pressed=${isCase === !place} onClick=${() => setKind(place ? "scenario" : "case")}>${label}</button>`)}</span>
      <button class="primary small" onClick=${download}>Download</button><${Copy} text=${made[kind]} />
      ${corpus ? isCase && small(`Write to ${corpus}`, write) : html`<span class="soft small">Start mockveo with <code>--corpus DIR</code> to write it there.</span>`}</p>
    <pre class="body" tabindex="0">${made[kind]}</pre>
    <p class="small">${isCase ? html`Serve it again by hand: <code>mockveo replay ${file}</code> \u00b7 run it: <code>mockveo check --case ${file} -- \u2026</code>` : html`Serve it: <code>mockveo --scenario ${file}</code>`}</p></div>`;
}

export function Job({ id, chosen }) {
  const job = state.jobs.get(id);
  const [saving, setSaving] = useState(false);
  const [sure, setSure] = useState(false);
  useEffect(() => { setSaving(false); setSure(false); }, [id]);
  if (!job) return html`<div class="nothing"><h2>No such job</h2><p>This world has no job <code>${id}</code> (any more).</p></div>`;
  const at = now();
  const where = column(job, at);
  const { status, progress } = view(job, at);
  const { exchanges } = trail(id);
  const findings = findingsOf(id);
  const choose = (number) => { location.hash = linkOf(id, number); };
  const end = (label, ending, words) => html`<button onClick=${() => act("POST", `${pathOf(id)}/end`, { ending }, words)}>${label}</button>`;
  const remarks = [state.bill?.jobs.find((each) => each.id === id)?.reason, oddity(job, at)];
  return html`<article class="job"><header><a href="#/" class="back" aria-label="Back to the board">\u2190</a><div>
      <h2><bdi>${job.prompt || "A job without a prompt"}</bdi></h2>
      <p class="facts"><code>${id}</code><${Copy} text=${id} label="Copy id" />${[modelNames(job), job.size, clientName(job), `scenario ${job.scenario}`, job.key, job.cost].map((text) => text && html`<span>${text}</span>`)}${remarks.map((text) => html`<${Mark} text=${text} />`)}</p>
      </div><div class="now ${where}"><b>${status}</b> ${progress} %<${Bar} job=${job} at=${at} /></div></header>
    ${job.error && html`<p class="problem">${job.error.code}: ${job.error.message}</p>`}
    <div class="actions" role="toolbar" aria-label="What to do with this job">
      ${!hasEnded(job, at) && html`${end("Complete", "success", "The job is completed.")}${end("Fail", "failure", "The job has failed.")}${end("Stick", "never", "The job stays as it is, for ever.")}
        <button disabled=${job.ends === null} onClick=${() => act("POST", "clock/advance", { seconds: Math.max(job.ends - now(), 0) + 0.001 }, "The clock is at the end of the job.")}>Clock to its end</button>`}
      <${ScenarioPick} label="Trouble for this job" choose=${(scenario) => act("PUT", `${pathOf(id)}/scenario`, { scenario }, `Its exchanges have the faults of ${scenario} from now on.`)} />
      <button aria-expanded=${saving} onClick=${() => setSaving(!saving)}>Save as case</button>
      ${sure ? html`<button class="danger" onClick=${async () => { if (await act("DELETE", pathOf(id), undefined, "The job is forgotten.")) location.hash = "#/"; }}>Really forget it</button>` : html`<button onClick=${() => setSure(true)}>Forget\u2026</button>`}</div>
    ${saving && html`<${SaveCase} from=${pathOf(id)} />`}
    <${Axis} job=${job} chosen=${chosen} choose=${choose} />
    ${findings.length > 0 && html`<${Panel} title="Findings" count=${findings.length}>${findings.map((finding) => html`<${Finding} key=${finding.rule + finding.exchanges[0]} finding=${finding} />`)}<//>`}
    <div class="halves"><${Panel} title="Exchanges" count=${exchanges.length}>${exchanges.length > 200 && html`<p class="soft">The latest 200; the axis has all.</p>`}
      <${Sequence} exchanges=${exchanges.slice(-200)} limit=${200} marks=${findings.flatMap((finding) => finding.exchanges)} pace=${pace()} open=${choose} />
      ${!exchanges.length && html`<p class="empty soft">The journal has no exchange of this job any more.</p>`}<//>
      <div>${chosen > 0 && html`<${Detail} number=${chosen} others=${exchanges} close=${linkOf(id)} />`}<${Clip} job=${job} where=${where} /></div></div></article>`;
}

export function Finding({ finding, picture }) {
  const { rule, verdict, message, exchanges: marks } = finding;
  const known = state.rules.get(rule);
  const advice = finding.advice || known?.advice;
  const [open, setOpen] = useState(picture);
  const job = marks.map(byNumber).find((exchange) => exchange?.job)?.job;
  const around = state.exchanges.filter((exchange) => marks.includes(exchange.number) || (job ? exchange.job === job : marks.some((mark) => Math.abs(mark - exchange.number) <= 2)));
  return html`<article class="finding ${verdict}"><p><span class="mark ${verdict}">${verdict}</span> <b>${known ? html`<a href=${`#/rule/${rule}`}>${rule}</a>` : rule}</b> ${message}</p>
    ${advice && html`<p><span class="soft">Fix</span> ${rich(advice)}</p>`}
    <p class="actions">${marks.slice(0, 12).map((number) => html`<a class="button small" href=${job ? linkOf(job, number) : `#/exchange/${number}`}>exchange ${number}</a>`)}
      ${around.length > 0 && small(open ? "Hide picture" : "Show picture", () => setOpen(!open), { "aria-expanded": open })}</p>
    ${open && html`<${Sequence} exchanges=${around} marks=${marks} limit=${12} pace=${pace()} open=${(number) => { location.hash = `#/exchange/${number}`; }} />`}</article>`;
}
