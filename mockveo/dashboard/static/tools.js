// What several views use, and the tools around them: worlds, the clock, notices and dialogs.
import { useEffect, useRef } from "./vendor.js";
import { clockText, html, small } from "./parts.js";
import { act, changed, now, state } from "./store.js";

export const Panel = ({ title, kind, count, children }) => html`<section class="panel ${kind || ""}" aria-label=${title}><h2>${title} ${count > 0 && html`<span class="count">${count}</span>`}</h2>${children}</section>`;
export const ScenarioPick = ({ label, choose }) => html`<select aria-label=${label} value="" onChange=${({ target }) => { choose(target.value); target.value = ""; }}>
  <option value="">${label}…</option>${state.scenarios.map(({ name, summary }) => html`<option value=${name} title=${summary}>${name}</option>`)}</select>`;

export function ClockTools() {
  const { clock } = state;
  if (!clock) return null;
  const set = (changes) => act("PATCH", "clock", changes);
  const advance = (seconds) => act("POST", "clock/advance", { seconds });
  const frozen = clock.mode !== "wall";
  return html`<div class="actions clock" role="group" aria-label="Clock of the world"><output class="time" aria-label="time of the world">${clockText(now())}</output>
    ${clock.mode === "poll" && html`<span class="mark">+${clockText(clock.step)} a poll</span>`}
    ${small(clock.mode === "poll" ? "Let it run" : frozen ? "Frozen" : "Freeze", () => set({ mode: frozen ? "wall" : "manual" }), { "aria-pressed": frozen })}
    <span class="segments" role="group" aria-label="Speed">${[1, 10, 100, 1000].map((speed) => html`<button aria-pressed=${!frozen && clock.speed === speed} onClick=${() => set({ mode: "wall", speed })}>\u00d7${speed}</button>`)}</span>
    ${small("+10 s", () => advance(10))}${small("+1 min", () => advance(60))}</div>`;
}

export function Worlds() {
  const name = state.world?.world || "";
  const go = ({ target }) => {
    const chosen = target.value === "+" ? prompt("Name of a world, e.g. mine. Clients reach it at /@NAME/v1.") : target.value;
    if (chosen === null) target.value = name;
    else location.href = chosen ? `/@${encodeURIComponent(chosen)}/_mockveo/` : "/_mockveo/";
  };
  const names = new Set(["", ...state.worlds.map((world) => world.name), name]);
  return html`<select class="world" aria-label="World" value=${name} onChange=${go}>${[...names].map((each) => html`<option value=${each}>${each ? `/@${each}` : "default world"}</option>`)}<option value="+">another\u2026</option></select>`;
}

export function Reset() {
  const dialog = useRef(null);
  const reset = async () => {
    dialog.current.close();
    if (await act("POST", "reset", {})) location.hash = "#/";
  };
  return html`${small("Reset\u2026", () => dialog.current.showModal())}
    <dialog ref=${dialog} aria-labelledby="head-reset"><h2 id="head-reset">Reset this world?</h2>
      <p>Its jobs, exchanges, findings and changes are forgotten; ids begin anew. Other worlds stay as they are.</p>
      <p class="actions"><button class="danger" onClick=${reset}>Reset it</button><button onClick=${() => dialog.current.close()}>Cancel</button></p></dialog>`;
}

export function Notice() {
  const { notice: shown } = state;
  const dismiss = () => { if (state.notice === shown) state.notice = ""; changed(); };
  useEffect(() => {
    const timer = shown && setTimeout(dismiss, shown.kind === "bad" ? 12000 : 5000);
    return () => clearTimeout(timer);
  }, [shown]);
  return html`<div class="notices" role="status" aria-live="polite">${state.status === "gone" && html`<p class="notice bad">The server is gone. The page waits for it and then goes on.</p>`}
    ${shown && html`<p class="notice ${shown.kind}">${shown.text} ${small("\u00d7", dismiss, { "aria-label": "Dismiss" })}</p>`}</div>`;
}
