"""The rows of `benchmarks/hostile.py` about ordinary clients, whom the transport may not break."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hostile_server import ROOT, NotMeasured, row, served

#: The interpreter of a client that `make clients` installs, which uses aiohttp.
AIOHTTP: Final = ROOT / ".clients" / "cometapi" / "bin" / "python"

_NODE: Final = """
import http from 'node:http';
let lost = 0;
const ask = (agent, method) => new Promise((done, failed) => {
  const headers = {authorization: 'Bearer k', 'content-type': 'application/json'};
  const request = http.request({port: process.argv[2], path: '/v1/videos', agent, method, headers}, answer => {
    answer.resume(); answer.on('end', done) });
  request.on('error', failed); request.end('{"prompt":"x"}') });
await Promise.all([...Array(60).keys()].map(async k => {
  const agent = new http.Agent({keepAlive: true});
  await ask(agent, 'POST');
  for (let i = 0; i < 5; i++) {
    await new Promise(done => setTimeout(done, 4985 + k * 0.5));
    try { await ask(agent, 'POST') } catch { lost++ } }
  agent.destroy() }));
console.log(lost);
"""
_GO: Final = """
package main

import ("fmt"; "io"; "net/http"; "os"; "strings"; "sync"; "sync/atomic"; "time")

func main() {
	var lost atomic.Int64
	var group sync.WaitGroup
	for k := 0; k < 60; k++ {
		group.Add(1)
		go func(k int) {
			defer group.Done()
			client := &http.Client{Transport: &http.Transport{}}
			for i := 0; i < 6; i++ {
				body := strings.NewReader("prompt=x")
				request, _ := http.NewRequest("POST", "http://127.0.0.1:"+os.Args[1]+"/v1/videos", body)
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				request.Header.Set("Authorization", "Bearer k")
				answer, err := client.Do(request)
				if err != nil { lost.Add(1) } else { io.Copy(io.Discard, answer.Body); answer.Body.Close() }
				time.Sleep(time.Duration(4985000+k*500) * time.Microsecond)
			}
		}(k)
	}
	group.Wait()
	fmt.Println(lost.Load())
}
"""
_REQUESTS: Final = """
import sys, threading, time, requests
lost = []
def run(number):
    session = requests.Session()
    for _ in range(6):
        try:
            session.post(f"http://127.0.0.1:{sys.argv[1]}/v1/videos", files={"prompt": (None, "x")},
                         headers={"Authorization": "Bearer k"})
        except requests.RequestException as error:
            lost.append(error)
        time.sleep(4.985 + number * 0.0005)
threads = [threading.Thread(target=run, args=(number,)) for number in range(60)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(len(lost))
"""
_AIOHTTP: Final = """
import asyncio, sys, aiohttp
async def run(number):
    lost = 0
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer k"}) as session:
        for _ in range(6):
            try:
                async with session.post(f"http://127.0.0.1:{sys.argv[1]}/v1/videos", json={"prompt": "x"}) as answer:
                    await answer.read()
            except aiohttp.ClientError:
                lost += 1
            await asyncio.sleep(4.985 + number * 0.0005)
    return lost
async def main():
    print(sum(await asyncio.gather(*(run(number) for number in range(60)))))
asyncio.run(main())
"""


def _idle_program(name: str, source: str, *command: str) -> Callable[[], float]:
    """Return what measures how many creates a client of another language loses, which is written to a file."""

    def measure() -> float:
        if shutil.which(command[0]) is None:
            raise NotMeasured(f"{command[0]} is not installed")
        with tempfile.TemporaryDirectory() as directory, served("--no-render", "--quiet") as server:
            path = Path(directory) / name
            path.write_text(source, encoding="utf-8")
            answer = subprocess.run(
                [*command, str(path), str(server.port)], check=True, capture_output=True, cwd=ROOT, timeout=120
            )
            return float(answer.stdout)

    measure.__name__ = f"idle_{name.partition('.')[0]}"
    return measure


for _before, _client in (
    ("12 of 60", _idle_program("node.mjs", _NODE, "node")),
    ("8 of 90", _idle_program("go.go", _GO, "go", "run")),
    ("5 of 60", _idle_program("with_requests.py", _REQUESTS, sys.executable)),
    ("not measured", _idle_program("with_aiohttp.py", _AIOHTTP, os.fspath(AIOHTTP))),
):
    row("2e", f"creates lost of 300 that poll every 5 s, {_client.__name__}", 0, "", _before)(_client)


@row("A1", "creates of 3 by Java's HttpClient and of 1 by curl --http2 that are refused", 0, "", "4")
def upgrades() -> float:
    """Return the number."""
    java = """
        import java.net.URI;
        import java.net.http.*;
        public class Create { public static void main(String[] arguments) throws Exception {
          HttpClient client = HttpClient.newHttpClient();
          for (int i = 0; i < 3; i++) {
            String body =
              "--B\\r\\nContent-Disposition: form-data; name=\\"prompt\\"\\r\\n\\r\\nA kite\\r\\n--B--\\r\\n";
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0])).header("Authorization", "Bearer k")
              .header("Content-Type", "multipart/form-data; boundary=B")
              .POST(HttpRequest.BodyPublishers.ofString(body)).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode()); } } }
        """
    if shutil.which("java") is None or shutil.which("curl") is None:
        raise NotMeasured("java or curl is not installed")
    with tempfile.TemporaryDirectory() as directory, served("--no-render", "--quiet") as server:
        url = f"http://127.0.0.1:{server.port}/v1/videos"
        path = Path(directory) / "Create.java"
        path.write_text(java, encoding="utf-8")
        done = subprocess.run(["java", str(path), url], capture_output=True, check=True, timeout=120)
        curl = [
            "curl",
            "--silent",
            "--http2",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}\n",
            "-H",
            "Authorization: Bearer k",
        ]
        curled = subprocess.run([*curl, "-F", "prompt=x", url], capture_output=True, check=True, timeout=20)
        return 4 - (done.stdout + curled.stdout).split().count(b"200")
