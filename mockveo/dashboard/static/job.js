// One job: its axis of time with states and exchanges, its clip and frames, and every exchange in full.
import { useEffect, useState } from "./vendor.js";
import { Copy, Faults, Sequence, Wire, clockText, counted, html, rich, shortId } from "./parts.js";
import { Bar, clientName } from "./board.js";
import { act, api, byNumber, column, exchangesOf, now, oddity, pace, state, trail, view } from "./store.js";
import { ScenarioPick } from "./trouble.js";

const MAX_MARKS = 240;
const path = (job) => `jobs/${encodeURIComponent(job.id)}`;

const nice = (span) => {
  const rough = span / 6;
  const unit = 10 ** Math.floor(Math.log10(rough || 1));
  return [1, 2, 5, 10].map((factor) => factor * unit).find((step) => step >= rough) || unit;
};

// States underneath, exchanges above: polls as dots, downloads as bars, faults as flags, Retry-After as a shaded span.
function Axis({ job, chosen, choose }) {
  const at = now();
  const exchanges = exchangesOf(job.id);
  const [hovered, setHovered] = useState(null);
  const speed = pace();
  const lastAt = exchanges.length ? exchanges.at(-1).at : job.created;
  const known = Math.max(lastAt, job.ends !== null ? job.ends : Math.min(at, lastAt + 600), job.created + 1);
  const start = job.created;
  const span = (known - start) * 1.03;
  const left = (time) => `${Math.min(Math.max(((time - start) / span) * 100, 0), 100)}%`;
  const stages = job.timeline.map((stage, place) => ({ ...stage, until: job.timeline[place + 1]?.at ?? start + span }));
  const step = nice(span);
  const ticks = Array.from({ length: Math.floor(span / step) + 1 }, (_, place) => place * step);
  const guilty = new Set(state.findings.flatMap((finding) => finding.exchanges));
  const bins = new Map();
  for (const exchange of exchanges) {
    const bin = exchanges.length > MAX_MARKS ? Math.round(((exchange.at - start) / span) * MAX_MARKS) : exchange.number;
    const old = bins.get(bin);
    if (!old || (!exchange.faults.length && old.exchange.faults.length)) bins.set(bin, { exchange: old?.exchange || exchange, count: (old?.count || 0) + 1 });
    else bins.set(bin, { exchange: exchange.faults.length || guilty.has(exchange.number) ? exchange : old.exchange, count: old.count + 1 });
  }
  const polls = exchanges.filter(({ operation }) => operation === "retrieve");
  const gaps = polls.slice(1).map((poll, place) => [polls[place].at, poll.at]);
  const usual = gaps.map(([from, to]) => to - from).sort((a, b) => a - b)[gaps.length >> 1] || 0;
  const long = gaps.filter(([from, to]) => to - from > Math.max(3 * usual, span / 20));
  const shown = byNumber(hovered ?? chosen);
  return html`<figure class="axis" aria-label="The job over time">
    <div class="track">
      ${long.map(([from, to]) => html`<span class="gap" style=${{ left: left(from), width: `calc(${left(to)} - ${left(from)})` }} title=${`no poll for ${clockText(to - from)}`}><small>${clockText(to - from)}</small></span>`)}
      ${exchanges.filter(({ wait }) => wait > 0).map((exchange) => html`<span class="wait" style=${{ left: left(exchange.at), width: `calc(${left(exchange.at + exchange.wait * speed)} - ${left(exchange.at)})` }} title=${`Retry-After: ${exchange.wait} s`}></span>`)}
      ${[...bins.values()].map(({ exchange, count }) => {
        const text = `exchange ${exchange.number}${count > 1 ? ` and ${count - 1} more` : ""}: ${exchange.operation} ${exchange.status || "no answer"} ${exchange.answer} at ${clockText(exchange.at - start)}${exchange.trouble && `, ${exchange.trouble}`}${exchange.faults.length ? `, fault ${exchange.faults.join(", ")}` : ""}`;
        const bar = exchange.operation === "content" || exchange.operation === "delivery";
        return html`<button key=${exchange.number} class="dot ${exchange.operation} ${exchange.tone} ${exchange.fate} ${guilty.has(exchange.number) ? "guilty" : ""} ${exchange.number === chosen ? "chosen" : ""} ${count > 1 ? "many" : ""}"
          style=${bar ? { left: left(exchange.at - (exchange.ms / 1000) * speed), minWidth: "10px", width: `calc(${left(exchange.at)} - ${left(exchange.at - (exchange.ms / 1000) * speed)})` } : { left: left(exchange.at) }}
          aria-label=${text} aria-pressed=${exchange.number === chosen} onMouseEnter=${() => setHovered(exchange.number)} onMouseLeave=${() => setHovered(null)}
          onFocus=${() => setHovered(exchange.number)} onBlur=${() => setHovered(null)} onClick=${() => choose(exchange.number)}>${exchange.faults.length ? html`<i class="flag" aria-hidden="true">\u2691</i>` : ""}</button>`;
      })}
      ${at < start + span && column(job, at) !== "completed" && column(job, at) !== "failed" ? html`<span class="cursor" style=${{ left: left(at) }} aria-hidden="true"></span>` : ""}
    </div>
    <div class="states">${stages.map((stage, place) => html`<span class="stage ${place === stages.length - 1 && job.ends !== null ? (stage.progress === 100 ? "completed" : "failed") : stage.status === "queued" ? "queued" : "running"} ${stage.at > at ? "future" : ""}"
      style=${{ left: left(stage.at), width: `calc(${left(stage.until)} - ${left(stage.at)})` }} title=${`${stage.status} from ${clockText(stage.at - start)}`}>${stage.status}</span>`)}</div>
    <div class="ticks" aria-hidden="true">${ticks.map((time) => html`<span style=${{ left: left(start + time) }}>${clockText(time).replace(/\.0+ /, " ")}</span>`)}</div>
    <figcaption aria-live="polite">${shown ? html`<b>${shown.number}</b> ${clockText(shown.at - start)} \u00b7 ${shown.method} ${shortId(shown.path.split("/").pop())} \u2192 ${shown.status || "no answer"} ${shown.answer} ${shown.trouble} <${Faults} of=${shown} />`
      : html`<span class="soft">${counted(polls.length, "poll")}${usual ? `, usually every ${clockText(usual)} of its time` : ""}. Point at a mark to see the exchange.</span>`}</figcaption>
  </figure>`;
}

function Still({ src, last, label }) {
  const seek = (event) => { const clip = event.target; clip.currentTime = last ? Math.max(clip.duration - 0.05, 0) : 0.01; };
  return html`<figure><video src=${src} muted playsinline preload="auto" tabindex="-1" onLoadedMetadata=${seek} aria-label=${label}></video><figcaption>${label}</figcaption></figure>`;
}
function Clip({ job, where }) {
  const src = `./${path(job)}/content?variant=video`;
  const images = Math.min(job.kept_images, 2);
  const picture = (place, label) => html`<figure><img src=${`./${path(job)}/images/${place}`} alt=${label} /><figcaption>${label}</figcaption></figure>`;
  return html`<section class="panel clip" aria-labelledby="head-clip"><h3 id="head-clip">Clip</h3>
    ${where === "completed" ? html`<video class="player" controls preload="metadata" src=${src} aria-label="The clip of this job"></video>
      <div class="stills">${images > 0 ? picture(1, "your first image") : ""}<${Still} src=${src} label="first frame" /><${Still} src=${src} last label="last frame" />${images > 1 ? picture(2, "your second image") : ""}</div>`
    : where === "failed" ? html`<p class="empty soft">A failed job has no clip.</p>`
    : html`<p class="empty soft">It can be played once the job has completed.</p>${images ? html`<div class="stills">${picture(1, "your first image")}${images > 1 ? picture(2, "your second image") : ""}</div>` : ""}`}
    ${job.images && !job.kept_images ? html`<p class="soft">${counted(job.images, "image")} came with it; their bytes are kept with <code>mockveo[video]</code> only.</p>` : ""}
  </section>`;
}

// What the server answers to a GET; null until then, and `{ problem }` if it refuses.
function useAnswer(place) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    let current = true;
    setFound(null);
    if (place) api("GET", place).then((answer) => current && setFound(answer), (error) => current && setFound({ problem: error.message }));
    return () => { current = false; };
  }, [place, state.world?.run]);
  return found;
}

export function Detail({ number, others, close }) {
  const exchange = useAnswer(`journal/${number}`);
  const code = useAnswer(`journal/${number}/code`);
  const [other, setOther] = useState(0);
  const diff = useAnswer(other ? `journal/${number}/diff?other=${other}` : "");
  const [saved, setSaved] = useState(false);
  const known = byNumber(number);
  if (!exchange) return html`<section class="panel detail"><p class="soft">loading\u2026</p></section>`;
  if (exchange.problem) return html`<section class="panel detail"><p class="problem">${exchange.problem}</p></section>`;
  const findings = state.findings.filter(({ exchanges }) => exchanges.includes(number));
  return html`<section class="panel detail" aria-labelledby="head-detail">
    <h3 id="head-detail">Exchange ${number} ${close ? html`<a class="button small" href=${close}>Close</a>` : ""}</h3>
    <p class="actions">${Object.entries(code || {}).map(([name, text]) => html`<${Copy} label=${name} title=${`Copy as ${name}`} text=${text} />`)}
      ${exchange.job && state.jobs.has(exchange.job) ? html`<a class="button small" href=${`#/job/${encodeURIComponent(exchange.job)}`}>Its job</a>` : ""}
      ${exchange.operation === "createVideo" && !exchange.job ? html`<button class="small" onClick=${() => setSaved(!saved)}>Save as case</button>` : ""}
      <label>Compare with <select value=${other} onChange=${(event) => setOther(Number(event.target.value))}><option value="0">\u2014</option>
        ${(others || state.exchanges.slice(-50)).filter((each) => each.number !== number).slice(-200).map((each) => html`<option value=${each.number}>${each.number}: ${each.operation} ${each.status}</option>`)}</select></label></p>
    ${saved ? html`<${SaveCase} from=${`journal/${number}`} />` : ""}
    ${exchange.faults.length ? html`<p><${Faults} of=${exchange} /> of the scenario ${exchange.scenario}</p>` : ""}
    ${exchange.deviations.map(({ message }) => html`<p class="problem">${message}</p>`)}
    ${exchange.hint ? html`<p class="problem">${exchange.hint}</p>` : ""}
    ${findings.map((finding) => html`<p><a href=${`#/rule/${finding.rule}`} class="mark ${finding.verdict}">${finding.rule}</a> ${finding.message}</p>`)}
    ${diff?.rows ? html`<table class="diff"><caption>${number} and ${other}, what differs is marked</caption><tbody>${diff.rows.map(([a, b, same]) =>
      html`<tr class=${same ? "" : "differs"}><td>${a}</td><td>${b}</td></tr>`)}</tbody></table>` : html`<${Wire} exchange=${exchange} />`}
    ${known ? html`<p class="soft small">${known.line}</p>` : ""}
  </section>`;
}

export function SaveCase({ from }) {
  const [saved, setSaved] = useState(null);
  const [kind, setKind] = useState("case");
  useEffect(() => { api("GET", `${from}/case`).then(setSaved, (error) => setSaved({ problem: error.message })); }, [from]);
  if (!saved) return html`<p class="soft">making it\u2026</p>`;
  if (saved.problem) return html`<p class="problem" role="alert">${saved.problem}</p>`;
  const file = kind === "case" ? saved.file : saved.file.replace(/^seen\./, "scenario-");
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([saved[kind]], { type: "application/yaml" }));
    link.download = file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const write = async () => {
    const written = await act("POST", `${from}/case`, undefined, ({ path: place }) => `Written to ${place}`);
    if (written) setSaved(written);
  };
  const command = kind === "case" ? `mockveo replay ${saved.path || file}` : `mockveo --scenario ${file}`;
  return html`<div class="save" role="region" aria-label="Save as case">
    <p class="actions"><span class="segments" role="group" aria-label="What to save">${["case", "scenario"].map((each) => html`<button aria-pressed=${kind === each} onClick=${() => setKind(each)}>${each === "case" ? "Contract case" : "Scenario"}</button>`)}</span>
      <button class="primary small" onClick=${download}>Download</button><${Copy} text=${() => saved[kind]} />
      ${state.ready?.corpus ? (kind === "case" ? html`<button class="small" onClick=${write}>Write to ${state.ready.corpus}</button>` : "") : html`<span class="soft small">Start mockveo with <code>--corpus DIR</code> to write it there.</span>`}</p>
    <pre class="body" tabindex="0">${saved[kind]}</pre>
    <p class="small">${kind === "case" ? "Serve it again by hand" : "Serve it"}: <code>${command}</code>${kind === "case" ? html` \u00b7 run it: <code>mockveo check --case ${saved.path || file} -- \u2026</code>` : ""}</p>
  </div>`;
}

export function Job({ id, chosen }) {
  const job = state.jobs.get(id);
  const [saving, setSaving] = useState(false);
  const [sure, setSure] = useState(false);
  useEffect(() => { setSaving(false); setSure(false); }, [id]);
  if (!job) return html`<div class="nothing"><h2>No such job</h2><p>This world has no job <code>${id}</code> (any more). <a href="#/">Back to the board</a></p></div>`;
  const at = now();
  const where = column(job, at);
  const { status, progress } = view(job, at);
  const done = where === "completed" || where === "failed";
  const exchanges = exchangesOf(id);
  const findings = state.findings.filter((finding) => finding.exchanges.some((number) => byNumber(number)?.job === id));
  const choose = (number) => { location.hash = `#/job/${encodeURIComponent(id)}/${number}`; };
  const end = (ending, words) => act("POST", `${path(job)}/end`, { ending }, words);
  const bill = state.bill?.jobs.find((each) => each.id === id);
  return html`<article class="job">
    <header><a href="#/" class="back" aria-label="Back to the board">\u2190</a><div>
      <h2><bdi>${job.prompt || "A job without a prompt"}</bdi></h2>
      <p class="facts"><code>${job.id}</code><${Copy} text=${job.id} label="Copy id" /><span>${job.alias}${job.alias !== job.model ? ` \u2192 ${job.model}` : ""}</span>${job.size ? html`<span>${job.size}</span>` : ""}
        <span>${clientName(trail(id).client)}</span><span>scenario ${job.scenario}</span><span>${job.key}</span>${job.cost ? html`<span>${job.cost}</span>` : ""}${bill ? html`<span class="mark warn">${bill.reason}</span>` : ""}${oddity(job, at) ? html`<span class="mark warn">${oddity(job, at)}</span>` : ""}</p>
      </div><div class="now ${where}"><b>${status}</b> ${progress} %<${Bar} job=${job} at=${at} /></div></header>
    ${job.error ? html`<p class="problem">${job.error.code}: ${job.error.message}</p>` : ""}
    <div class="toolbar" role="toolbar" aria-label="What to do with this job">
      ${done ? "" : html`<button onClick=${() => end("success", "The job is completed.")}>Complete</button><button onClick=${() => end("failure", "The job has failed.")}>Fail</button>
        <button onClick=${() => end("never", "The job stays as it is, for ever.")} title="It stays as it is and never ends">Stick</button>
        <button disabled=${job.ends === null} onClick=${() => act("POST", "clock/advance", { seconds: Math.max(job.ends - now(), 0) + 0.001 }, "The clock is at the end of the job.")}>Clock to its end</button>`}
      <${ScenarioPick} label="Trouble for this job" act=${(name) => act("PUT", `${path(job)}/scenario`, { scenario: name }, `Its exchanges have the faults of ${name} from now on.`)} />
      <button aria-expanded=${saving} onClick=${() => setSaving(!saving)}>Save as case</button>
      ${sure ? html`<button class="danger" onClick=${async () => { if (await act("DELETE", path(job), undefined, "The job is forgotten.")) location.hash = "#/"; }}>Really forget it</button>` : html`<button onClick=${() => setSure(true)}>Forget\u2026</button>`}
    </div>
    ${saving ? html`<${SaveCase} from=${path(job)} />` : ""}
    <${Axis} job=${job} chosen=${chosen} choose=${choose} />
    ${findings.length ? html`<section class="panel" aria-labelledby="head-found"><h3 id="head-found">Findings <span class="count">${findings.length}</span></h3>${findings.map((finding) => html`<${Finding} key=${finding.rule + finding.exchanges[0]} finding=${finding} />`)}</section>` : ""}
    <div class="halves"><section class="panel" aria-labelledby="head-list"><h3 id="head-list">Exchanges <span class="count">${exchanges.length}</span></h3>
      ${exchanges.length > 200 ? html`<p class="soft">The latest 200; the axis has all.</p>` : ""}
      <${Sequence} exchanges=${exchanges.slice(-200)} limit=${200} marks=${findings.flatMap((finding) => finding.exchanges)} pace=${pace()} open=${choose} />
      ${exchanges.length ? "" : html`<p class="empty soft">The journal has no exchange of this job any more.</p>`}</section>
      <div>${chosen ? html`<${Detail} number=${chosen} others=${exchanges} close=${`#/job/${encodeURIComponent(id)}`} />` : ""}<${Clip} job=${job} where=${where} /></div></div>
  </article>`;
}

export function Finding({ finding, picture = false }) {
  const rule = state.rules.get(finding.rule);
  const [open, setOpen] = useState(picture);
  const marks = finding.exchanges;
  const job = marks.map(byNumber).find((exchange) => exchange?.job)?.job;
  const around = state.exchanges.filter((exchange) => marks.includes(exchange.number) || (job ? exchange.job === job : marks.some((mark) => Math.abs(mark - exchange.number) <= 2)));
  return html`<article class="finding ${finding.verdict}">
    <p><span class="mark ${finding.verdict}">${finding.verdict}</span> <a href=${`#/rule/${finding.rule}`}><b>${finding.rule}</b></a> ${finding.message}</p>
    ${rule?.advice ? html`<p class="advice"><span class="soft">Fix</span> ${rich(rule.advice)}</p>` : ""}
    <p class="actions">${marks.slice(0, 12).map((number) => html`<a class="button small" href=${job ? `#/job/${encodeURIComponent(job)}/${number}` : `#/exchange/${number}`}>exchange ${number}</a>`)}
      ${around.length ? html`<button class="small" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "Hide picture" : "Show picture"}</button>` : ""}</p>
    ${open ? html`<${Sequence} exchanges=${around} marks=${marks} limit=${12} pace=${pace()} open=${(number) => { location.hash = `#/exchange/${number}`; }} />` : ""}
  </article>`;
}
