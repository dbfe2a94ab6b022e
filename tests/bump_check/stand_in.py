"""Trees in the place of the kit's own: their ``python -m runner`` and their emulated chip do what the plan in the tree says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import samples
from tools.bump_check.sides import Side

PROGRAM = """
import json, os, pathlib, sys, time
plan = json.loads(pathlib.Path("plan.json").read_text())
verb, *words = sys.argv[1:]

def value(flag):
    return words[words.index(flag) + 1]

def log(*parts):
    with open(plan["log"], "a") as file:
        file.write(" ".join(parts) + chr(10))

if verb in plan["fails"]:
    code, said = plan["fails"][verb]
    print(said, file=sys.stderr)
    sys.exit(code)
if verb == "request" and "--list" in words:
    for case in plan["cases"]:
        print(json.dumps({"event": "case", "case": case}))
elif verb == "request":
    end = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    named = words[:end] or plan["fitting"]
    if "--no-image" in words:
        named = [case for case in named if case not in plan["in_images"]]
    log("request", plan["name"], *words[:end])
    print(json.dumps({"event": "chosen", "cases": named, "in_images": plan["in_images"]}), file=sys.stderr)
    out = pathlib.Path(value("--out"))
    out.mkdir(parents=True, exist_ok=True)
    for case in named:
        path = out / f"{case}.json"
        path.write_text(json.dumps(plan["requests"][case]))
        print(json.dumps({"event": "request", "case": case, "path": str(path)}))
elif verb == "image":
    log("image", plan["name"], value("--cases"))
elif verb == "run":
    case = pathlib.Path(words[0]).stem
    log("run", plan["name"], case)
    path = pathlib.Path(value("--runs")) / f"{case}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(case)
    print(json.dumps({"event": "container", "case": case}))
    if plan["launch_fails"]:
        print("[x] the container ended without its result", file=sys.stderr)
        sys.exit(13)
    print(json.dumps({"event": "log", "case": case, "path": str(path)}))
elif verb == "collect":
    kept = pathlib.Path(words[-1])
    log("collect", plan["name"], kept.name)
    path = pathlib.Path(value("--results")) / f"{kept.read_text()}-{len(list(kept.parent.iterdir()))}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    print(json.dumps({"event": "result", "path": str(path)}))
elif verb == "bench" and "--help" in words:
    print(plan["bench_help"])
elif verb == "bench":
    case = pathlib.Path(words[0]).stem
    log("bench", plan["name"], case, *(word for word in words if word == "--operators"))
    count = pathlib.Path(plan["log"]).read_text().splitlines().count(f"bench {plan['name']} {case}")
    if [case, count] in plan["launch_fails"] or [case, 0] in plan["launch_fails"]:
        print("[x] launch 1/1: a rank died", file=sys.stderr)
        sys.exit(6)
    if [case, count] in plan["waits"]:
        log("waiting", str(os.getpid()))
        try:
            time.sleep(600)
        except BaseException:
            raise
    folder = pathlib.Path(value("--results"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case}-{count}.json"
    path.write_text("{}")
    print("a library says something")
    print(json.dumps({"event": "result", "path": str(path)}))
elif verb == "compare":
    log("compare", plan["name"], value("--fail-on"))
    pathlib.Path(value("--markdown")).write_text(plan["markdown"])
    print(json.dumps(plan["compared"]))
    sys.exit(plan["compare_code"])
"""

CALLS = """
import json, pathlib, sys
plan = json.loads(pathlib.Path("plan.json").read_text())["emulated"].get(sys.argv[1])
if plan is None:
    sys.exit("no such stack")
if "exit" in plan:
    print(plan["said"], file=sys.stderr)
    sys.exit(plan["exit"])
print(json.dumps(plan))
"""

LOCK = """schema: 1
stacks:
  gaudi-1.10:
    device: hpu
    packages:
      optimum-habana:
        version: 1.6.1
        note: a note
  cpu:
    device: cpu
    packages:
      torch:
        version: 2.13.0
"""


def change(case: str, found: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return a row of compare's JSON."""
    times = {"word": None, "reason": "times of a CPU are not judged", "smallest_change": 0.031}
    return {"case": case, "word": "UNCHANGED", "found": list(found), "reasons": [], "times": times, "flags": [], **more}


def requests() -> dict[str, Any]:
    """Return what the stand-in program writes as the request of each case."""
    return {case: samples.request(case=case).to_json() for case in ("cpu-1", "cpu-2", "new", "old")}


def write(tree: Path, name: str, log: Path, lock: str = LOCK, **changes: Any) -> None:
    """Write a tree; ``changes`` replace parts of its plan."""
    plan: Mapping[str, Any] = {
        "name": name,
        "log": str(log),
        "cases": ["cpu-1", "cpu-2"],
        "fitting": ["cpu-1", "cpu-2"],
        "in_images": [],
        "requests": requests(),
        "bench_help": "usage",
        "launch_fails": [],
        "waits": [],
        "fails": {},
        "compared": {"changes": [change("cpu-1"), change("cpu-2")], "refused": []},
        "markdown": "| case |\\n| --- |\\n",
        "compare_code": 0,
        "emulated": {},
        **changes,
    }
    for path, text in {
        "runner/__main__.py": PROGRAM,
        "runner/__init__.py": "",
        "tests/__init__.py": "",
        "tests/emulation/__init__.py": "",
        "tests/emulation/calls.py": CALLS,
        "plan.json": json.dumps(plan),
        "versions.lock": lock,
        ".gitignore": "__pycache__/\n/build/\n",
    }.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)


def side(folder: Path, name: str, log: Path, **changes: Any) -> Side:
    """Return a side of a stand-in tree below ``folder``."""
    write(folder / f"tree-{name}", name, log, **changes)
    return Side(name, folder / f"tree-{name}", Path(sys.executable))


def logged(log: Path, word: str) -> list[list[str]]:
    """Return what the stand-in programs noted under a word, in order."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split()[1:] for line in lines if line.split()[0] == word]


def repository(folder: Path) -> Path:
    """Return a new, empty git repository on the branch main."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


def commit(folder: Path, message: str = "A commit") -> str:
    """Commit everything of a repository, and return the commit's hash."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints; the identity is that of nobody."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
