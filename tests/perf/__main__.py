"""``make perf``: what the runner adds to the timed window, what each engine brings, how near memory limits it,
and what it takes to follow many runs in a cluster."""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from runner.bench import engines as all_engines
from runner.bench.engines import plain
from runner.bench.facts import host
from runner.bench.inputs import tokenizer, weights
from runner.bench.rank import measure, model
from runner.contract.architecture import BYTES_PER_ELEMENT, Architecture
from runner.contract.errors import DoesNotFit
from runner.contract.records import JsonObject
from runner.contract.request import PRECISIONS, Protocol, Workload
from runner.host.readers import catalog
from tests.perf import cluster, folder

PROTOCOL = "gaudi-1.10"
ALLOWED_OVERHEAD = 0.01


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    tables = catalog.read()
    protocol = tables.protocols[PROTOCOL]
    report = {"threads": options.threads, "torch": torch.__version__, "load_average_1min": os.getloadavg()[0]}
    if options.device == "cpu":
        report["cluster"] = many_runs(options.runs)
        report["results"] = many_results(options.results)
        report["report"] = one_page(options.results)
    # a tiny model gains nothing from more, and varies tenfold where they compete for cores
    torch.set_num_threads(1)
    device, cpu = torch.device(options.device), torch.device("cpu")
    small = _load(tables.models["bloom-tiny"], cpu)
    report["overhead"] = overhead(small, protocol, options.pairs)
    report["tiny"] = engines(small, ["plain", "compiled"], 100, rounds=40)
    torch.set_num_threads(options.threads)
    need = tables.models[options.model].weight_bytes(options.precision)
    if device.type == "cpu" and need * 3 // 2 > host.available_memory_bytes():
        print(f"{need * 3 // 2:,} bytes are needed for {options.model} and not free. Take a smaller --model.")
        return DoesNotFit.exit_code
    large = _load(tables.models[options.model], device, options.precision)
    # on a CPU a large model is bound by memory alike, and compiling it takes minutes
    names = ["plain", "compiled"] if device.type == "cuda" else ["plain"]
    report[options.model] = engines(large, names, options.tokens, options.rounds)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"written: {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False, prog="python -m tests.perf", description=__doc__)
    parser.add_argument(
        "--pairs", type=int, default=250, help="pairs of windows for the overhead (default: %(default)s)"
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=200,
        help="runs that one client follows in a scripted cluster (default: %(default)s)",
    )
    parser.add_argument(
        "--results",
        type=int,
        default=2000,
        help="results that compare and report read, first unknown and then known (default: %(default)s)",
    )
    parser.add_argument(
        "--model", default="bloom-560m", help="the model whose decoding is set beside memory (default: %(default)s)"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where (default: %(default)s)")
    parser.add_argument(
        "--precision", choices=tuple(BYTES_PER_ELEMENT), default="float32", help="of that model (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="calls of each engine (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=16, help="tokens that it decodes (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads (default: all cores)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/perf.json"), help="where the numbers go (default: %(default)s)"
    )
    return parser


def many_runs(count: int) -> JsonObject:
    """Set following ``count`` runs beside following a tenth: requests and memory of one client, for each run."""
    few, many = cluster.follow(max(1, count // 10)), cluster.follow(count)
    of_few, of_many = (sum(report["requests"].values()) / report["runs"] for report in (few, many))
    ratio = many["peak_bytes"] / few["peak_bytes"]
    peak_mb = many["peak_bytes"] / 1e6
    print(
        f"cluster: one client followed {many['runs']} runs to {many['distinct_results']} results, with {of_many:.2f} requests a run"
    )
    print(
        f"         ({of_few:.2f} with {few['runs']} runs); with the scripted server it held {peak_mb:.1f} MB at most,"
    )
    print(f"         {ratio:.2f} times as much as for {few['runs']} runs")
    return {"few": few, "many": many, "requests_a_run": [of_few, of_many], "peak_ratio": ratio}


def many_results(count: int) -> dict[str, Any]:
    """Compare a folder of ``count`` results that nobody read before, and once more."""
    report = folder.compared(count)
    for name in ("unknown", "known"):
        each_ms = 1e3 * (report[name]["processor_s"] - report["start"]["processor_s"]) / count
        peak = report[name]["peak_bytes"] / 1e6
        print(f"results: {count:,} that were {name} took {each_ms:.3f} ms of processor each, {peak:.0f} MB at most")
    return report


def one_page(count: int) -> dict[str, Any]:
    """Make the page of ``count`` results that nobody read before, and once more, beside the page of one result."""
    report = folder.reported(count)
    start_s = report["start"]["wall_s"]
    for name in ("unknown", "known"):
        wall_s, peak = report[name]["wall_s"], report[name]["peak_bytes"] / 1e6
        print(
            f"report:  {count:,} results that were {name} took {wall_s:.1f} s, {wall_s / start_s:.1f} times one result;"
            f" {peak:.0f} MB at most"
        )
    print(f"         the page has {report['page_bytes']:,} bytes")
    return report


def overhead(loaded: model.Loaded, protocol: Protocol, pairs: int) -> JsonObject:
    """Set windows of the runner beside a bare loop of the published script's shape, on the same model, in turn (ABBA).

    Windows hold one call each: a machine's speed drifts within seconds, and a pair of short windows shares its drift.
    """
    workload = _workload(100)
    spans: dict[str, list[float]] = {"runner": [], "bare": []}
    quiet = Protocol(**{**vars(protocol), "untimed_calls": 0, "timed_calls": 1})
    call = functools.partial(model.generate, loaded, [_PROMPT], workload)

    def runner() -> float:
        durations, _ = measure.timed_pass(quiet, call, _nothing, time.perf_counter_ns)
        return durations["span_s"]

    ways: dict[str, Callable[[], float]] = {"runner": runner, "bare": functools.partial(_published_loop, loaded, 1)}
    for pair in range(-3, pairs):
        for name in sorted(ways, reverse=bool(pair % 2)):
            span_s = ways[name]()
            # the first pairs warm up
            if pair >= 0:
                spans[name].append(span_s)
    ratios = [runner_s / bare_s for runner_s, bare_s in zip(spans["runner"], spans["bare"], strict=True)]
    ratio, (low, high) = statistics.median(ratios), _median_interval(ratios)
    own_cost_ns = _own_cost_ns(quiet)
    share = own_cost_ns / 1e9 / statistics.median(spans["bare"])
    print(f"overhead: the runner's window takes {ratio:.4f} of the bare loop's (95% interval {low:.4f} to {high:.4f},")
    print(
        f"          {pairs} pairs); its own cost is {own_cost_ns:.0f} ns a call, {share:.1e} of it; {_allowed(low, share)}"
    )
    return {"ratio": ratio, "ratio_interval_95": [low, high], "own_cost_ns": own_cost_ns, "own_share": share}


def _allowed(low: float, share: float) -> str:
    """Say whether the runner keeps its promise: above it only if the interval of the ratio, or its own cost, lies above."""
    above = low > 1 + ALLOWED_OVERHEAD or share > ALLOWED_OVERHEAD
    return f"{'ABOVE' if above else 'within'} the {ALLOWED_OVERHEAD:.0%} that is allowed"


def _published_loop(loaded: model.Loaded, calls: int) -> float:
    """Time the loop of optimum-habana's run_generation.py in shape: one clock before, one after, nothing between calls."""
    start_s = time.perf_counter()
    for _ in range(calls):
        inputs = loaded.tokenizer([_PROMPT], return_tensors="pt", padding=True)
        inputs = {name: value.to(loaded.device) for name, value in inputs.items()}
        ids = loaded.model.generate(
            **inputs, max_new_tokens=100, do_sample=False, num_beams=1, use_cache=True, streamer=None
        )
        loaded.tokenizer.batch_decode(ids.cpu(), skip_special_tokens=True)
    return time.perf_counter() - start_s


def _own_cost_ns(protocol: Protocol, windows: int = 2000) -> float:
    """Return what a call costs the runner when the call itself does nothing, in nanoseconds."""
    start_ns = time.perf_counter_ns()
    for _ in range(windows):
        measure.timed_pass(protocol, _nothing, _nothing, time.perf_counter_ns)
    return (time.perf_counter_ns() - start_ns) / windows / protocol.timed_calls


def engines(loaded: model.Loaded, names: Sequence[str], output_tokens: int, rounds: int) -> JsonObject:
    """Set engines beside each other on one model and its one set of weights, in turn; equal tokens, or it says so.

    A token's time is that of a whole call less that of a call for the first token alone: nothing waits in between. Set against
    the bytes of the weights, it tells what share of the memory's bandwidth decoding takes.
    """
    ways = {name: _with(loaded, name) for name in names}
    first_s, tokens = {}, {}
    for name, way in ways.items():
        started_s = time.perf_counter()
        ids = model.generate(way, [_PROMPT], _workload(output_tokens, loaded)).ids
        first_s[name], tokens[name] = time.perf_counter() - started_s, ids.tolist()
    spans: dict[str, dict[int, list[float]]] = {name: {1: [], output_tokens: []} for name in names}
    for number in range(-2, rounds):
        for name in sorted(ways, reverse=bool(number % 2)):
            for asked, seen in spans[name].items():
                started_s = time.perf_counter()
                model.generate(ways[name], [_PROMPT], _workload(asked, loaded))
                # the first rounds warm up
                if number >= 0:
                    seen.append(time.perf_counter() - started_s)
    ceiling = memory_ceiling(loaded.device)
    read_bytes, _ = model.parameter_bytes(loaded)
    report: JsonObject = {"weight_bytes": read_bytes, "ceiling_bytes_per_s": ceiling, "device": str(loaded.device)}
    report["tokens_equal"] = len({str(ids) for ids in tokens.values()}) == 1
    for name in names:
        ttft_s, latency_s = (statistics.median(spans[name][asked]) for asked in (1, output_tokens))
        tpot_s = (latency_s - ttft_s) / (output_tokens - 1)
        share = read_bytes / tpot_s / ceiling
        speedup = statistics.median(spans[names[0]][output_tokens]) / latency_s
        report[name] = {"latency_s": latency_s, "ttft_s": ttft_s, "tpot_s": tpot_s, "first_call_s": first_s[name]}
        report[name].update(share_of_bandwidth=share, speedup=speedup)
        print(
            f"{name + ':':<10} {speedup:.2f} times as fast as {names[0]}, {share:.2f} of the memory's bandwidth;",
            end=" ",
        )
        print(
            f"{tpot_s * 1e3:.3f} ms a token, {latency_s:.4f} s for {output_tokens}, {first_s[name]:.1f} s the first time"
        )
    same = "equal" if report["tokens_equal"] else "DIFFERENT"
    print(f"          ({read_bytes:,} bytes of weights; {ceiling / 1e9:.1f} GB/s; {rounds} rounds; tokens {same})")
    return report


def _with(loaded: model.Loaded, name: str) -> model.Loaded:
    engine = all_engines.load(name)
    # Neither plain nor compiled reads the request.
    request: Any = None
    engine.finish(loaded.model, request)
    return loaded._replace(engine=engine, arguments=engine.arguments(request))


def memory_ceiling(device: torch.device, size_bytes: int = 1 << 30, repeats: int = 7) -> float:
    """Return the best bytes per second of reading a gibibyte: as a sum, and as the matrix-vector product that decoding is."""
    flat = torch.ones(size_bytes // 4, device=device)
    matrix, vector = flat.view(-1, 4096), torch.ones(4096, device=device)
    best = 0.0
    for read in (flat.sum, lambda: torch.mv(matrix, vector)):
        for _ in range(repeats):
            _wait(device)
            started_s = time.perf_counter()
            read()
            _wait(device)
            best = max(best, size_bytes / (time.perf_counter() - started_s))
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


_PROMPT = "DeepSpeed is a machine learning framework"


def _workload(output_tokens: int, loaded: model.Loaded | None = None) -> Workload:
    observed = "float32" if loaded is None else model.observed_precision(loaded)
    precision = next(word for word in PRECISIONS if word == observed)
    return Workload("latency", 1, 7, output_tokens, precision, _PROMPT, None)


def _load(architecture: Architecture, device: torch.device, precision: str = "float32") -> model.Loaded:
    """Return a model with dummy weights as one rank holds it, without a launcher."""
    from transformers import BloomForCausalLM

    with torch.device("meta"):
        built = BloomForCausalLM(model._config(architecture, None)).to(getattr(torch, precision))
    built = built.to_empty(device=device).eval()
    built.lm_head.weight = built.transformer.word_embeddings.weight
    source = weights.DummyWeights(29, 0.3)
    weights.fill(built, architecture, source, 0, 1)
    built.generation_config.eos_token_id, built.generation_config.pad_token_id = None, tokenizer.PADDING
    return model.Loaded(built, tokenizer.kit(), device, source, plain, "transformers", {}, 0.0)


def _median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95% interval of the median by the sign test's order statistics."""
    ordered, n = sorted(values), len(values)
    reach = int(1.96 * n**0.5 / 2 + 0.5)
    return ordered[max(0, n // 2 - reach)], ordered[min(n - 1, n // 2 + reach)]


def _nothing() -> None:
    return None


if __name__ == "__main__":
    sys.exit(main())
