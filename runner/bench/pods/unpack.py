"""Make the tree of /opt/kit from ConfigMaps, whose keys have no slash: `python3 unpack.py /source /opt/kit`.

This file runs alone, before there is a tree that it could import from. Two hyphens in a key stand for a slash
(``runner/host/stacks/recipe.py``).
"""

from __future__ import annotations

import os
import shutil
import sys

SLASH = "--"


def main(arguments: list[str]) -> int:
    """Copy every file of the first folder to its place below the second folder, and return 0; 7 where a file cannot be written."""
    source, target = arguments
    try:
        number = unpack(source, target)
    except OSError as problem:
        # contract.errors.PublishFailed, which cannot be imported yet
        print(f"unpack: {problem.filename or target} cannot be written: {problem.strerror}.", file=sys.stderr)
        return 7
    print(f"unpack: {number} files in {target}", file=sys.stderr)
    return 0


def unpack(source: str, target: str) -> int:
    """Copy the files of ``source``, a mounted volume of ConfigMaps, and return their number. Raises ``OSError``."""
    # The kubelet keeps the real files in folders such as ..data, and the keys are links into them.
    keys = sorted(name for name in os.listdir(source) if not name.startswith(".."))
    os.umask(0o022)
    for key in keys:
        path = os.path.join(target, *key.split(SLASH))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copyfile(os.path.join(source, key), path)
    return len(keys)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
