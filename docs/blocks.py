"""The generated parts of the pages: each function returns Markdown that it makes from the kit's own code and files."""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from docs import json_events, module_map, simulation, time_machine
from docs.markdown import code, table
from docs.result_fields import MEANING
from runner.__main__ import VERBS
from runner.contract import frame
from runner.contract.errors import all_errors

ROOT = Path(__file__).resolve().parents[1]
CATALOG = ROOT / "runner" / "catalog"
SCHEMA = ROOT / "runner" / "contract" / "schema" / "result-2.schema.json"
# A real result of case cpu-2, which the tests keep readable.
SAMPLE = ROOT / "tests" / "data" / "result-2.json"


# Verbs that manifests, the client and shells call, and people rarely.
CALLED_BY_PROGRAMS = {"reach", "sshd", "frames", "completion"}


def verbs() -> str:
    """Return one row for each verb that people call, with a link to its flags."""
    return table(
        ("verb", "what it does"),
        (
            (f"[`{verb}`](docs/command-line.md#{verb})", what)
            for verb, (_, what, *_) in VERBS.items()
            if verb not in CALLED_BY_PROGRAMS
        ),
    )


def command_line() -> str:
    """Return one section for each verb, from its argument parser."""
    return "\n\n".join(_of_a_verb(verb, module, what) for verb, (module, what, *_) in VERBS.items())


def _of_a_verb(verb: str, module: str, what: str) -> str:
    parser: argparse.ArgumentParser = importlib.import_module(module).parser()
    parts = [f"## {verb}", f"*{what[0].upper()}{what[1:]}.*", _escaped(parser.description or "")]
    for group in parser._action_groups:
        actions = [
            action for action in group._group_actions if action.dest != "help" and action.help != argparse.SUPPRESS
        ]
        if actions:
            title = {"positional arguments": "argument", "options": "flag", "optional arguments": "flag"}.get(
                group.title or "", group.title or ""
            )
            parts.append(table((title, "meaning"), (_of_an_action(parser, action) for action in actions)))
    parts.append(_escaped(parser.epilog or ""))
    return "\n\n".join(filter(None, parts))


def _of_an_action(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    formatter = argparse.HelpFormatter(parser.prog, width=1000)
    values = formatter._format_args(action, action.dest.upper())
    meaning = formatter._expand_help(action) if action.help else ""
    return f"`{' '.join(filter(None, [', '.join(action.option_strings), values]))}`", _escaped(meaning)


def _escaped(text: str) -> str:
    """Return a help text as Markdown: outside of back quotes, what looks like HTML or emphasis stays text."""
    parts = " ".join(text.split()).split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", r"\*").replace("_", r"\_") for part in parts[::2]]
    return "`".join(parts)


def exit_codes() -> str:
    """Return every exit code with its meaning."""
    rows = [("0", "", "done")]
    rows += [(str(kind.exit_code), f"`{kind.__name__}`", kind.meaning) for kind in all_errors()]
    return table(("code", "error in `runner/contract/errors.py`", "meaning"), rows)


def result_fields() -> str:
    """Return a table for each part of a result: its fields, their types, and what they mean.

    A field that ``MEANING`` does not name has the words of its description in the schema. Raises ``KeyError`` where it has none.
    """
    parts: dict[str, list[tuple[str, str, str]]] = {}
    for path, node in fields(json.loads(SCHEMA.read_text(encoding="utf-8"))):
        part = next(
            part for part in _PARTS if path == part or path.startswith((f"{part}.", f"{part}[")) or part == "file"
        )
        meaning = MEANING.get(path) or f"{node['description'][0].upper()}{node['description'][1:]}."
        parts.setdefault(part, []).append((f"`{path}`", _type(node), meaning))
    return "\n\n".join(
        f"## {_PARTS[part]}\n\n{table(('field', 'type', 'meaning'), parts[part])}"
        for part in reversed(_PARTS)
        if part in parts
    )


# The parts of a result, the most special first; all else belongs to the file itself.
_PARTS = {
    "outputs": "Completed rows of a dataset",
    "launches[].checks[]": "Checks",
    "launches[].ranks[]": "Ranks",
    "launches[]": "Launches",
    "environment": "Environment",
    "request": "Request",
    "attempt": "Attempt",
    "file": "The file itself",
}


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, its part of the schema) for each field of a JSON Schema, in the schema's order."""
    for alternative in [schema, *schema.get("anyOf", ())]:
        for name, node in alternative.get("properties", {}).items():
            inner, below = f"{path}.{name}" if path else name, node
            while isinstance(below.get("items"), dict):
                inner, below = f"{inner}[]", below["items"]
            yield inner, below
            yield from fields(below, inner)


def _type(node: dict[str, Any]) -> str:
    words = {None: "null", True: "true", False: "false"}
    if "enum" in node:
        return " or ".join(words[value] if value in (None, True, False) else f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if "anyOf" in node:
        return " or ".join(_type(alternative) for alternative in node["anyOf"])
    kinds = node.get("type", "anything")
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)


def stacks() -> str:
    """Return the stacks of versions.lock with their main versions."""
    rows = []
    for name, stack in read_yaml(ROOT / "versions.lock")["stacks"].items():
        packages = stack["packages"]
        versions = [
            f"{key} {packages[key]['version']}"
            for key in ("torch", "transformers", "optimum-habana", "deepspeed")
            if key in packages
        ]
        digest = "resolved" if stack["image"]["digest"] != "unresolved" else "unresolved"
        rows.append((f"`{name}`", stack["device"], stack["python"], stack["engine"], ", ".join(versions), digest))
    return table(("stack", "device", "Python", "engine", "main versions", "digest of the base image"), rows)


def cases() -> str:
    """Return the cases of the catalog with their margins."""
    read = read_yaml(CATALOG / "cases.yaml")
    rows = [
        (
            f"`{name}`",
            f"{case['devices']} x {case['accelerator']}",
            case["model"],
            case["weights"],
            case["stack"],
            case["protocol"],
            case["precision"],
            case["launches"],
            f"{case['margin']} ({float(read['margins'][case['margin']]):.0%})",
        )
        for name, case in read["cases"].items()
    ]
    return table(("case", "devices", "model", "weights", "stack", "protocol", "precision", "launches", "margin"), rows)


def protocols() -> str:
    """Return the protocols of the catalog, one column each."""
    read = read_yaml(CATALOG / "protocols.yaml")["protocols"]
    keys = (
        "untimed_calls",
        "timed_calls",
        "synchronize_before",
        "synchronize_after",
        "end_of_text",
        "token_count",
        "shapes",
        "graphs",
    )
    return table(
        ("", *(f"`{name}`" for name in read)), ((f"`{key}`", *(row[key] for row in read.values())) for key in keys)
    )


def accelerators() -> str:
    """Return the accelerators of the catalog."""
    rows = [
        (
            f"`{name}`",
            row["device"],
            f"`{row['resource']}`",
            _unit(row["memory_bytes"], 1e9, "GB"),
            _unit(row["hbm_bytes_per_s"], 1e12, "TB/s"),
        )
        for name, row in read_yaml(CATALOG / "accelerators.yaml")["accelerators"].items()
    ]
    return table(("accelerator", "device", "Kubernetes resource", "memory", "bandwidth"), rows)


def _unit(value: str, unit: float, name: str) -> str:
    return value if value == "unknown" else f"{float(value) / unit:g} {name}"


def claims() -> str:
    """Return the published cells of the newest revision of the post."""
    rows = [
        (
            f"{claim['devices']} x {claim['accelerator']}",
            claim["model"],
            claim["precision"],
            f"{claim['value']} s",
            claim["protocol"],
        )
        for claim in read_yaml(CATALOG / "claims.yaml")["claims"].values()
        if claim["source"] == "post-3"
    ]
    return table(("devices", "model", "precision", "seconds for 100 tokens", "protocol"), rows)


def sample_of_an_accelerator() -> str:
    """Return the row of Gaudi2, as the catalog has it."""
    return code(_rows_of("runner/catalog/accelerators.yaml", "  gaudi2:"), "yaml")


def sample_of_the_catalog() -> str:
    """Return the row of the case cpu-2, as the catalog has it."""
    return code(_rows_of("runner/catalog/cases.yaml", "  cpu-2:"), "yaml")


def sample_of_the_lock() -> str:
    """Return the first lines of the cpu stack and of its packages, as the lock has them."""
    lines = _rows_of("versions.lock", "  cpu:").splitlines()
    start = next(index for index, line in enumerate(lines) if line == "    packages:")
    return code("\n".join([lines[0], "    ...", *lines[start : start + 9]]), "yaml")


def sample_of_a_request() -> str:
    """Return the keys of the sample's request that a reader looks for first."""
    request = json.loads(SAMPLE.read_text(encoding="utf-8"))["request"]
    keys = ("id", "case", "devices", "engine", "launches", "margin", "stack", "weights", "workload")
    return _json({key: request[key] for key in keys if key in request})


def sample_of_a_launch() -> str:
    """Return the first launch of the sample, with three of its checks."""
    launch = json.loads(SAMPLE.read_text(encoding="utf-8"))["launches"][0]
    shown = {key: launch[key] for key in ("status", "load_s", "conditions", "untimed_s", "timed", "estimate")}
    shown["checks"] = [
        check for check in launch["checks"] if check["name"] in ("output_tokens", "cpu_pressure", "throttling")
    ]
    return _json(shown)


def sample_of_a_job() -> str:
    """Return what a reader looks for first in the Job of the case cpu-2."""
    text = (ROOT / "k8s" / "cpu" / "61-bench-cpu-2.yaml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)
    container = job["spec"]["template"]["spec"]["containers"][0]
    shown = {
        "kind": job["kind"],
        "metadata": {"name": job["metadata"]["name"]},
        "spec": {
            "backoffLimit": job["spec"]["backoffLimit"],
            "template": {
                "spec": {"containers": [{key: container[key] for key in ("name", "image", "command", "resources")}]}
            },
        },
    }
    return code(yaml.safe_dump(shown, sort_keys=False), "yaml")


def sample_of_a_frame() -> str:
    """Return the sample result as lines of a log, each cut."""
    content = SAMPLE.read_bytes()
    lines = list(frame.write(json.loads(content)["attempt"]["id"], content))
    shown = [line if len(line) <= 100 else f"{line[:100]}..." for line in (lines[0], lines[1], lines[-1])]
    return code("\n".join([*shown[:2], "...", shown[2]]), "text")


def sample_of_a_claim() -> str:
    """Return the row of a published number, as the catalog has it."""
    return code(_rows_of("runner/catalog/claims.yaml", "  post-3-gaudi2-8-bloomz:"), "yaml")


def sample_of_a_comparison() -> str:
    """Return what ``compare`` prints of the sample."""
    return code(comparison(), "text")


def sample_of_verdicts() -> str:
    """Return the table of verdicts alone, as ``compare`` prints it."""
    (rows,) = (part for part in comparison().split("\n\n") if part.startswith("published"))
    return code(rows, "text")


@functools.cache
def comparison() -> str:
    """Return what ``compare`` prints for the sample result."""
    command = [sys.executable, "-m", "runner", "compare", str(SAMPLE.relative_to(ROOT))]
    environment = {**os.environ, "PYTHONUTF8": "1", "COLUMNS": "100"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=True)
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip() + "\n"


def _json(value: object) -> str:
    """Return a block of JSON in which a list of plain values takes one line."""
    text = json.dumps(value, indent=2)
    for _ in range(2):  # lists of lists too
        text = re.sub(r"\[\s+([^{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    return code(text, "json")


def _rows_of(file: str, first: str) -> str:
    """Return the lines of a YAML file from the line ``first`` to the next line that is not deeper."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    start = lines.index(first)
    depth = len(first) - len(first.lstrip())
    end = next(
        (n for n, line in enumerate(lines[start + 1 :], start + 1) if len(line) - len(line.lstrip()) <= depth),
        len(lines),
    )
    return "\n".join(lines[start:end])


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - YAML of any shape
    """Read YAML with every scalar as text, so that 1.10 stays 1.10; the caller knows the shape."""
    # BaseLoader makes nothing but text, lists and mappings
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506


# The name of each generated part, as it stands in the pages.
BLOCKS: dict[str, Callable[[], str]] = {
    "verbs": verbs,
    "command-line": command_line,
    "exit-codes": exit_codes,
    "json-events": json_events.tables,
    "result-fields": result_fields,
    "stacks": stacks,
    "cases": cases,
    "protocols": protocols,
    "accelerators": accelerators,
    "claims": claims,
    "coverage": simulation.coverage,
    "merged-coverage": simulation.merged,
    "verdicts": simulation.verdicts,
    "rules": simulation.rules,
    "change-words": simulation.change_words,
    "change-levels": simulation.levels,
    "smallest-changes": simulation.smallest_changes,
    "sample-of-an-accelerator": sample_of_an_accelerator,
    "sample-of-the-catalog": sample_of_the_catalog,
    "sample-of-the-lock": sample_of_the_lock,
    "sample-of-a-request": sample_of_a_request,
    "sample-of-a-launch": sample_of_a_launch,
    "sample-of-a-job": sample_of_a_job,
    "sample-of-a-frame": sample_of_a_frame,
    "sample-of-a-claim": sample_of_a_claim,
    "sample-of-a-comparison": sample_of_a_comparison,
    "sample-of-verdicts": sample_of_verdicts,
    "time-machine-stacks": time_machine.stacks,
    "time-machine-changes": time_machine.changes,
    "time-machine-moved": time_machine.moved_since,
    "modules": lambda: module_map.text(ROOT / "runner"),
}
