"""Objects as YAML: the same bytes for the same objects."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from runner.contract.records import JsonObject

HEADER = "# Made by `python -m runner render` from runner/catalog and versions.lock; edit those, or render for your own cluster.\n"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(objects: Iterable[JsonObject], comment: str | None = None) -> str:
    """Return the documents of one file, below a header that says where they come from and then ``comment``."""
    header = HEADER + "".join(f"# {line}\n" for line in (comment or "").splitlines())
    documents = [yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True) for value in objects]
    return header + "---\n" + "---\n".join(documents)


def base(names: Iterable[str]) -> str:
    """Return the file that makes a folder a base for kustomize. Kustomize finds it by its name without an ending; kubectl skips it."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(names),
    }
    return dump([kustomization])


def is_rendered(content: str | None) -> bool:
    """Return whether the content of a file is of this verb."""
    return content is not None and content.startswith(HEADER)
