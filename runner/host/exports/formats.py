"""The formats by their names: what each is for, and the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.host.exports import badge, launches_csv, llm_d, markdown, openmetrics, parquet, pytorch_hud, vllm_latency
from runner.host.judging.measured import Measured


@dataclass(frozen=True)
class Format:
    """A format. ``what`` says what a file of it holds, ``suffix`` ends its file's name.

    ``content`` makes one file: text, or bytes where the format is none. A format ``of_one_request`` or ``of_one_claim`` holds no more than
    one of them in a file. ``only_times`` says that the format has no place for a request without times.
    """

    what: str
    suffix: str
    content: Callable[[Sequence[Measured]], str | bytes]
    of_one_request: bool = False
    of_one_claim: bool = False
    only_times: bool = False
    is_text: bool = True


FORMATS = {
    "csv": Format("one row a launch, for spreadsheets", ".csv", launches_csv.text),
    "parquet": Format("the rows of csv with types", ".parquet", parquet.data, is_text=False),
    "markdown": Format("published cells and verdicts, for a pull request", ".md", markdown.text),
    "badge": Format("an SVG of one published cell", ".svg", badge.text, of_one_claim=True),
    "llm-d": Format(
        f"benchmark report {llm_d.VERSION} of one request",
        ".json",
        lambda measured: llm_d.text(*measured),
        of_one_request=True,
        only_times=True,
    ),
    "vllm-latency": Format(
        "what `vllm bench latency` writes, of one request",
        ".json",
        lambda measured: vllm_latency.text(*measured),
        of_one_request=True,
        only_times=True,
    ),
    "pytorch-hud": Format("records of PyTorch's benchmark database", ".json", pytorch_hud.text, only_times=True),
    "openmetrics": Format("metrics for Prometheus", ".txt", openmetrics.text),
}
