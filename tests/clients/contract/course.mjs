// The course of a correct call - create, poll, download - and the lines of the client protocol, for whichever library
// carries the requests: `speak(client, version, send)`, where send({operation, job, case, signal}) gives a Response and
// throws where none came.
import { open, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

export const FEATURES = { images: 2, content: true, deadline: true, poll_interval: true };
const PASSING = [408, 425, 429, 500, 502, 503, 504, 520, 522, 524];
const NOT_APPLIED = [408, 425, 429, 503]; // after these a create was certainly not applied
const TRIES = 6;

class GivenUp extends Error {
  constructor(outcome, message) {
    super(message);
    this.outcome = outcome;
  }
}

class Answer {
  constructor(status, headers, body) {
    const promised = headers?.get("content-length");
    this.whole = status > 0 && (!promised || headers.get("content-encoding") || +promised === body.length);
    Object.assign(this, { status, headers, body });
    try {
      this.json = JSON.parse(body);
    } catch {}
    if (typeof this.json !== "object" || this.json === null) this.json = {};
  }

  // An MP4 has this word after the length of its first box.
  get isVideo() {
    return this.status === 200 && this.whole && Buffer.from(this.body).subarray(4, 8).toString() === "ftyp";
  }

  get job() {
    const found = this.status === 200 && this.whole ? this.json : {};
    return found.data?.id ? found.data : found;
  }

  get error() {
    const nested = this.json.error;
    return typeof nested === "object" && nested ? nested : this.json;
  }

  get message() {
    return String(this.error.message || (this.status ? `an answer of ${this.status}` : "no whole answer"));
  }

  get passing() {
    return !this.whole || (PASSING.includes(this.status) && this.error.code !== "model_not_found");
  }

  get retryAfter() {
    const value = this.headers?.get("retry-after");
    if (!value) return 0;
    if (!Number.isNaN(+value)) return +value;
    return (Date.parse(value) - Date.parse(this.headers.get("date"))) / 1000 || 0;
  }
}

class Call {
  constructor(given, send) {
    Object.assign(this, { given, sends: send, begun: performance.now() });
  }

  get left() {
    return this.given.deadline_s - (performance.now() - this.begun) / 1000;
  }

  async ask(operation, job) {
    const signal = AbortSignal.timeout(Math.ceil(Math.max(this.left, 2) * 1000));
    try {
      const response = await this.sends({ operation, job, case: this.given, signal });
      return new Answer(response.status, response.headers, Buffer.from(await response.arrayBuffer()));
    } catch (error) {
      if (error instanceof TypeError && !error.cause && error.message !== "terminated") throw error; // our mistake
      return new Answer(0, null, "");
    }
  }

  async sleep(seconds) {
    if (seconds > this.left) throw new GivenUp("timeout", `not done after ${this.given.deadline_s} s`);
    await setTimeout(seconds * 1000 + 1);
  }

  async wait(answer, troubles) {
    await this.sleep(Math.max(answer.retryAfter, this.given.poll_interval_s * 2 ** Math.min(troubles, 6)));
  }

  async create() {
    const kept = await this.kept();
    if (kept?.job) return kept.job;
    if (kept) throw new GivenUp("error", "the create was sent before, and its answer was lost: a job may exist");
    await this.keep({ sent: true });
    for (let troubles = 0; ; troubles++) {
      const answer = await this.ask("create");
      if (answer.job.id) {
        await this.keep({ job: answer.job });
        return answer.job;
      }
      if (!NOT_APPLIED.includes(answer.status) || !answer.passing) throw new GivenUp("error", answer.message);
      await this.wait(answer, troubles);
    }
  }

  get state() {
    return join(this.given.state_dir, "job.json");
  }

  /** What an earlier start of the same call has kept; undefined if there was none. */
  async kept() {
    try {
      return JSON.parse(await readFile(this.state));
    } catch (error) {
      if (error.code === "ENOENT") return undefined;
      throw new GivenUp("error", `${this.state} cannot be read: a job may exist`);
    }
  }

  /** Keeps it for the next start, should this one be killed. */
  async keep(state) {
    const file = await open(`${this.state}.new`, "w");
    await file.writeFile(JSON.stringify(state));
    await file.sync();
    await file.close();
    await rename(`${this.state}.new`, this.state);
  }

  async polled(made) {
    let job = made;
    for (let troubles = 0; !["completed", "failed", "error"].includes(job.status); ) {
      if (!troubles) await this.sleep(this.given.poll_interval_s);
      const answer = await this.ask("retrieve", made.id);
      if (answer.job.status) {
        job = { ...made, ...answer.job, id: made.id };
        troubles = 0;
        continue;
      }
      const unseen = answer.error.code === "task_not_exist" && troubles < TRIES;
      if (!answer.passing && answer.status !== 200 && !unseen) throw new GivenUp("error", answer.message);
      await this.wait(answer, troubles++);
    }
    return job;
  }

  async download(job) {
    for (let troubles = 0; ; troubles++) {
      const answer = await this.ask("content", job.id);
      if (answer.isVideo) {
        const path = join(this.given.state_dir, "video.mp4");
        await writeFile(path, answer.body);
        return path;
      }
      const again = answer.passing || answer.status === 200;
      if (!again || troubles >= TRIES) throw new GivenUp("error", answer.message);
      await this.wait(answer, troubles);
    }
  }

  async result() {
    const result = { outcome: "completed", video: null, content_path: null, error: null };
    try {
      let job = await this.create();
      result.video = { id: job.id, status: job.status, model: job.model };
      job = await this.polled(job);
      result.video = { id: job.id, status: job.status, model: job.model };
      if (job.status === "completed") result.content_path = await this.download(job);
      else {
        result.outcome = "failed";
        result.error = { type: "failed", message: job.error?.message || "it failed without a reason" };
      }
    } catch (error) {
      if (!(error instanceof GivenUp)) throw error;
      if (result.video?.status !== "completed") result.outcome = error.outcome;
      result.error = { type: error.outcome, message: error.message };
    }
    return result;
  }
}

/** The images of a case, as File objects. */
export function files(given) {
  return Promise.all(
    given.input.images.map(async (one) => new File([await readFile(one.path)], one.filename, { type: one.content_type })),
  );
}

/** The texts of a case, without what its caller leaves out. */
export function texts(given) {
  const { prompt, model, size } = given.input;
  return Object.fromEntries(Object.entries({ prompt, model, size }).filter(([, value]) => value != null));
}

/** The form of a case. */
export async function form(given) {
  const data = new FormData(); // and no Content-Type of one's own: fetch knows the boundary
  for (const [name, value] of Object.entries(texts(given))) data.append(name, value);
  for (const file of await files(given)) data.append("input_reference", file);
  return data;
}

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** Speaks the client protocol for a client that sends requests; with the argument `durable` it declares `resume`. */
export function speak(client, version, send) {
  const features = { ...FEATURES, resume: process.argv.includes("durable") };
  listen(client, version, features, (given) => new Call(given, send).result());
}

/** Speaks the client protocol for a client that plays cases. */
export function listen(client, version, features, play) {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const message = JSON.parse(line);
    if (message.type === "hello") say({ type: "hello", client, version, features, max_in_flight: 4 });
    if (message.type !== "case") return;
    try {
      say({ type: "result", id: message.id, ...(await play(message)) });
    } catch (error) {
      say({ type: "adapter_error", id: message.id, message: String(error.stack) });
    }
  });
}
