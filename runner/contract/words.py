"""The words that requests and results may use, each set of words as one ``Literal``; ``typing.get_args`` lists a set.

The published JSON Schema of results names the same words, and ``tests/contract/test_records.py`` holds both against each other.
"""

from __future__ import annotations

from typing import Literal

# A kind of processor, as torch names it.
DeviceKind = Literal["hpu", "cuda", "cpu"]
# The program that starts the ranks of a launch.
Launcher = Literal["deepspeed", "torchrun"]
# A way to run a BLOOM: each is a module of ``runner.bench.engines``.
Engine = Literal["plain", "optimum-habana", "kernel-injection", "compiled"]
# The names that engines give themselves in the conditions of a launch.
EngineObserved = Literal[
    "transformers",
    "deepspeed",
    "deepspeed-autotp",
    "optimum-habana",
    "optimum-habana-deepspeed",
    "deepspeed-kernel-injection",
    "transformers-compiled",
    "transformers-compiled-tp",
]
Precision = Literal["float32", "bfloat16", "float16"]

# hub: the model's published weights; dummy: weights made from a seed.
WeightsKind = Literal["hub", "dummy"]
WeightsFormat = Literal["safetensors", "bin"]
# latency: one prompt, timed; dataset: all rows of a dataset.
WorkloadName = Literal["latency", "dataset"]
DatasetSource = Literal["hub", "file"]
# The builders of ``datasets`` that read data and run no code.
DatasetFormat = Literal["json", "csv", "parquet"]

# ignore: generate all tokens that were asked for; stop: end a row at its end-of-text token.
EndOfTextRule = Literal["ignore", "stop"]
# nominal: the number of tokens that was asked for; produced: the number of tokens that came out.
TokenCount = Literal["nominal", "produced"]
Estimator = Literal["nominal", "produced"]
# static: ids and mask are padded to input + output tokens; dynamic: ids and mask grow with each token.
Shapes = Literal["static", "dynamic"]
ShapesObserved = Literal["static", "dynamic", "static cache"]
# The function of the module ``time`` that a protocol's script reads.
Clock = Literal["perf_counter", "time"]

# Who installed the stack: our image's build, the pod that runs it, or this host's user.
Installation = Literal["image", "pod", "host"]
AttemptStatus = Literal["complete", "interrupted", "failed"]
LaunchStatus = Literal["complete", "failed"]
# The effect on a launch of a check that did not pass: refuse makes the launch fail, flag is only recorded.
Act = Literal["refuse", "flag"]

# How a file got its name, see ``contract.publish``.
PublishedBy = Literal["link", "rename", "create"]
