// The page: its frame, and the views by the part of the address after "#".
import { render, useEffect, useState } from "./vendor.js";
import { counted, html, rich } from "./parts.js";
import { Board, Exchanges } from "./board.js";
import { Detail, Finding, Job } from "./job.js";
import { connect, fits, linkOf, page, state } from "./store.js";
import { ClockTools, Notice, Reset, Worlds } from "./tools.js";
import { Trouble } from "./trouble.js";

const Found = ({ list, pictures }) => list.map((finding, place) => html`<${Finding} key=${`${finding.rule} ${finding.exchanges[0]} ${place}`} finding=${finding} picture=${place < pictures} />`);
function Findings() {
  const fitting = state.findings.filter(({ rule, message }) => fits(`${rule} ${message}`));
  return html`<div class="pagelike"><h2>Findings <span class="count">${fitting.length}</span></h2><${Found} list=${fitting} pictures=${3} />
    ${!fitting.length && html`<div class="empty soft">${state.words.length ? "No finding fits the search." : html`Nothing found so far. Arm some <a href="#/trouble">trouble</a> to see how your client copes.`}</div>`}</div>`;
}

function Rule({ id }) {
  const rule = state.rules.get(id);
  if (!rule) return html`<${Nothing} />`;
  const words = { Why: rule.why, Fix: rule.advice, Example: rule.example, Source: rule.source };
  return html`<div class="pagelike"><p><a href="#/findings">\u2190 Findings</a></p><h2>${id} <span class="mark ${rule.severity}">${rule.severity.toUpperCase()}</span></h2>
    <p class="lead">${rich(rule.description)}</p><dl>${Object.entries(words).map(([name, text]) => text && html`<dt>${name}</dt><dd>${rich(text)}</dd>`)}</dl>
    <${Found} list=${state.findings.filter(({ rule: other }) => other === id)} pictures=${1} /></div>`;
}

function Bill() {
  const { bill } = state;
  return bill && html`<div class="pagelike"><h2>Bill</h2><p class="lead">${bill.line}</p>
    <ul class="figures">${["made", "delivered", "wasted", "open", "lost"].map((name) => html`<li class=${name}><b>${bill[name]}</b> ${name}</li>`)}</ul>
    ${bill.jobs.length ? html`<div class="scroll"><table class="list"><thead><tr>${["Job", "Model", "State", "What shows it"].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${bill.jobs.slice(0, 200).map((job) => html`<tr>
      <td><a href=${linkOf(job.id)}><code>${job.id}</code></a></td><td>${job.model}</td><td><span class="mark ${job.state === "open" ? "" : "warn"}">${job.state}</span></td><td>${job.reason}</td></tr>`)}</tbody></table></div>` : html`<p class="empty soft">Every job that was made was delivered.</p>`}</div>`;
}

const Nothing = () => html`<div class="nothing"><h2>Nothing here</h2><p><a href="#/">To the board</a></p></div>`;
const VIEWS = {
  "": Board, job: ({ id, more }) => html`<${Job} id=${id} chosen=${Number(more)} />`, exchanges: Exchanges,
  exchange: ({ id }) => html`<${Exchanges} chosen=${Number(id)}><${Detail} number=${Number(id)} close="#/exchanges" /><//>`,
  trouble: Trouble, findings: Findings, rule: Rule, bill: Bill,
};
const PARENTS = { job: "", exchange: "exchanges", rule: "findings" };
const decoded = (part) => { try { return decodeURIComponent(part); } catch { return part; } };

function App() {
  const [, draw] = useState(0);
  page.draw = draw;
  useEffect(() => {
    addEventListener("hashchange", () => draw(Math.random()));
    // While time goes on, bars move without any request.
    setInterval(() => document.hidden || state.clock?.mode !== "wall" || draw(Math.random()), 250);
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || /INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName)) return;
      event.preventDefault();
      document.getElementById("search").focus();
    });
  }, []);
  const [, name = "", id, more] = location.hash.split("/").map(decoded);
  useEffect(() => { document.getElementById("main").scrollTo(0, 0); }, [name, id]);
  const { world } = state;
  document.title = `mockveo${world?.world ? ` /@${world.world}` : ""}`;
  const counts = { exchanges: state.exchanges.length, findings: state.findings.length, trouble: state.queue.length + (state.scenario && state.scenario.name !== "normal") };
  const link = (key, title) => html`<a href=${`#/${key}`} aria-current=${(PARENTS[name] ?? name) === key ? "page" : undefined}>${title}${counts[key] > 0 && html` <span class="count ${key}">${counts[key]}</span>`}</a>`;
  return html`<button class="skip" onClick=${() => document.getElementById("main").focus()}>To the content</button>
    <header class="top"><h1><img src="ui/icon.svg" alt="" width="22" height="22" />mockveo</h1><${Worlds} />
      <span class="live ${{ live: "good", gone: "bad" }[state.status] || ""}" role="img" aria-label=${state.status} title=${state.status}></span>
      <nav aria-label="Views">${link("", "Board")}${link("exchanges", "Exchanges")}${link("trouble", "Trouble")}${link("findings", "Findings")}${link("bill", "Bill")}</nav>
      <input id="search" type="search" placeholder="Search  /" aria-label="Search jobs, exchanges and scenarios" onInput=${(event) => { state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean); draw(Math.random()); }} />
      <${ClockTools} /><span class="actions"><a class="button small" href="journal.har" download="mockveo.har">HAR</a><${Reset} /></span></header>
    <${Notice} /><main id="main" tabindex="-1"><${VIEWS[name] || Nothing} id=${id} more=${more} /></main>
    <footer class="soft">mockveo ${world?.version} \u00b7 profile ${world?.profile} \u00b7 seed ${world?.seed} \u00b7 ${counted(state.jobs.size, "job")}</footer>`;
}

render(html`<${App} />`, document.getElementById("app"));
connect();
