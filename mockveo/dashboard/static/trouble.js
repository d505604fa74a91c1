// Trouble: the scenarios with a sentence each, what is armed, and an editor that checks as one types.
import { useEffect, useState } from "./vendor.js";
import { Faults, Mark, counted, html, rich, small } from "./parts.js";
import { act, api, fits, notice, refreshLists, state } from "./store.js";
import { Panel } from "./tools.js";

const forWorld = (scenario) => act("PUT", "scenario", { scenario }, ({ name }) => `The world's scenario is ${name}.`);
const forNext = (scenario) => act("POST", "queue", { scenario }, ({ scenarios }) => `The next create meets ${scenarios.at(-1).name}.`);
// How often the faults of a scenario have struck, in what the page knows.
function Strikes({ name }) {
  const count = state.exchanges.filter(({ scenario, faults }) => scenario === name && faults.length).length;
  return count > 0 && html` <${Mark} text=${`\u2691 struck ${counted(count, "time")}`} />`;
}

function Armed() {
  const { scenario, queue } = state;
  const latest = state.exchanges.findLast(({ faults }) => faults.length);
  return scenario && html`<${Panel} title="Armed" kind="armed"><div aria-live="polite">
    <p><span class="soft">World</span> <b>${scenario.name}</b> ${rich(scenario.summary)} <${Strikes} name=${scenario.name} /> ${scenario.name !== "normal" && small("Back to normal", () => forWorld("normal"))}</p>
    <p><span class="soft">Next create</span> ${queue.length ? html`${queue.map(({ name }, place) => html`<${Mark} key=${place} text=${`${place + 1}. ${name}`} /> `)}${small("Disarm", () => act("DELETE", "queue", undefined, "Nothing is armed for the next create."))}` : "nothing of its own"}</p>
    <p><span class="soft">Last struck</span> ${latest ? html`<a class="struck" key=${latest.number} href=${`#/exchange/${latest.number}`}><${Faults} of=${latest} /> on exchange ${latest.number}, a ${latest.operation || "request"}</a>` : "nothing so far"}</p></div><//>`;
}

const SAMPLE = `summary: The first create is refused, every third poll is slow and a 503.
faults:
  - {operation: create, attempt: 1, status: 429, retry_after: 2}
  - {operation: retrieve, every: 3, status: 503, delay: 2}
`;
function Editor({ from }) {
  const [text, setText] = useState(SAMPLE);
  const [name, setName] = useState("my-trouble");
  const [{ scenario, problem }, setChecked] = useState({});
  useEffect(() => { if (from) setText(from); }, [from]);
  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => api("POST", "check", { text }).catch((error) => ({ problem: error.message })).then((answer) => current && setChecked(answer)), 250);
    return () => { current = false; clearTimeout(timer); };
  }, [text]);
  const keep = async (use) => {
    const kept = await act("PUT", `scenarios/${encodeURIComponent(name)}`, scenario, `${name} can be chosen by its name.`);
    refreshLists();
    if (kept && use) await use(name);
  };
  const button = (label, use) => small(label, () => keep(use), { disabled: !scenario });
  return html`<${Panel} title="Your own" kind="editor"><label for="scenario-text" class="soft">A scenario in YAML or JSON</label>
    <textarea id="scenario-text" spellcheck="false" rows="9" value=${text} onInput=${({ target }) => setText(target.value)} aria-describedby="scenario-said" aria-invalid=${Boolean(problem)}></textarea>
    <p id="scenario-said" class=${problem ? "problem" : "fine"} role="status">${problem || (scenario ? "\u2713 A valid scenario." : "\u2026")}</p>
    <p class="actions"><label>Name <input value=${name} onInput=${({ target }) => setName(target.value)} /></label>${button("Next create", forNext)}${button("World", forWorld)}${button("Keep")}</p><//>`;
}

export function Trouble() {
  const [edited, setEdited] = useState("");
  const fitting = state.scenarios.filter(({ name, summary }) => fits(`${name} ${summary}`));
  const edit = ({ name, scenario: { name: _, ...rest } }) => {
    setEdited(JSON.stringify(rest, null, 2));
    notice(`${name} is in the editor.`);
    document.getElementById("scenario-text").focus();
  };
  const row = (each) => {
    const { name } = each;
    const isChosen = name === state.scenario?.name;
    return html`<li key=${name} class=${isChosen ? "chosen" : ""}><div><b>${name}</b><${Strikes} name=${name} /><p>${rich(each.summary)}</p></div>
      <span class="actions">${small("Next create", () => forNext(name), { "aria-label": `${name} for the next create` })}
        ${small("World", () => forWorld(name), { "aria-label": `${name} for the world`, "aria-pressed": isChosen })}${small("Edit", () => edit(each), { "aria-label": `edit ${name}` })}</span></li>`;
  };
  return html`<div class="halves trouble"><div><${Armed} /><${Editor} from=${edited} /></div>
    <section class="palette" aria-label="Scenarios"><h2>Trouble <span class="count">${fitting.length}</span></h2><ul>${fitting.map(row)}</ul></section></div>`;
}
