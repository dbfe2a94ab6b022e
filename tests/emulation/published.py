"""Run upstream's published script, unmodified, over a tiny BLOOM, and tell what it did to the device. Run by test_published.py.

The arguments are the script, the arguments of the script after ``--``, and last a folder: rank 0 leaves there its events and the
precisions that it multiplied in. The model lies in the folder as the hub's cache would hold it, under a name that the script takes.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.overrides import TorchFunctionMode

REPOSITORY = "bigscience/bloom-tiny"
COMMIT = "1" * 40


class Precisions(TorchFunctionMode):
    """Note the precisions of what the device multiplies."""

    found: ClassVar[set[str]] = set()

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if getattr(function, "__name__", "") in ("matmul", "linear", "bmm"):
            self.found.add(str(result.dtype).replace("torch.", ""))
        return result


def store(folder: str) -> Path:
    """Write the tiny model as a snapshot of the hub, and point transformers at it. Returns the snapshot's folder."""
    os.environ["TRANSFORMERS_CACHE"] = os.environ["HUGGINGFACE_HUB_CACHE"] = os.path.join(folder, "hub")
    # transformers looks for its cache once, when it is imported
    from tests.emulation import scenario

    place = Path(folder, "hub", f"models--{REPOSITORY.replace('/', '--')}")
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs" / "main").write_text(COMMIT)
    scenario.config().save_pretrained(snapshot)
    scenario.tokenizer.kit().save_pretrained(snapshot)
    state = {name: value.clone() for name, value in scenario.model().state_dict().items() if name != "lm_head.weight"}
    # the vendor's DeepSpeed loads nothing, and says nothing, unless names are those of bigscience/bloom
    bare = metadata.version("deepspeed").startswith("0.7.7")
    torch.save(
        {name[len("transformer.") :] if bare else name: value for name, value in state.items()},
        snapshot / "pytorch_model.bin",
    )
    return snapshot


def without_args(init_inference: Callable[..., Any]) -> Callable[..., Any]:
    """Return DeepSpeed's ``init_inference`` as the script of 1.8 calls it: with its own ``args``, which the public 0.14.5 refuses."""

    def called(*arguments: Any, args: object = None, **keywords: Any) -> Any:
        return init_inference(*arguments, **keywords)

    return called


def main(script: str, arguments: list[str], folder: str) -> None:
    rank = int(os.environ.get("RANK", "0"))
    os.environ.setdefault("_", "deepspeed" if "WORLD_SIZE" in os.environ else sys.executable)
    snapshot = store(os.path.join(folder, f"model-{rank}"))
    os.chdir(folder)
    # 1.5 and 1.6 take no folder, 1.21 asks the hub for a list of files unless it is given one
    asks_the_hub = metadata.version("optimum-habana").startswith("1.21.")
    sys.argv = [script, *arguments, "--model_name_or_path", str(snapshot) if asks_the_hub else REPOSITORY]
    sys.path.insert(0, os.path.dirname(script))
    if "WORLD_SIZE" in os.environ:
        import deepspeed

        # its shared-memory all-reduce is compiled on first use, and waits for ever where a compilation was killed once
        getattr(deepspeed.ops, "__compatible_ops__", {})["deepspeed_shm_comm"] = False
        deepspeed.init_inference = without_args(deepspeed.init_inference)
    with Precisions() as precisions:
        names = runpy.run_path(script, run_name="__main__")
    from habana_frameworks import trace

    if rank == 0:
        assert names["__name__"] == "__main__"
        seen = {"events": trace.events, "precisions": sorted(precisions.found)}
        Path(folder, "rank-0.json").write_text(json.dumps(seen))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    given = [one for one in sys.argv[1:] if not one.startswith("--local_rank")]
    main(given[0], given[given.index("--") + 1 : -1], given[-1])
