// A program with the URL of the real service written in, with node:https.
import https from "node:https";

const url = "https://api.cometapi.com/v1/videos", authorization = `Bearer ${process.env.COMETAPI_KEY}`;

const ask = (url, method = "GET", body = "") => new Promise((resolve, reject) => {
  const type = body ? { "Content-Type": "application/x-www-form-urlencoded" } : {};
  const request = https.request(url, { method, headers: { authorization, ...type } }, (response) => {
    let text = "";
    response.on("data", (data) => { text += data; }).on("end", () => resolve(JSON.parse(text)));
  });
  request.on("error", reject).end(body);
});

let video = await ask(url, "POST", "prompt=A+paper+kite.");
while (["queued", "in_progress"].includes(video.status)) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  video = await ask(`${url}/${video.id}`);
}
console.log(video.status);
