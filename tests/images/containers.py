"""Run an image as a cluster would: any user, a read-only root, no network, no capability."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.contract.records import Result
from runner.host.results import result_files as results

# a hang is a failure; two ranks import torch for about a minute on two busy cores
RUN_S = 900


@dataclass(frozen=True)
class Ran:
    status: int
    output: str
    errors: str
    results: Path

    @property
    def result(self) -> Result:
        (path,) = self.results.rglob("*.json")
        return results.read_one(path)[0]


class Container:
    """Runs one image. Only /results and /tmp can be written; ``options`` of podman come after these and win."""

    def __init__(self, reference: str, folder: Path) -> None:
        self.reference, self.folder, self.runs = reference, folder, 0

    def run(self, *arguments: str, **more: Any) -> Ran:
        self.runs += 1
        results = self.folder / f"results-{self.runs}"
        results.mkdir(mode=0o777)
        results.chmod(0o777)
        command = self.command(*arguments, results=results, **more)
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=RUN_S)
        return Ran(done.returncode, done.stdout, done.stderr, results)

    def command(
        self,
        *arguments: str,
        results: Path,
        user: str = "1234567:0",
        network: str = "none",
        entrypoint: str | None = None,
        options: Sequence[str] = (),
        files: Sequence[Path] = (),
    ) -> list[str]:
        command = ["podman", "--runtime", "runc", "run", "--rm", "--network", network, "--user", user]
        command += ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--cap-drop", "all"]
        command += ["--security-opt", "no-new-privileges", "--read-only", "--read-only-tmpfs=false"]
        command += ["--tmpfs", "/tmp:rw,mode=1777", "--volume", f"{results}:/results"]
        command += [part for file in files for part in ("--volume", f"{file}:/requests/{Path(file).name}:ro")]
        return [*command, *options, *(("--entrypoint", entrypoint) if entrypoint else ()), self.reference, *arguments]

    def bench(self, request: Path, *arguments: str, **more: Any) -> Ran:
        """Measure one request file; it lies at /requests."""
        name = f"/requests/{Path(request).name}"
        return self.run("--results", "/results", *arguments, name, files=[request], **more)

    def python(self, code: str, **more: Any) -> Ran:
        return self.run("-c", code, entrypoint="/opt/bench/bin/python", **more)


def another_clock(folder: Path) -> dict[str, str]:
    """Return variables under which every process in a build sees the year 2031: libfaketime, mounted into its containers.

    The runner itself keeps the true time: to a clock of 2031 the certificates of the index have ended.
    """
    (library,) = {path.resolve() for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")}
    (folder / "preload").write_text("/faketime.so\n")
    (folder / "faketimerc").write_text("@2031-05-06 07:08:09\n")
    volumes = [
        f"{library}:/faketime.so:ro",
        f"{folder}/preload:/etc/ld.so.preload:ro",
        f"{folder}/faketimerc:/etc/faketimerc:ro",
    ]
    settings = folder / "containers.conf"
    settings.write_text(f"[containers]\nvolumes = {json.dumps(volumes)}\n")
    return {"CONTAINERS_CONF": str(settings)}


def confined_podman(folder: Path) -> dict[str, str]:
    """Return variables under which podman runs by itself on a confined machine: runc, and limits that need not be raised."""
    settings = folder / "containers.conf"
    settings.write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n[engine]\nruntime = "runc"\n'
    )
    return {"CONTAINERS_CONF": str(settings)}
