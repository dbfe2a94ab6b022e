"""Run a script of this folder in another Python, with the stand-in in reach, and read the JSON that it prints last."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
LIMIT_S = 300


def environment(python: Path, folder: str, stand_in: bool = True) -> dict[str, str]:
    """Return the variables of a run: this stack's programs first, one thread, nothing of the network, all files in ``folder``.

    Without ``stand_in`` nothing of this folder can be imported by its bare name, as on a host that has no Gaudi.
    """
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "HPU_EMULATION"))},
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(map(str, [FOLDER, ROOT] if stand_in else [ROOT])),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HPU_EMULATION_TRACE": os.path.join(folder, "trace"),
        "TMPDIR": folder,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        # DeepSpeed of the index knows the stand-in's device by another interface than the stacks' time had
        "DS_ACCELERATOR": "cpu",
        "GLOO_SOCKET_IFNAME": "lo",
    }


def run(
    python: Path,
    script: str | Path,
    arguments: Iterable[object] = (),
    ranks: tuple[str, int] | None = None,
    stand_in: bool = True,
) -> Any:
    """Return what the script printed, read as JSON; with ``ranks`` a list of that, from ranks that the launcher started.

    ``ranks`` is (launcher, number): ``deepspeed`` with the flags of gaudi_spawn.py, ``python`` for one without a launcher, or
    ``processes`` for bare ones, which print.
    """
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        variables = environment(python, folder, stand_in)
        words = [str(FOLDER / script), *map(str, arguments)]
        if ranks is None:
            return json.loads(_output([str(python), *words], variables).splitlines()[-1])
        launcher, number = ranks
        if launcher == "processes":
            return _processes([str(python), *words], variables, number)
        shape = (
            ["--num_gpus", "1"] if number == 1 else ["--num_nodes", "1", "--num_gpus", str(number), "--no_local_rank"]
        )
        start = [str(python), "-m", "deepspeed.launcher.runner", *shape, "--master_port", str(_free_port())]
        start = [str(python)] if launcher == "python" else start
        variables["LOCAL_SIZE"] = str(number)
        _output([*start, *words, folder], variables)
        return [json.loads(path.read_text()) for path in sorted(Path(folder).glob("rank-*.json"))]


def _output(command: Sequence[str], variables: Mapping[str, str]) -> str:
    """Return what a command printed. However it ends, its whole group ends with it: a launcher's ranks outlive a killed launcher."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=variables,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, f"{command}\n{out[-3000:]}\n{err[-6000:]}"
    return out


def _processes(command: Sequence[str], variables: Mapping[str, str], number: int) -> list[Any]:
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(number)}
    running = [
        subprocess.Popen(
            command,
            env={**variables, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for rank in range(number)
    ]
    try:
        outputs = [process.communicate(timeout=LIMIT_S) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * number, outputs
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
