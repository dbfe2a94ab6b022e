"""The weights of a model folder: each rank reads its own shard of every tensor that the checkpoint's files hold."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Mapping

from runner.bench.inputs import checkpoint, model_folder
from runner.bench.inputs.sharding import Shard
from runner.bench.inputs.tensor_files import TensorFile, open_tensors, shape_of
from runner.contract.architecture import BYTES_PER_ELEMENT, Parameter
from runner.contract.errors import InputError
from runner.contract.records import LoadedWeights, WeightFile

if TYPE_CHECKING:
    import torch

# How many rows of a stored head are compared at a time.
HEAD_ROWS = 1 << 12

_EMBEDDINGS = "transformer.word_embeddings.weight"
# Stands beside the names of parameters: ``lm_head.weight`` names a sharded model's cut of the embeddings.
_STORED_HEAD = "the stored head"


class CheckpointWeights:
    """Weights of a model folder: the files that ``checkpoint.find`` names.

    A stack without a package for safetensors, as those of 2023, reads ``*.bin``, as the scripts of its time do.

    ``pinned`` maps file names to the sha256 that ``checkpoint.verify`` has compared. Keys may be bigscience/bloom's (``h.0...``)
    or transformers' (``transformer.h.0...``).
    """

    def __init__(self, folder: str, pinned: Mapping[str, str]) -> None:
        files = checkpoint.find(folder, pinned)
        self.folder, self.pinned, self.format, self.files = folder, pinned, files.form, files.paths

    def fill(
        self,
        parameters: Mapping[str, Parameter],
        targets: Mapping[str, torch.Tensor],
        shard: Shard,
        filled: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Fill every target; see ``weights.Source``.

        Raises ``InputError`` for a tensor that is missing, unknown, misshapen, stored twice or not of floating-point numbers, and
        for a stored LM head that differs from the embeddings.
        """
        # Maps each parameter, and a stored head, to the file that holds it.
        holders: dict[str, str] = {}
        for path in self.files:
            with open_tensors(path, self.format) as tensors:
                for key in tensors.keys():
                    for name in _names(key):
                        if name in holders:
                            raise InputError(
                                f"{path} holds {key!r}, which {holders[name]} holds too. Fetch {self.folder} again, whole."
                            )
                        if name not in parameters and name != _STORED_HEAD:
                            raise InputError(
                                f"{path} holds {key!r}, which {self.folder}'s BLOOM has not. It is another model's file."
                            )
                        holders[name] = path
                        if name in targets:
                            _copy(tensors, key, parameters[name], targets[name], shard, path)
                            filled(name)
        missing = sorted(set(targets) - set(holders))
        if missing:
            raise InputError(
                f"{self.folder} lacks {len(missing)} of {len(targets)} tensors, {missing[0]} first. Fetch it again, whole."
            )
        # The head is as large as the embeddings, and one rank is enough to compare it.
        if _STORED_HEAD in holders and shard.rank == 0:
            self._refuse_other_head(holders[_STORED_HEAD], holders[_EMBEDDINGS])

    def _refuse_other_head(self, head_path: str, embeddings_path: str) -> None:
        """Raise ``InputError`` if a stored LM head is not the word embeddings: this kit measures tied models alone."""
        import torch

        head_file, embeddings_file = (open_tensors(path, self.format) for path in (head_path, embeddings_path))
        with head_file as of_head, embeddings_file as of_embeddings:
            (key,) = (key for key in of_embeddings.keys() if _EMBEDDINGS in _names(key))
            head, embeddings = of_head.get_slice("lm_head.weight"), of_embeddings.get_slice(key)
            rows = shape_of(embeddings)[0]
            same = shape_of(head) == shape_of(embeddings) and all(
                torch.equal(head[row : row + HEAD_ROWS], embeddings[row : row + HEAD_ROWS])
                for row in range(0, rows, HEAD_ROWS)
            )
        if not same:
            raise InputError(
                f"{head_path} holds an LM head of its own, other than the embeddings. It is a checkpoint of another kind, which"
                " cannot be measured."
            )

    def describe(self) -> LoadedWeights:
        """Return the files with their pinned sha256, and the revision that the folder says it is of."""
        weight_files: list[WeightFile] = [
            {
                "name": os.path.basename(path),
                "bytes": os.path.getsize(path),
                "sha256": self.pinned.get(os.path.basename(path)),
            }
            for path in self.files
        ]
        return {
            "kind": "hub",
            "seed": None,
            "std": None,
            "revision": model_folder.observed_revision(self.folder),
            "format": self.format,
            "files": weight_files,
        }


def _names(key: str) -> list[str]:
    """Return the parameters that the tensor of a checkpoint key fills.

    The embeddings fill a sharded head too; a stored head fills nothing and is only compared.
    """
    if key == "lm_head.weight":
        return [_STORED_HEAD]
    name = key if key.startswith("transformer.") else f"transformer.{key}"
    return [name, "lm_head.weight"] if name == _EMBEDDINGS else [name]


def _copy(tensors: TensorFile, key: str, parameter: Parameter, target: torch.Tensor, shard: Shard, path: str) -> None:
    """Copy this rank's shard of a stored tensor into ``target``. Raises ``InputError`` for another shape or kind of number."""
    stored = tensors.get_slice(key)
    shape = shape_of(stored)
    if shape != parameter.shape:
        raise InputError(f"{path}: {key} is {shape}, {parameter.shape} was expected. It is another model's file.")
    part = stored[shard.slices(parameter)]
    dtype = str(part.dtype).replace("torch.", "")
    if dtype not in BYTES_PER_ELEMENT:
        raise InputError(
            f"{path}: {key} holds {dtype}, one of {', '.join(BYTES_PER_ELEMENT)} was expected. It is a quantised checkpoint, or"
            " one of another kind, which cannot be measured."
        )
    target.copy_(part)
