// What the page knows of a world, kept in step by the control API's event stream. Views read `state` and are redrawn
// by `page.draw`, at most once a frame. Nothing here grows without bound.
import { clockText, counted } from "./parts.js";

const MAX = 10000; // exchanges, and jobs
const QUIET_MS = 10000;

export const state = {
  world: null, clock: null, clockAt: 0, scenario: null, queue: [], scenarios: [], rules: new Map(), worlds: [],
  jobs: new Map(), exchanges: [], findings: [], bill: null, status: "connecting", notice: "", words: [], last: 0, version: 0,
};
const trails = new Map(); // job -> what is known of its exchanges
let frame = 0;
export const page = { draw() {} };
export function changed() {
  // A timer, since a page in the background gets no frames but must not fall behind.
  frame ||= setTimeout(() => { frame = 0; page.draw(state.version += 1); }, 40);
}

export async function api(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`./${path}`, body === undefined ? { method } : { method, headers, body: JSON.stringify(body) }).catch(() => {
    throw new Error("the server does not answer");
  });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error.message);
  return data;
}
export function notice(text, kind = "info") {
  state.notice = { text, kind };
  changed();
}
// Do what a button says; what the server objects to is shown in its own words.
export async function act(method, path, body, done) {
  try {
    const answer = await api(method, path, body);
    if (done) notice(typeof done === "function" ? done(answer) : done, "good");
    return answer;
  } catch (error) {
    return notice(error.message, "bad");
  }
}

let latestNow = 0;
export function now() {
  const { clock } = state;
  if (!clock) return 0;
  return clock.mode === "wall" ? clock.now + ((performance.now() - state.clockAt) / 1000) * clock.speed : clock.now;
}
// Whether texts have all words of the search.
export const fits = (...texts) => state.words.every((word) => texts.some((text) => text?.toLowerCase().includes(word)));
export const pace = () => (state.clock?.mode === "wall" ? state.clock.speed : 1);
export const linkOf = (job, number) => `#/job/${encodeURIComponent(job)}${number ? `/${number}` : ""}`;
export const pathOf = (job) => `jobs/${encodeURIComponent(job)}`;

// As mockveo/simulator/jobs.py computes it: a job is a function of time.
export function view(job, at) {
  const { timeline } = job;
  let place = 0;
  while (place + 1 < timeline.length && at >= timeline[place + 1].at) place += 1;
  const stage = timeline[place];
  const next = timeline[place + 1];
  const ended = job.ends !== null && at >= job.ends;
  let progress = stage.progress;
  if (next && next.at > stage.at) {
    const done = Math.min(Math.max((at - stage.at) / (next.at - stage.at), 0), 1);
    progress = stage.steps.length
      ? stage.steps[Math.min(Math.floor(done * stage.steps.length), stage.steps.length - 1)]
      : Math.min(stage.progress + Math.floor((stage.to + 1 - stage.progress) * done), Math.max(stage.to, stage.progress));
  }
  return { status: stage.status, progress: ended ? timeline.at(-1).progress : progress, ended, place, next };
}
// queued, running, completed or failed
export function column(job, at = now()) {
  if (job.column && job.checked <= at) return job.column;
  const { status, ended, place } = view(job, at);
  const found = ended ? (job.timeline.at(-1).progress === 100 ? "completed" : "failed")
    : status === "queued" || (place === 0 && job.timeline.length > 2) ? "queued" : "running";
  // An end is for good, unless the job is changed or the clock turned back.
  if (ended) { job.column = found; job.checked = at; }
  return found;
}

export const hasEnded = (job, at) => ["completed", "failed"].includes(column(job, at));
export const trail = (id) => trails.get(id) || { exchanges: [], client: "", latest: null, usual: 0, toldEnd: false };
export function byNumber(number) {
  let [low, high] = [0, state.exchanges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (state.exchanges[middle].number < number) low = middle + 1;
    else high = middle;
  }
  return state.exchanges[low]?.number === number ? state.exchanges[low] : undefined;
}
export const findingsOf = (job) => state.findings.filter(({ exchanges }) => exchanges.some((number) => byNumber(number)?.job === job));
const RUSHED = new Set(["poll-interval", "retry-after", "backoff", "stop-at-terminal", "retry-bounded"]);
// What is odd about the client of a job, in a few words; nothing if all is well.
export function oddity(job, at) {
  const found = findingsOf(job.id).find(({ rule }) => RUSHED.has(rule));
  if (found) return found.rule === "stop-at-terminal" ? "asks on after the end" : "asks too often";
  const { latest, usual, toldEnd } = trail(job.id);
  if (latest === null || Date.now() - latest * 1000 < Math.max(usual * 3000, QUIET_MS)) return "";
  if (!hasEnded(job, at)) return "stopped polling";
  return column(job, at) === "completed" && !toldEnd ? "has not seen the end" : "";
}

function addExchange(exchange) {
  if (exchange.number <= state.last) return;
  const lost = state.last && exchange.number - state.last - 1;
  if (lost) notice(`${counted(lost, "exchange")} came that the server no longer has.`);
  state.last = exchange.number;
  exchange.words = `${exchange.line} ${exchange.client} ${exchange.job}`;
  state.exchanges.push(exchange);
  if (state.exchanges.length > MAX) {
    for (const old of state.exchanges.splice(0, MAX / 10)) {
      const known = trails.get(old.job);
      if (!known) continue;
      known.exchanges.shift();
      if (!known.exchanges.length && !state.jobs.has(old.job)) trails.delete(old.job);
    }
  }
  if (!exchange.job) return;
  const known = trail(exchange.job);
  trails.set(exchange.job, known);
  known.exchanges.push(exchange);
  known.client ||= exchange.client;
  const pause = exchange.time - known.latest;
  if (known.latest !== null) known.usual = known.usual ? known.usual * 0.7 + pause * 0.3 : pause;
  known.latest = exchange.time;
  known.toldEnd ||= exchange.status === 200 && (exchange.progress === 100 || exchange.operation === "content");
}
function addJob(job) {
  job.words = `${job.id} ${job.prompt} ${job.model} ${job.alias} ${job.scenario}`;
  state.jobs.set(job.id, job);
  if (state.jobs.size > MAX) {
    const oldest = state.jobs.keys().next().value;
    state.jobs.delete(oldest);
    trails.delete(oldest);
  }
}

// Findings cost the server the more, the longer its journal: asked for when traffic pauses, and ever less often.
let timer = 0;
let cost = 0;
async function load(places) {
  try {
    for (const [name, path] of Object.entries(places)) {
      const answer = await api("GET", path);
      state[name] = answer[name] ?? answer;
    }
    changed();
  } catch { /* the stream says that the server is gone */ }
}
function refreshFindings(delay = Math.max(600, cost * 10)) {
  timer ||= setTimeout(async () => {
    const begun = performance.now();
    await load({ findings: "findings?unrepeated=true", bill: "bill" });
    cost = performance.now() - begun;
    timer = 0;
  }, delay);
}
export const refreshLists = () => load({ scenarios: "scenarios", worlds: "worlds" });

function setClock(clock) {
  const back = state.clock ? latestNow - clock.now : 0;
  // What is asked for may arrive after what came by the stream, half a second at most.
  if (back > (clock.mode === "wall" ? clock.speed / 2 : 1e-6)) {
    notice(`The clock was turned back by ${clockText(back)}.`);
    for (const job of state.jobs.values()) job.column = null;
  }
  state.clock = clock;
  state.clockAt = performance.now();
  latestNow = clock.now;
}
function forget() {
  Object.assign(state, { exchanges: [], findings: [], bill: null, last: 0, clock: null });
  latestNow = 0;
  state.jobs.clear();
  trails.clear();
}
async function loadJobs() {
  const { jobs } = await api("GET", `jobs?limit=${MAX}&timeline=true`);
  const listed = new Set(jobs.map(({ id }) => id));
  // Those that came by the stream meanwhile are younger.
  const younger = [...state.jobs.values()].filter(({ id }) => !listed.has(id));
  state.jobs.clear();
  for (const job of [...jobs.reverse(), ...younger]) addJob(job);
  changed();
}

// A machine that slept has another idea of the time that passed.
addEventListener("visibilitychange", () => {
  if (!document.hidden) api("GET", "clock").then((clock) => { setClock(clock); changed(); }, () => {});
});

let source = null;
function hello(data) {
  const before = state.world;
  if (before && before.run !== data.run) {
    forget();
    notice("The world was reset or the server restarted; this is how it is now.");
    Object.assign(state, { world: data, status: "connecting" });
    return connect(); // Anew, from the first exchange of this run.
  }
  if (state.status === "gone") notice("The server is back.", "good");
  Object.assign(state, { world: data, status: "live" });
  loadJobs().catch(() => {});
  refreshLists();
  return refreshFindings(0);
}
export function connect() {
  source?.close();
  source = new EventSource(`./events?state=true&since=${state.last}`);
  const stream = source;
  const on = (name, take) => stream.addEventListener(name, (event) => {
    if (stream !== source) return;
    take(JSON.parse(event.data));
    changed();
  });
  on("hello", hello);
  on("exchange", (exchange) => {
    addExchange(exchange);
    refreshFindings();
    // Whether it is sent again is known only then.
    if (exchange.transient) setTimeout(refreshFindings, exchange.wait * 1000 + QUIET_MS + 500);
  });
  on("job", addJob);
  on("forgotten", ({ id }) => { state.jobs.delete(id); trails.delete(id); });
  on("state", ({ clock, scenario, queue }) => { setClock(clock); Object.assign(state, { scenario, queue }); });
  stream.onerror = () => {
    if (stream !== source) return;
    state.status = "gone";
    changed();
    // A browser gives up after a refusal; after a lost connection it comes back by itself.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => { if (stream === source) connect(); }, 1000);
  };
}
api("GET", "rules").then(({ rules }) => { state.rules = new Map(rules.map((rule) => [rule.id, rule])); changed(); }, () => {});
