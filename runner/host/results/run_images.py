"""The images that the containers of a run were started from, as the kubelets reported them: a small file beside a collected result.

A sealed result is never edited, and what was behind a tag only the client of the cluster learns: the container does not know its own
image.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.contract import files, patterns, strictjson
from runner.contract.errors import DamagedResult, InputError
from runner.contract.fields import Fields
from runner.contract.records import JsonObject
from runner.host import writing

# The name of the file in a run's folder, beside the run's logs, that holds what was seen of the run.
EVIDENCE = "evidence.json"

_DIGEST = re.compile(r".*@(sha256:[0-9a-f]{64})")
_MOST_BYTES = 1 << 20
_TEXT = patterns.FreeText("a name")


@dataclass(frozen=True, slots=True)
class RunImage:
    """The image of one container. ``tag`` is the image as it was asked for, where that was by tag; None where it was by digest.

    ``reported`` is what the kubelet of ``node`` said (``imageID``); the node is None where nobody said it.
    """

    container: str
    pod: str
    node: str | None
    tag: str | None
    reported: str

    @property
    def digest(self) -> str | None:
        """Return the digest that the kubelet reported, None for an image that came from no registry."""
        match = _DIGEST.fullmatch(self.reported)
        return match.group(1) if match else None


def beside(result: str | os.PathLike[str]) -> Path:
    """Return the path of the file that holds the images of a result."""
    return Path(result).with_suffix(".images.jsonl")


def of_log(log: str | os.PathLike[str]) -> list[RunImage]:
    """Return the images of the run whose log lies in a run's folder; none where no evidence lies beside the log.

    Raises ``InputError`` for evidence that cannot be read.
    """
    path = Path(log).parent / EVIDENCE
    if not path.exists():
        return []
    evidence = Fields(strictjson.read(str(path)), str(path))
    pods: list[JsonObject] = evidence.take("pods", list)
    try:
        nodes: dict[str, str | None] = {pod["metadata"]["name"]: pod.get("spec", {}).get("nodeName") for pod in pods}
    except (LookupError, TypeError, AttributeError):
        raise InputError(
            f"{path} lists something else than pods. Run `python -m runner follow` again, which writes it anew."
        ) from None
    images = [Fields(image, str(path)) for image in evidence.take("images", list)]
    return [_image(image, nodes.get(image.text("pod"))) for image in images]


def _image(fields: Fields, node: str | None) -> RunImage:
    return RunImage(
        container=fields.form("container", _TEXT),
        pod=fields.form("pod", _TEXT),
        node=node,
        tag=None if fields.text("tag", None) is None else fields.form("tag", _TEXT),
        reported=fields.form("reported", _TEXT),
    )


def write(result: str | os.PathLike[str], images: Iterable[RunImage]) -> None:
    """Write the images of a result beside the result, one JSON object a line. Raises ``InputError`` where that cannot be written."""
    lines = [json.dumps(asdict(image), sort_keys=True) + "\n" for image in images]
    writing.write_text(beside(result), "".join(lines), "Name another folder with --results.")


def read(result: str | os.PathLike[str]) -> tuple[RunImage, ...]:
    """Return the images that are known of a result, none where no file lies beside it. Raises ``DamagedResult``."""
    path = beside(result)
    try:
        with files.open_regular(path) as file:
            content = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return ()
    except OSError as problem:
        raise DamagedResult(f"{path} cannot be read: {files.reason(problem)}. Collect the result again.") from None
    lines = [
        Fields(strictjson.loads(line, str(path), DamagedResult), str(path), DamagedResult)
        for line in content.splitlines()
    ]
    return tuple(_image(line, line.text("node", None)) for line in lines)
