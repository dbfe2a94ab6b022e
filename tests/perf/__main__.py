"""``make perf``: what the runner adds to the timed window, what compiling the decode step brings, how near memory limits it."""

import argparse
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from runner.bench import hostfacts, measure, model, tokenizer, weights
from runner.bench.engines import plain
from runner.contract.architecture import Architecture
from runner.contract.request import Protocol, Workload
from runner.host import catalog

PROTOCOL = "gaudi-1.10"
ALLOWED_OVERHEAD = 0.01


def main(arguments=None):
    options = _parser().parse_args(arguments)
    tables = catalog.read()
    protocol = tables.protocols[PROTOCOL]
    report = {"threads": options.threads, "torch": torch.__version__, "load_average_1min": os.getloadavg()[0]}
    torch.set_num_threads(1)  # a tiny model gains nothing from more, and varies tenfold where they compete for cores
    small = _load(tables.models["bloom-tiny"])
    report["overhead"] = overhead(small, protocol, options.pairs)
    report["compiled"] = compiled(small, rounds=40)
    torch.set_num_threads(options.threads)
    report["bandwidth"] = bandwidth(tables.models[options.model], options.tokens)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"written: {options.out}")
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tests.perf", description=__doc__)
    parser.add_argument(
        "--pairs", type=int, default=250, help="pairs of windows for the overhead (default: %(default)s)"
    )
    parser.add_argument(
        "--model", default="bloom-560m", help="the model whose decoding is set beside memory (default: %(default)s)"
    )
    parser.add_argument("--tokens", type=int, default=16, help="tokens that it decodes (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads (default: all cores)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/perf.json"), help="where the numbers go (default: %(default)s)"
    )
    return parser


def overhead(loaded, protocol, pairs):
    """Set windows of the runner beside a bare loop of the published script's shape, on the same model, in turn (ABBA).

    Windows hold one call each: a machine's speed drifts within seconds, and a pair of short windows shares its drift.
    """
    workload = _workload(100)
    spans: dict[str, list[float]] = {"runner": [], "bare": []}
    quiet = Protocol(**{**vars(protocol), "untimed_calls": 0, "timed_calls": 1})
    call = functools.partial(model.generate, loaded, [_PROMPT], workload)

    def runner():
        durations, _ = measure.timed_pass(quiet, call, _nothing, time.perf_counter_ns)
        return durations["span_s"]

    ways: dict[str, Callable[[], float]] = {"runner": runner, "bare": functools.partial(_published_loop, loaded, 1)}
    for pair in range(-3, pairs):
        for name in sorted(ways, reverse=bool(pair % 2)):
            span_s = ways[name]()
            if pair >= 0:  # the first pairs warm up
                spans[name].append(span_s)
    ratios = [one / other for one, other in zip(spans["runner"], spans["bare"], strict=True)]
    ratio, (low, high) = statistics.median(ratios), _median_interval(ratios)
    own_cost_ns = _own_cost_ns(quiet)
    share = own_cost_ns / 1e9 / statistics.median(spans["bare"])
    print(f"overhead: the runner's window takes {ratio:.4f} of the bare loop's (95% interval {low:.4f} to {high:.4f},")
    print(
        f"          {pairs} pairs); its own cost is {own_cost_ns:.0f} ns a call, {share:.1e} of it; {_allowed(low, share)}"
    )
    return {"ratio": ratio, "ratio_interval_95": [low, high], "own_cost_ns": own_cost_ns, "own_share": share}


def _allowed(low, share):
    """Say whether the runner keeps its promise: above it only if the interval of the ratio, or its own cost, lies above."""
    above = low > 1 + ALLOWED_OVERHEAD or share > ALLOWED_OVERHEAD
    return f"{'ABOVE' if above else 'within'} the {ALLOWED_OVERHEAD:.0%} that is allowed"


def _published_loop(loaded, calls):
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


def _own_cost_ns(protocol, windows=2000):
    """Return what a call costs the runner when the call itself does nothing, in nanoseconds."""
    start_ns = time.perf_counter_ns()
    for _ in range(windows):
        measure.timed_pass(protocol, _nothing, _nothing, time.perf_counter_ns)
    return (time.perf_counter_ns() - start_ns) / windows / protocol.timed_calls


def compiled(loaded, rounds):
    """Set one greedy loop beside itself: eager, with a static cache, and compiled with it; equal tokens or nothing.

    The loop is the kit's own, since generate() of the pinned transformers hands BLOOM a mask of four dimensions with a
    static cache, which its ALiBi does not take.
    """
    ids = model.encode(loaded, [_PROMPT])["input_ids"]
    wanted = model.generate(loaded, [_PROMPT], _workload(100)).ids[0, ids.shape[1] :].tolist()
    eager = loaded.model.forward
    faster = torch.compile(eager, fullgraph=True)
    started_s = time.perf_counter()
    try:
        _decode(loaded.model, faster, ids, 100, static=True)
    except Exception as problem:  # no C++ compiler, say: what was tried is told, nothing is claimed
        print(f"compiled: could not be compiled here: {str(problem).splitlines()[0]}")
        return {"error": str(problem).splitlines()[0]}
    first_call_s = time.perf_counter() - started_s
    ways = {"eager": (eager, False), "static": (eager, True), "compiled": (faster, True)}
    spans: dict[str, list[float]] = {name: [] for name in ways}
    tokens = set()
    for number in range(rounds):
        for name in sorted(ways, reverse=bool(number % 2)):
            started_s = time.perf_counter()
            tokens.add(tuple(_decode(loaded.model, ways[name][0], ids, 100, static=ways[name][1])))
            spans[name].append(time.perf_counter() - started_s)
    median = {name: statistics.median(values) for name, values in spans.items()}
    ratios = {name: median["eager"] / median[name] for name in ("static", "compiled")}
    same = tokens == {tuple(wanted)}
    print(
        f"compiled: against eager decoding, a static cache is {ratios['static']:.2f} and compiled {ratios['compiled']:.2f} times as fast"
    )
    print(
        f"          (medians of {rounds} rounds; first compiled call {first_call_s:.1f} s; tokens {'equal' if same else 'DIFFER'})"
    )
    return {
        "speedup_static": ratios["static"],
        "speedup_compiled": ratios["compiled"],
        "first_call_s": first_call_s,
        "tokens_equal": same,
    }


def _decode(torch_model, forward, ids, output_tokens, static):
    """Return greedy tokens; with ``static``, cache and mask have their final length from the start, as on Gaudi."""
    from transformers import DynamicCache, StaticCache

    start, end = ids.shape[1], ids.shape[1] + output_tokens
    cache = StaticCache(config=torch_model.config, max_cache_len=end) if static else DynamicCache()
    mask = torch.zeros(1, end, dtype=torch.long)
    mask[:, :start] = 1
    step, tokens = ids, []
    with torch.no_grad():
        for position in range(start, end):
            seen = mask if static else mask[:, :position]
            logits = forward(input_ids=step, attention_mask=seen, past_key_values=cache, use_cache=True).logits
            step = logits[:, -1:].argmax(-1)
            tokens.append(int(step))
            mask[:, position] = 1
    return tokens


def bandwidth(architecture, tokens):
    """Set the bytes per second that decoding reads beside what the machine's memory gives to the same threads."""
    need = architecture.weight_bytes("float32") * 3 // 2
    if need > hostfacts.available_memory_bytes():
        print(f"bandwidth: {need:,} bytes are needed and not free; take a smaller --model")
        return {"error": "does not fit"}
    before = memory_ceiling()
    loaded = _load(architecture)
    model.generate(loaded, [_PROMPT], _workload(2))
    call = model.traced_call(loaded, [_PROMPT], _workload(tokens), time.perf_counter_ns)
    gaps = [later - earlier for earlier, later in zip(call.token_ns, call.token_ns[1:], strict=False)]
    tpot_s = statistics.median(gaps) / 1e9
    ceiling = max(before, memory_ceiling())
    achieved = architecture.weight_bytes("float32") / tpot_s
    print(
        f"bandwidth: decoding reads {achieved / 1e9:.1f} GB/s, {achieved / ceiling:.2f} of the {ceiling / 1e9:.1f} GB/s that memory gives"
    )
    print(f"          ({architecture.weight_bytes('float32'):,} bytes of weights, {tpot_s * 1e3:.1f} ms a token)")
    return {
        "achieved_bytes_per_s": achieved,
        "ceiling_bytes_per_s": ceiling,
        "ratio": achieved / ceiling,
        "tpot_s": tpot_s,
    }


def memory_ceiling(size_bytes=1 << 30, repeats=7):
    """Return the best bytes per second of reading a gibibyte: as a sum, and as the matrix-vector product that decoding is."""
    flat = torch.ones(size_bytes // 4)
    matrix, vector = flat.view(-1, 4096), torch.ones(4096)
    best = 0.0
    for read in (flat.sum, lambda: torch.mv(matrix, vector)):
        for _ in range(repeats):
            started_s = time.perf_counter()
            read()
            best = max(best, size_bytes / (time.perf_counter() - started_s))
    return best


_PROMPT = "DeepSpeed is a machine learning framework"


def _workload(output_tokens):
    return Workload("latency", 1, 7, output_tokens, "float32", _PROMPT, None)


def _load(architecture: Architecture):
    """Return a model with dummy weights as one rank holds it, without a launcher."""
    from transformers import BloomForCausalLM

    with torch.device("meta"):
        built = BloomForCausalLM(model._config(architecture, None))
    built = built.to_empty(device="cpu").eval()
    built.lm_head.weight = built.transformer.word_embeddings.weight
    source = weights.DummyWeights(29, 0.3)
    weights.fill(built, architecture, source, 0, 1)
    built.generation_config.eos_token_id, built.generation_config.pad_token_id = None, tokenizer.PADDING
    return model.Loaded(built, tokenizer.kit(), torch.device("cpu"), source, plain, "transformers", {}, 0.0)


def _median_interval(values):
    """Return a 95% interval of the median by the sign test's order statistics."""
    ordered, n = sorted(values), len(values)
    reach = int(1.96 * n**0.5 / 2 + 0.5)
    return ordered[max(0, n // 2 - reach)], ordered[min(n - 1, n // 2 + reach)]


def _nothing():
    return None


if __name__ == "__main__":
    sys.exit(main())
