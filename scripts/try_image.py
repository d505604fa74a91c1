"""Build the image of deploy/Dockerfile, start it as a user without rights on a read-only root, and call it.

With a container engine that does both. Without one, as root on Debian, the steps of the Dockerfile run in a clean
Debian root that debootstrap makes; of the instructions only those are known that the file uses.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from try_install import ROOT, drive

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PORT = 18360
#: Settings of the server that is tried: quick jobs, and a port that nothing else uses.
ENV = {"MOCKVEO_PORT": str(PORT), "MOCKVEO_SPEED": "60"}
#: What a build step needs of this machine to reach the package registries that it is set up for.
NETWORK_FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf"]
NETWORK_VARIABLES = re.compile(
    r"(https?|no)_proxy|PIP_(INDEX_URL|EXTRA_INDEX_URL|CERT|DEFAULT_TIMEOUT)|SSL_CERT_FILE", re.IGNORECASE
)
#: Seconds in which a server answers its first request.
START_S = 30


def main() -> None:
    """Try the image by what this machine has."""
    with tempfile.TemporaryDirectory(prefix="mockveo-image-") as name:
        if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
            try_with_docker(Path(name))
        else:
            try_with_debootstrap(Path(name))
    print("image: works")


def try_with_docker(directory: Path) -> None:
    """Build and run the image with Docker."""
    run("docker", "build", "-f", str(DOCKERFILE), "-t", "mockveo-try", str(ROOT))
    env = [part for name, value in ENV.items() for part in ("-e", f"{name}={value}")]
    options = ["--read-only", "--cap-drop=ALL", f"--publish=127.0.0.1:{PORT}:{PORT}", *env]
    name = run("docker", "run", "--detach", "--rm", *options, "mockveo-try").strip()
    try:
        drive_when_ready(directory, lambda: run("docker", "exec", name, "mockveo", "ready"))
    finally:
        run("docker", "stop", name)


def try_with_debootstrap(directory: Path) -> None:
    """Run the steps of the Dockerfile in Debian roots, and its command in the last."""
    image = ImageBuild(directory)
    for instruction, words in instructions(DOCKERFILE.read_text(encoding="utf-8")):
        image.apply(instruction, words)
    with image.running():
        drive_when_ready(directory, image.check_health)


def drive_when_ready(directory: Path, check_health: Callable[[], object]) -> None:
    """Take a job through the server once it answers; its own health check must agree."""
    url = f"http://127.0.0.1:{PORT}"
    deadline = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/openapi.yaml", timeout=5).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit("image: the server did not start") from None
            time.sleep(0.1)
    check_health()
    drive(url, directory)


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with the rest of their lines."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    pairs = (line.partition(" ") for line in lines if line.strip())
    return [(instruction, rest.strip()) for instruction, _, rest in pairs]


class ImageBuild:
    """The stages of a Dockerfile as directories; `root` is that of the last."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stages: dict[str, Path] = {}
        self.root = directory
        self._env: dict[str, str] = {}
        self.user = ""
        self._command: list[str] = []
        self._health: list[str] = []

    def apply(self, instruction: str, rest: str) -> None:
        """Carry out an instruction."""
        match instruction:
            case "FROM":
                base, _, name = rest.partition(" AS ")
                self._begin(base.strip(), name.strip())
            case "RUN":
                network = {name: value for name, value in os.environ.items() if NETWORK_VARIABLES.fullmatch(name)}
                run("/usr/sbin/chroot", str(self.root), "sh", "-ec", rest, env=PATH | network | self._env)
            case "COPY":
                self._copy(shlex.split(rest))
            case "ENV":
                self._env |= dict(word.split("=", 1) for word in shlex.split(rest))
            case "USER":
                self.user = rest.strip()
            case "ENTRYPOINT" | "CMD":
                self._command += json.loads(rest)
            case "HEALTHCHECK":
                self._health = json.loads(rest.partition(" CMD ")[2])
            case "EXPOSE":
                pass
            case _:
                raise SystemExit(f"image: {DOCKERFILE.name} uses {instruction}, which this script does not know")

    def _begin(self, base: str, name: str) -> None:
        self.root = self._directory / f"stage-{len(self._stages)}"
        self._env, self.user, self._command = {}, "", []
        if base in self._stages:
            run("cp", "--archive", "--reflink=auto", str(self._stages[base]), str(self.root))
        else:
            suite = base.removeprefix("debian:").removesuffix("-slim")
            run("debootstrap", "--variant=minbase", "--include=ca-certificates", suite, str(self.root), debian_mirror())
            for file in [*NETWORK_FILES, os.environ.get("PIP_CERT", ""), os.environ.get("SSL_CERT_FILE", "")]:
                if file and Path(file).is_file():
                    target = self.root / file.removeprefix("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
        self._stages[name or str(len(self._stages))] = self.root

    def _copy(self, words: list[str]) -> None:
        source_root = ROOT
        if words[0].startswith("--from="):
            source_root = self._stages[words.pop(0).removeprefix("--from=")]
        source, target = words
        if source == ".":
            for pattern in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
                if pattern.startswith("!"):
                    self._copy([pattern[1:], f"{target}/{pattern[1:]}"])
            return
        path = self.root / target.removeprefix("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "--archive", "--no-target-directory", str(source_root / source.removeprefix("/")), str(path))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the command of the image on a read-only root, with a writable /tmp."""
        mounts = 'mount --bind "$0" "$0"; mount -o remount,ro,bind "$0"; mount -t tmpfs tmp "$0/tmp"'
        script = f'{mounts}; exec /usr/sbin/chroot "$@"'
        command = ["unshare", "--mount", "sh", "-ec", script, str(self.root), f"--userspec={self.user}", str(self.root)]
        process = subprocess.Popen(
            [*command, *self._command],
            env=PATH | self._env | ENV,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            if process.wait(30) != 0:
                raise SystemExit(f"image: SIGTERM ended the server with {process.returncode}; expected 0")

    def check_health(self) -> None:
        """Run the health check of the image."""
        url = {"MOCKVEO_URL": f"http://127.0.0.1:{PORT}"}
        run("/usr/sbin/chroot", f"--userspec={self.user}", str(self.root), *self._health, env=PATH | self._env | url)


PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}


def debian_mirror() -> str:
    """Return the package archive that this machine is set up for."""
    return run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()[0]


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """Run a command and return what it prints; end with its errors if it fails."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"image: {shlex.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
