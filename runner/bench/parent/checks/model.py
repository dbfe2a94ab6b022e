"""Checks of the model: its precision, its weights, its cache, and that all ranks computed the same tokens."""

from __future__ import annotations

from runner.bench.parent.checks import evidence
from runner.bench.parent.checks.outcome import REFUSE, equal, made, not_made
from runner.contract.records import Check, Launch
from runner.contract.request import Request


def precision(request: Request, launch: Launch) -> Check:
    """Every floating-point parameter has the precision that was asked for.

    Evidence: the parameters' dtypes once loaded.
    """
    return equal("precision", request.workload.precision, launch["conditions"]["precision"])


def parameter_bytes(request: Request, launch: Launch) -> Check:
    """Every rank holds its whole share of the model and no more.

    Evidence: the bytes of the rank's parameters, against the architecture's count. All ranks must hold the same.
    """
    wanted = evidence.weight_bytes(request)
    held = sorted({rank["parameter_bytes"] for rank in launch["ranks"]})
    return made("parameter_bytes", REFUSE, len(held) == 1 and held[0] in wanted, wanted, held)


def kv_cache(launch: Launch) -> Check:
    """Keys and values were cached.

    Evidence: each forward pass after the prompt was given one token of a row; for a dataset, the model's setting
    ``use_cache``.
    """
    return equal("kv_cache", True, launch["conditions"]["kv_cache"])


def end_of_text(request: Request, launch: Launch) -> Check:
    """Generation went on, or ended, at the end-of-text token as the protocol says. Evidence: the effective settings.

    Source: vllm-project/vllm#13333, where a flag that did not arrive let 43 of 512 tokens pass for a whole answer.
    """
    return equal("end_of_text", request.protocol.end_of_text, launch["conditions"]["end_of_text"])


def ranks_agree(launch: Launch) -> Check:
    """All ranks computed the same tokens. Evidence: each rank's own sha256 of its output ids."""
    return equal("ranks_agree", 1, len({rank["tokens_sha256"] for rank in launch["ranks"]}))


def weights(request: Request, launch: Launch) -> Check:
    """The weights are those that were asked for: made from the request's seed, or files with the locked sha256.

    Evidence: what the ranks loaded. The files' hashes were compared before the launch, and the files are unchanged
    since.
    """
    loaded = launch["weights"]
    if request.weights.kind == "dummy":
        asked = {"kind": "dummy", "seed": request.weights.seed, "std": request.weights.std}
        return equal("weights", asked, {"kind": loaded["kind"], "seed": loaded["seed"], "std": loaded["std"]})
    hashes = {file["name"]: file["sha256"] for file in loaded["files"]}
    pinned = {name: request.model.files.get(name) for name in hashes}
    if hashes and None in pinned.values():
        return not_made("weights", REFUSE, "versions.lock has no sha256 of these files")
    return equal("weights", pinned or "some files", hashes)
