// The page: its frame, and the views by the part of the address after "#".
import { render, useEffect, useState } from "./vendor.js";
import { clockText, counted, html, rich } from "./parts.js";
import { Board, Exchanges } from "./board.js";
import { Detail, Finding, Job } from "./job.js";
import { column, connect, loadRules, onChange, state } from "./store.js";
import { ClockTools, Notice, Reset, Worlds } from "./tools.js";
import { Trouble } from "./trouble.js";

function Findings({ words }) {
  const fitting = state.findings.filter(({ rule, message }) => !words || words.every((word) => `${rule} ${message}`.toLowerCase().includes(word)));
  return html`<div class="pagelike"><h2>Findings <span class="count">${fitting.length}</span></h2>
    ${fitting.length ? fitting.map((finding, place) => html`<${Finding} key=${`${finding.rule} ${finding.exchanges[0]} ${place}`} finding=${finding} picture=${place < 3} />`)
    : html`<div class="empty soft"><p>${words ? "No finding fits the search." : "Nothing found. What your client gets wrong will be listed here as it happens:"}</p>${words ? "" : html`<p>a missing retry, a <code>Retry-After</code> ignored, a job paid for twice. Arm some <a href="#/trouble">trouble</a> to see how it copes.</p>`}</div>`}</div>`;
}

function Rule({ id }) {
  const rule = state.rules.get(id);
  if (!rule) return html`<div class="nothing"><h2>No such rule</h2></div>`;
  const found = state.findings.filter((finding) => finding.rule === id);
  return html`<div class="pagelike rule"><p><a href="#/findings">\u2190 Findings</a></p><h2>${id} <span class="mark ${rule.severity}">${rule.severity.toUpperCase()}</span></h2>
    <p class="lead">${rich(rule.description)}</p><dl>${[["Why", rule.why], ["Fix", rule.advice], ["Example", rule.example], ["Source", rule.source]].map(([name, text]) => (text ? html`<dt>${name}</dt><dd>${rich(text)}</dd>` : ""))}</dl>
    ${found.map((finding, place) => html`<${Finding} key=${place} finding=${finding} picture=${place === 0} />`)}</div>`;
}

function Bill() {
  const { bill } = state;
  if (!bill) return html`<div class="nothing"><h2>Bill</h2></div>`;
  return html`<div class="pagelike"><h2>Bill</h2><p class="lead">${bill.line}</p>
    <ul class="figures">${["made", "delivered", "wasted", "open", "lost"].map((name) => html`<li class=${name}><b>${bill[name]}</b> ${name}</li>`)}</ul>
    ${bill.unpriced.length ? html`<p class="soft">No price is known of ${bill.unpriced.join(", ")}: <code>x-price</code> in the document says it.</p>` : ""}
    ${bill.budget ? html`<p>The budget is ${bill.budget}; ${counted(bill.refused, "create")} refused.</p>` : ""}
    ${bill.jobs.length ? html`<div class="scroll"><table class="list"><thead><tr><th scope="col">Job</th><th scope="col">Model</th><th scope="col">State</th><th scope="col">What shows it</th></tr></thead><tbody>${bill.jobs.slice(0, 200).map((job) => html`<tr>
      <td><a href=${`#/job/${encodeURIComponent(job.id)}`}><code>${job.id}</code></a></td><td>${job.model}</td><td><span class="mark ${job.state === "open" ? "info" : "warn"}">${job.state}</span></td><td>${job.reason}</td></tr>`)}</tbody></table></div>` : html`<p class="empty soft">Every job that was made was delivered.</p>`}</div>`;
}

const VIEWS = [["", "Board"], ["exchanges", "Exchanges"], ["trouble", "Trouble"], ["findings", "Findings"], ["bill", "Bill"]];
const count = { exchanges: () => state.exchanges.length, findings: () => state.findings.length, trouble: () => state.queue.length + (state.scenario && state.scenario.name !== "normal" ? 1 : 0) };

function App() {
  const [, redraw] = useState(0);
  const [place, setPlace] = useState(location.hash);
  const [search, setSearch] = useState("");
  useEffect(() => onChange(() => redraw(state.version)), []);
  useEffect(() => {
    const moved = () => { setPlace(location.hash); };
    addEventListener("hashchange", moved);
    // While time goes on, bars move without any request.
    const timer = setInterval(() => {
      if (!document.hidden && state.clock?.mode === "wall") redraw(performance.now());
    }, 250);
    return () => { removeEventListener("hashchange", moved); clearInterval(timer); };
  }, []);
  useEffect(() => {
    const key = (event) => {
      if (event.key === "/" && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName)) { event.preventDefault(); document.getElementById("search").focus(); }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const [, name = "", id = "", more = ""] = place.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  useEffect(() => { document.querySelector("main")?.scrollTo(0, 0); }, [name, id]);
  const words = search.trim() ? search.toLowerCase().trim().split(/\s+/) : null;
  const running = [...state.jobs.values()].filter((job) => !["completed", "failed"].includes(column(job))).length;
  document.title = `${running ? `(${running}) ` : ""}mockveo${state.world?.world ? ` /@${state.world.world}` : ""}`;
  const view = {
    "": () => html`<${Board} words=${words} />`,
    job: () => html`<${Job} id=${id} chosen=${Number(more) || 0} />`,
    exchanges: () => html`<${Exchanges} words=${words} />`,
    exchange: () => html`<${Exchanges} words=${words} chosen=${Number(id)}><${Detail} number=${Number(id)} close="#/exchanges" /><//>`,
    trouble: () => html`<${Trouble} words=${words} />`,
    findings: () => html`<${Findings} words=${words} />`,
    rule: () => html`<${Rule} id=${id} />`,
    bill: () => html`<${Bill} />`,
  }[name] || (() => html`<div class="nothing"><h2>Nothing here</h2><p><a href="#/">To the board</a></p></div>`);
  const current = { job: "", exchange: "exchanges", rule: "findings" }[name] ?? name;
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
    <header class="top"><h1><img src="ui/icon.svg" alt="" width="22" height="22" />mockveo</h1><${Worlds} />
      <span class="live ${state.status}" role="img" aria-label=${state.status === "live" ? "connected" : state.status === "gone" ? "not connected" : "connecting"} title=${state.status}></span>
      <nav aria-label="Views">${VIEWS.map(([key, title]) => html`<a href=${`#/${key}`} aria-current=${current === key ? "page" : undefined}>${title}${count[key]?.() ? html` <span class="count ${key}">${count[key]()}</span>` : ""}</a>`)}</nav>
      <input id="search" type="search" placeholder="Search  /" aria-label="Search jobs, exchanges and scenarios" value=${search} onInput=${(event) => setSearch(event.target.value)} />
      <${ClockTools} />
      <span class="tools"><a class="button small" href="journal.har" download="mockveo.har">HAR</a><${Reset} /></span></header>
    <${Notice} /><main id="main" tabindex="-1">${view()}</main>
    <footer class="soft">mockveo ${state.world?.version || ""} \u00b7 profile ${state.world?.profile} \u00b7 seed ${state.world?.seed} \u00b7 ${clockText(0) && counted(state.jobs.size, "job")}</footer>`;
}

render(html`<${App} />`, document.getElementById("app"));
connect();
loadRules().catch(() => {});
