// A program with the URL written in.
const base = "https://api.cometapi.com/v1/videos", headers = { Authorization: `Bearer ${process.env.COMETAPI_KEY}` };
const form = () => { const f = new FormData(); f.append("prompt", "A paper kite floats above a field."); return f; };
async function create() {
  for (let attempt = 1; ; attempt++) {
    try { return await (await fetch(base, { method: "POST", headers, body: form() })).json(); }
    catch (error) { console.log("create failed, trying again:", error.cause?.code ?? error.message); if (attempt == 3) throw error; }
  }
}
let video = await create();
while (["queued", "in_progress"].includes(video.status)) {
  await new Promise((resolve) => setTimeout(resolve, 500));
  video = await (await fetch(`${base}/${video.id}`, { headers })).json();
}
const bytes = Buffer.from(await (await fetch(`${base}/${video.id}/content`, { headers })).arrayBuffer());
console.log(video.status, bytes.length);
