"""A program in the place of podman and docker: it notes what it is told, and a play runs in the place of the container."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from runner.host import paths
from tests.host.containers import told

# The client: the container is a process of its own, which the client stays attached to and hands signals to, as podman and docker do.
PROGRAM = """#!{python} -IS
import json, os, signal, subprocess, sys, time
state, me, words = {state!r}, os.path.basename(sys.argv[0]), sys.argv[1:]
with open(state + "/calls", "a") as file:
    file.write(json.dumps([me, *words]) + chr(10))
def container(name):
    try:
        return int(open(state + "/" + name).read())
    except (OSError, ValueError):
        sys.exit("no such container")
def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
if words[0] == "info":
    print(open(state + "/" + me + ".info").read())
elif words[0] == "image":
    sys.exit(0 if os.path.exists(state + "/has-image") else 1)
elif words[0] == "pull":
    sys.exit(int(open(state + "/pull").read()))
elif words[0] in ("stop", "kill"):
    pid = container(words[1])
    os.kill(pid, signal.SIGTERM if words[0] == "stop" else signal.SIGKILL)
    while words[0] == "stop" and not gone(pid):
        time.sleep(0.02)
elif words[0] == "run":
    name = words[words.index("--name") + 1]
    while os.path.exists(state + "/slow"):
        time.sleep(0.02)
    mounts = dict(reversed([part.split("=")[1] for part in value.split(",")[1:3]]) for value in
                  [w for w in words if w.startswith("type=bind")])
    env = {{**os.environ, "MOUNTS": json.dumps(mounts)}}
    child = subprocess.Popen([{python!r}, state + "/play.py"], env=env, start_new_session=True)
    with open(state + "/" + name, "w") as file:
        file.write(str(child.pid))
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    code = child.wait()
    os.unlink(state + "/" + name)
    sys.exit(code if code >= 0 else 128 - code)
"""

# What a container does; each play is a program with these names.
BEFORE = """
import json, os, signal, sys, time
sys.path.insert(0, {root!r})
from runner.contract import frame, strictjson, termination, unfinished
from runner.contract.errors import DoesNotFit, LaunchFailed
mounts = json.loads(os.environ["MOUNTS"])
(name,) = os.listdir(mounts["/config"])
request = strictjson.read(os.path.join(mounts["/config"], name))
result = json.loads({result!r})
attempt = result["attempt"]["id"]
path = os.path.join(mounts["/results"], request["id"], attempt + ".json")
def publish():
    with open(path, "wb") as file:
        file.write(strictjson.pretty(result).encode())
def frames():
    print(chr(10).join(frame.write(attempt, strictjson.pretty(result).encode())), flush=True)
def say(text):
    print(text, file=sys.stderr, flush=True)
def leave(error):
    termination.leave(mounts["/dev/termination-log"], termination.write([], error))
    say("runner: " + str(error))
    sys.exit(error.exit_code)
def wait():
    while True:
        time.sleep(0.02)
"""


class Program:
    """Puts programs on the path, and reads what they were told. ``result`` is the result that a play publishes."""

    def __init__(self, folder: Path, result: object) -> None:
        self.folder, self.bin, self._result = folder, folder / "bin", result
        self.bin.mkdir(parents=True)
        (folder / "has-image").touch()
        for name, info in (("podman", told.PODMAN), ("docker", told.DOCKER)):
            (folder / f"{name}.info").write_text(json.dumps(info))
            path = self.bin / name
            path.write_text(PROGRAM.format(python=sys.executable, state=str(folder)))
            path.chmod(0o755)
        self.variables = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "PYTHONPATH": str(paths.ROOT)}
        for name in ("DOCKER_HOST", "CUDA_VISIBLE_DEVICES", "HABANA_VISIBLE_DEVICES", "HABANA_VISIBLE_MODULES"):
            self.variables.pop(name, None)

    def play(self, body: str) -> None:
        """Let the next containers do this."""
        before = BEFORE.format(root=str(paths.ROOT), result=json.dumps(self._result))
        (self.folder / "play.py").write_text(before + body)

    def calls(self, verb: str) -> list[list[str]]:
        """Return the words of every call of a verb, such as run."""
        noted = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        return [words for words in noted if words[1] == verb]

    def containers(self) -> list[str]:
        """Return the names of the containers that were not removed."""
        return [path.name for path in self.folder.glob("bloomz-bench-*")]

    def start(self, *arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
        """Start a verb that finds these programs."""
        command = [sys.executable, "-m", "runner", *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=cwd, env=self.variables, stdout=pipe, stderr=pipe, encoding="utf-8")

    def remove(self, name: str) -> None:
        """Take a program away."""
        (self.bin / name).unlink()
        assert shutil.which(name, path=str(self.bin)) is None
