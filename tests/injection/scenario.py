"""One rank of the GPU script's engine on the real DeepSpeed 0.8.2, less the GPU. Run by test_injection.py; prints JSON.

First the runner's worker measures real weights of a folder, under the protocol gpu-2023; then DeepSpeed loads the same folder as the
published script has it loaded, and both models are held side by side.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

from tests.injection import standin

standin.install()

import deepspeed  # noqa: E402
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, BloomForCausalLM  # noqa: E402

from runner.bench.devices import cpu  # noqa: E402
from runner.bench.inputs import tokenizer, weights  # noqa: E402
from runner.bench.parent import checks  # noqa: E402
from runner.bench.processes import messages  # noqa: E402
from runner.bench.rank import model, worker  # noqa: E402
from runner.bench.rank.raw import RawLaunch  # noqa: E402
from runner.contract.records import JsonObject  # noqa: E402
from runner.contract.request import Request, Workload, read_request  # noqa: E402
from tests.support import samples  # noqa: E402

VERSIONS = ("torch", "transformers", "deepspeed", "accelerate")


def main(path: str) -> None:
    request = read_request(path)
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    _note(deepspeed, "init_inference", lambda model, **given: {name: str(value) for name, value in given.items()})
    _note(BloomForCausalLM, "generate", lambda model, **given: sorted(given))
    with tempfile.TemporaryDirectory() as folder:
        plain = _store(folder)
        loaded, raw = _measure(request, folder, rank, ranks)
        theirs = _as_the_script_loads(folder, ranks)
        seen = {
            "versions": {
                "python": "{}.{}".format(*sys.version_info[:2]),
                **{name: importlib.metadata.version(name) for name in VERSIONS},
            },
            "told": [call for call in standin.calls if call[0] in ("init_inference", "generate", "synchronize")],
            "kernels": _kernels(),
            "call": _call(),
            "raw": raw,
            "generation_wanted": checks.generation_settings(request),
            "differing": _differing(loaded.model, theirs),
            "plain": _tokens(plain, loaded, request.workload),
            "ended": _ended(plain, loaded, request.workload),
        }
    print(json.dumps(seen))


def _note(owner: object, name: str, describe: Callable[..., object]) -> None:
    """Let each call of a function be noted among the stand-in's, before it is made."""
    function = getattr(owner, name)

    def noted(*arguments: object, **keywords: object) -> object:
        standin.calls.append((name, describe(*arguments, **keywords)))
        return function(*arguments, **keywords)

    setattr(owner, name, noted)


def _store(folder: str) -> BloomForCausalLM:
    """Write a model folder as the hub has BLOOM's, in float16, and return the same model in float32."""
    config = model._config(samples.TINY, None)
    plain = BloomForCausalLM(config).eval()
    plain.tie_weights()
    weights.fill(plain, samples.TINY, weights.DummyWeights(29, 0.3), 0, 1)
    plain = plain.half().float()
    stored = {name[len("transformer.") :]: held.half() for name, held in plain.named_parameters()}
    torch.save(stored, os.path.join(folder, "pytorch_model.bin"))
    config.save_pretrained(folder)
    tokenizer.kit()._tokenizer.save(os.path.join(folder, "tokenizer.json"))
    return plain


def _measure(request: Request, folder: str, rank: int, ranks: int) -> tuple[model.Loaded, RawLaunch]:
    """Run the worker as one rank; return the model that it measured and its raw data."""
    kept = {}
    load: Callable[..., model.Loaded] = model.load

    def keep(*arguments: object) -> model.Loaded:
        kept["loaded"] = load(*arguments)
        return kept["loaded"]

    vars(model)["load"] = keep
    device = {**vars(cpu), "prepare_collectives": lambda: None, "synchronize": _synchronize}
    vars(worker)["devices"] = SimpleNamespace(load=lambda name: SimpleNamespace(**device))
    packed = messages.pack({"request": request.to_json(), "variables": {}})
    options = worker._parser().parse_args(["--packed", packed, "--out", folder, "--model-dir", folder, "--operators"])
    raw = worker._run(options, rank, ranks)
    return kept["loaded"], raw


def _synchronize() -> None:
    standin.calls.append(("synchronize",))


def _as_the_script_loads(folder: str, ranks: int) -> torch.nn.Module:
    """Load through DeepSpeed, as bloom-ds-inference.py does for a repository that is not cut for the ranks."""
    config = model._config(samples.TINY, folder)
    with deepspeed.OnDevice(dtype=torch.float16, device="meta"):
        empty = AutoModelForCausalLM.from_config(config, torch_dtype=torch.bfloat16)
    described = os.path.join(folder, "checkpoints.json")
    with open(described, "w") as file:
        files = [os.path.join(folder, "pytorch_model.bin")]
        json.dump({"type": "BLOOM", "checkpoints": files, "version": 1.0}, file)
    return deepspeed.init_inference(
        empty.eval(),
        mp_size=ranks,
        base_dir=folder,
        dtype=torch.float16,
        checkpoint=described,
        replace_with_kernel_inject=True,
    ).module


def _differing(ours: torch.nn.Module, theirs: torch.nn.Module) -> list[object]:
    """Return what differs between two models: modules by class, parameters by value, type, layout and what hangs on them."""
    differing: list[object] = []
    classes = [{name: type(module).__name__ for name, module in made.named_modules()} for made in (ours, theirs)]
    if classes[0] != classes[1]:
        differing.append(classes)
    known = dict(theirs.named_parameters())
    for name, held in ours.named_parameters():
        other = known[name]
        same = held.dtype == other.dtype and held.stride() == other.stride() and torch.equal(held, other)
        if not same or hasattr(held, "scale") != hasattr(other, "scale"):
            differing.append(name)
    return differing


def _kernels() -> dict[str, int]:
    """Return how often each kernel ran in the timed calls, which are the 4th to the 8th."""
    places = [place for place, call in enumerate(standin.calls) if call[0] == "generate"]
    names = [call[0] for call in standin.calls[places[3] : places[8]]]
    return {name: times for name, times in Counter(names).items() if name not in ("generate", "synchronize")}


def _call() -> list[tuple[object, ...]]:
    """Return what the last timed call, which is the 8th, asked of the kernels, in order."""
    places = [place for place, call in enumerate(standin.calls) if call[0] == "generate"]
    return [call for call in standin.calls[places[7] + 1 : places[8]] if call[0] != "synchronize"]


def _tokens(plain: BloomForCausalLM, loaded: model.Loaded, workload: Workload) -> list[list[int]]:
    assert workload.prompt is not None, "a latency workload"
    inputs = model.encode(loaded, [workload.prompt] * workload.batch_size)
    made = plain.generate(**inputs, max_new_tokens=workload.output_tokens, do_sample=False, eos_token_id=-1)
    return made[:, inputs["input_ids"].shape[1] :].tolist()


def _ended(plain: BloomForCausalLM, loaded: model.Loaded, workload: Workload) -> JsonObject:
    """Say that a token which comes up is the end of text: return what came out, what plain gives, and the tokens seen."""
    assert workload.prompt is not None, "a latency workload"
    inputs = model.encode(loaded, [workload.prompt])
    whole = plain.generate(**inputs, max_new_tokens=workload.output_tokens, do_sample=False, eos_token_id=-1)
    end = int(whole[0, -4])
    loaded.model.generation_config.eos_token_id = end
    clock = model._TokenClock(lambda: 0)
    ids = model.generate(loaded, [workload.prompt], workload, clock).ids
    wanted = plain.generate(**inputs, max_new_tokens=workload.output_tokens, do_sample=False, eos_token_id=end)
    return {"found": ids.tolist(), "plain": wanted.tolist(), "seen": len(clock.token_ns), "whole": whole.shape[1]}


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    # ranks sometimes die in the interpreter's teardown of gloo's threads
    os._exit(0)
