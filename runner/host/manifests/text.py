"""Objects as YAML that is the same, byte for byte, whenever they are."""

import yaml

HEADER = "# Made by `python -m runner render` from runner/catalog and versions.lock; edit those, or render for your own cluster.\n"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def _text(dumper, value):
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(objects, comment=None):
    """Return the documents of one file, with a header that says where they come from and ``comment`` below it."""
    told = HEADER + "".join(f"# {line}\n" for line in (comment or "").splitlines())
    documents = [yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True) for value in objects]
    return told + "---\n" + "---\n".join(documents)


def base(names):
    """Return the file that makes a folder a base for kustomize, which finds it by its name without an ending; kubectl passes it by."""
    listed = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": sorted(names)}
    return dump([listed])


def is_rendered(content):
    return content is not None and content.startswith(HEADER)
