"""The published estimators: how each script turned its clock into the number that the post prints.

Sources: huggingface/optimum-habana run_generation.py (throughput = calls * batch * max_new_tokens / span, the post's
latency is 100 / throughput) and huggingface/transformers-bloom-inference bloom-ds-inference.py (span / tokens really
produced, printed per token; the post's latency is 100 of them).
"""


def nominal(span_s, calls, batch_size, output_tokens, produced_tokens):
    """Return seconds per call, as the Gaudi script: asked tokens are assumed, never counted."""
    throughput = calls * batch_size * output_tokens / span_s
    return batch_size * output_tokens / throughput


def produced(span_s, calls, batch_size, output_tokens, produced_tokens):
    """Return seconds per call of full length, as the GPU script: the span is divided by the tokens that came out."""
    return span_s / produced_tokens * batch_size * output_tokens


ESTIMATORS = {"nominal": nominal, "produced": produced}


def latency_s(protocol, workload, timed):
    """Return the latency in seconds that the protocol's estimator gives for the ``timed`` block of a launch."""
    return ESTIMATORS[protocol.estimator](
        timed["span_s"],
        len(timed["iterations_s"]),
        workload.batch_size,
        workload.output_tokens,
        sum(sum(rows) for rows in timed["output_tokens"]),
    )
