// Trouble: the scenarios with a sentence each, what is armed, and an editor that checks as one types.
import { useEffect, useState } from "./vendor.js";
import { counted, html, rich } from "./parts.js";
import { act, api, notice, refreshLists, state } from "./store.js";

const forWorld = (scenario) => act("PUT", "scenario", { scenario }, ({ name }) => `The world's scenario is ${name}.`);
const forNext = (scenario) => act("POST", "queue", { scenario }, ({ scenarios }) => `The next create meets ${scenarios.at(-1).name}.`);

export function ScenarioPick({ label, act: choose }) {
  return html`<select aria-label=${label} value="" onChange=${(event) => { const { value } = event.target; event.target.value = ""; if (value) choose(value); }}>
    <option value="">${label}\u2026</option>${state.scenarios.map(({ name, summary }) => html`<option value=${name} title=${summary}>${name}</option>`)}</select>`;
}

// How often the faults of a scenario have struck, in what the page knows.
const strikes = (name) => state.exchanges.reduce((sum, exchange) => sum + (exchange.scenario === name && exchange.faults.length > 0), 0);

export function Armed() {
  const { scenario, queue } = state;
  if (!scenario) return null;
  const count = strikes(scenario.name);
  const latest = state.exchanges.findLast((exchange) => exchange.faults.length);
  return html`<section class="panel armed" aria-labelledby="head-armed" aria-live="polite"><h2 id="head-armed">Armed</h2>
    <p><span class="soft">World</span> <b>${scenario.name}</b> ${rich(scenario.summary)} ${count ? html`<span class="mark fault">\u2691 struck ${counted(count, "time")}</span>` : ""}
      ${scenario.name === "normal" ? "" : html`<button class="small" onClick=${() => forWorld("normal")}>Back to normal</button>`}</p>
    <p><span class="soft">Next create</span> ${queue.length ? html`${queue.map(({ name }, place) => html`<span class="mark fault" key=${place}>${place + 1}. ${name}</span> `)}<button class="small" onClick=${() => act("DELETE", "queue", undefined, "Nothing is armed for the next create.")}>Disarm</button>` : "nothing of its own"}</p>
    <p><span class="soft">Last struck</span> ${latest ? html`<a class="struck" key=${latest.number} href=${`#/exchange/${latest.number}`}>\u2691 ${latest.faults.join(", ")} on exchange ${latest.number}, a ${latest.operation || "request"}</a>` : "nothing so far"}</p></section>`;
}

const SAMPLE = `summary: The first create is refused, every third poll is slow and a 503.
faults:
  - {operation: create, attempt: 1, status: 429, retry_after: 2}
  - {operation: retrieve, every: 3, status: 503, delay: 2}
`;
function Editor({ from }) {
  const [text, setText] = useState(from || SAMPLE);
  const [name, setName] = useState("my-trouble");
  const [checked, setChecked] = useState({});
  useEffect(() => { if (from) setText(from); }, [from]);
  useEffect(() => {
    let current = true;
    const timer = setTimeout(async () => {
      try {
        const { scenario } = await api("POST", "check", { text });
        if (current) setChecked({ scenario });
      } catch (error) {
        if (current) setChecked({ problem: error.message });
      }
    }, 250);
    return () => { current = false; clearTimeout(timer); };
  }, [text]);
  const keep = async (use) => {
    const kept = await act("PUT", `scenarios/${encodeURIComponent(name)}`, checked.scenario, `${name} can be chosen by its name.`);
    refreshLists();
    if (kept && use) await use(name);
  };
  const ready = Boolean(checked.scenario);
  return html`<section class="panel editor" aria-labelledby="head-editor"><h2 id="head-editor">Your own</h2>
    <label for="scenario-text" class="soft">A scenario in YAML or JSON</label>
    <textarea id="scenario-text" spellcheck="false" rows="9" value=${text} onInput=${(event) => setText(event.target.value)} aria-describedby="scenario-said" aria-invalid=${Boolean(checked.problem)}></textarea>
    <p id="scenario-said" class=${checked.problem ? "problem" : "fine"} role="status">${checked.problem ? checked.problem : ready ? "\u2713 A valid scenario." : "\u2026"}</p>
    <p class="actions"><label>Name <input value=${name} size="14" onInput=${(event) => setName(event.target.value)} /></label>
      <button class="primary small" disabled=${!ready} onClick=${() => keep(forNext)}>Next create</button>
      <button class="small" disabled=${!ready} onClick=${() => keep(forWorld)}>World</button>
      <button class="small" disabled=${!ready} onClick=${() => keep()}>Keep</button></p></section>`;
}

export function Trouble({ words }) {
  const [edited, setEdited] = useState("");
  const fitting = state.scenarios.filter(({ name, summary }) => !words || words.every((word) => `${name} ${summary}`.toLowerCase().includes(word)));
  const edit = async ({ name, scenario }) => {
    const { name: _, ...rest } = scenario;
    setEdited(JSON.stringify(rest, null, 2));
    notice(`${name} is in the editor.`);
    document.getElementById("scenario-text").focus();
  };
  return html`<div class="trouble"><div class="side"><${Armed} /><${Editor} from=${edited} /></div>
    <section class="palette" aria-labelledby="head-palette"><h2 id="head-palette">Trouble <span class="count">${fitting.length}</span></h2>
      <ul>${fitting.map((each) => html`<li key=${each.name} class=${each.name === state.scenario?.name ? "chosen" : ""}>
        <div><b>${each.name}</b>${strikes(each.name) ? html` <span class="mark fault">\u2691 ${strikes(each.name)}</span>` : ""}<p>${rich(each.summary)}</p></div>
        <span class="actions"><button class="small" aria-label=${`${each.name} for the next create`} onClick=${() => forNext(each.name)}>Next create</button>
          <button class="small" aria-label=${`${each.name} for the world`} aria-pressed=${each.name === state.scenario?.name} onClick=${() => forWorld(each.name)}>World</button>
          <button class="small" aria-label=${`edit ${each.name}`} onClick=${() => edit(each)}>Edit</button></span></li>`)}</ul></section></div>`;
}
