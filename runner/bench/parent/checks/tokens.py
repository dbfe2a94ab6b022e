"""Checks of the tokens: the prompt that went in, and the tokens that came out."""

from __future__ import annotations

from typing import Sequence

from runner.bench.parent.checks.outcome import FLAG, REFUSE, equal, made, not_made, within
from runner.contract import strictjson
from runner.contract.records import Act, Check, Launch
from runner.contract.request import Request


def input_tokens(request: Request, launch: Launch) -> Check:
    """Every row of the prompt has as many tokens as the workload says. Evidence: the ids that went to the model."""
    lengths = [len(row) for row in launch["tokens"]["prompt_ids"]]
    return equal("input_tokens", [request.workload.input_tokens] * request.workload.batch_size, lengths)


def input_text(request: Request, launch: Launch) -> Check:
    """The prompt is the workload's. Evidence: the ids that went to the model, read back into text."""
    return equal("input_text", [request.workload.prompt] * request.workload.batch_size, launch["tokens"]["prompt_text"])


def input_ids(request: Request, launch: Launch) -> Check:
    """The prompt's ids are those that the request expects. Evidence: the sha256 of each row's ids."""
    return _as_expected("input_ids", REFUSE, request.expected.input_ids_sha256, launch["tokens"]["prompt_ids"])


def output_ids(request: Request, launch: Launch) -> Check:
    """The output's ids are those that the request expects. Evidence: the sha256 of each row's ids.

    The check flags only: another order of floating-point sums can change a token of greedy decoding.
    """
    return _as_expected("output_ids", FLAG, request.expected.output_ids_sha256, launch["tokens"]["output_ids"])


def _as_expected(name: str, act: Act, sha256: str | None, rows: Sequence[Sequence[int]]) -> Check:
    """Return the outcome of a check that passes if every row of ids has the expected sha256."""
    if sha256 is None:
        return not_made(name, act, "the request knows none for this model, its weights and this length")
    return equal(name, [sha256], sorted({strictjson.sha256_of(row) for row in rows}), act)


def calls_agree(launch: Launch) -> Check:
    """All timed calls returned the same tokens, as greedy decoding does.

    Evidence: the sha256 of each call's output ids.
    """
    return equal("calls_agree", 1, len(set(launch["tokens"]["outputs_sha256"])))


def logits_finite(launch: Launch) -> Check:
    """No logit is NaN or infinite. Evidence: the logits of one forward pass over the prompt."""
    return equal("logits_finite", True, launch["tokens"]["logits_finite"])


def logits_on_device(request: Request, launch: Launch) -> Check:
    """The forward pass ran on the device. Evidence: the device that one forward pass left its logits on."""
    return equal("logits_on_device", request.stack.device, launch["tokens"]["logits_on"])


def tokens_vary(request: Request, launch: Launch) -> Check:
    """No row of the output repeats one token, as a broken model does.

    Evidence: the output ids; one token alone passes.
    """
    varied = (
        [len(set(row)) > 1 for row in launch["tokens"]["output_ids"]]
        if request.workload.output_tokens > 1
        else [True] * request.workload.batch_size
    )
    return equal("tokens_vary", [True] * request.workload.batch_size, varied)


def output_tokens(request: Request, launch: Launch) -> Check:
    """Every row of every timed call has as many tokens as were asked for. Evidence: the ids that came out, counted.

    Where the protocol stops at the end of text, the longest row has at least one token, and at most as many as were
    asked for.
    Sources: vllm-project/vllm#13333 (43 of 512 tokens generated); MLPerf's TEST06 and TEST09 hold the number of tokens
    too.
    """
    asked = request.workload.output_tokens
    counts = [count for call in launch["timed"]["output_tokens"] for count in call]
    if request.protocol.end_of_text == "ignore":
        return equal("output_tokens", [asked], sorted(set(counts)))
    return within("output_tokens", 1, asked, max(counts, default=0), REFUSE)


def forward_calls(request: Request, launch: Launch) -> Check:
    """Each token took one forward pass. Evidence: the forward passes of each instrumented call, counted by a hook."""
    asked = request.workload.output_tokens
    return equal("forward_calls", [asked], sorted(set(launch["instrumented"]["forward_calls"])))


def operators(launch: Launch) -> Check:
    """The call whose operators were counted produced the first tokens of the measured calls, and ran some operators.

    Evidence: the ids that the call produced, and the names that torch's profiler noted.
    """
    name, told = "operators", launch["operators"]
    if "operators" in launch["cannot_tell"]:
        return not_made(name, REFUSE, launch["cannot_tell"]["operators"])
    if told is None or not told["calls"]:
        return made(name, REFUSE, False, "operators that ran", told)
    first = [row[: max(1, told["output_tokens"])] for row in launch["tokens"]["output_ids"]]
    return equal(name, first, told["output_ids"])


def rows(launch: Launch) -> Check:
    """All rows of the dataset were completed.

    Evidence: the rows that were completed, against the rows that were read.
    """
    return equal("rows", launch["dataset"]["rows_total"], launch["dataset"]["rows"])
