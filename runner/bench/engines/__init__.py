"""One sibling module per way to run a BLOOM, each with the same few functions; nothing else asks which one it is.

Every module offers:
  launcher(stack, devices)       the launcher that starts the ranks
  variables(request)             variables that a rank needs before any import
  build(config, dtype, request)  the model on the meta device
  shard(model, request, device_module, dtype, device, ranks)
                                 the model on ``device`` with empty weights, cut for the ranks, and the engine's name
  parameters(model)              its parameters to be filled: tensors by transformers' names, in this rank's share of its shapes
  finish(model, request)         the model, once its weights are there, as it generates
  arguments(request)             what every call of ``generate`` gets beside inputs and settings
  generation_config(model, workload)  the ``GenerationConfig`` that ``generate`` works with
  watch(model, noted)            a context in which each forward pass appends to ``noted`` how many tokens of a row it is given
  generate(loaded, inputs, workload, streamer)
                                 ids [batch, input + output] on the host, from ids and mask there
  conditions(model)              graphs and shapes as they really were once it has generated, in the words of the claims; and
                                 ``end_of_text`` where an engine has one and ignores it
  PADDING                        how rows of a dataset are padded: to the longest of the batch, or always to as many tokens
  PACKAGES                       packages that a stack must have, each with the series of releases that the engine is written for
  NAMES                          what ``shard`` may call it, as results do
"""

import importlib

from runner.contract.errors import Unsupported

_MODULES = {
    "plain": "plain",
    "compiled": "compiled",
    "kernel-injection": "kernel_injection",
    "optimum-habana": "optimum_habana",
}


def load(engine):
    """Return the module of an engine that a request names. Raises ``Unsupported`` where this version has none."""
    if engine not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        raise Unsupported(f"The engine {engine} cannot be run by this version, only {known}. Name one with --engine.")
    return importlib.import_module(f"runner.bench.engines.{_MODULES[engine]}")


def check(engine, stack):
    """Raise ``Unsupported`` if ``stack`` has not the packages that an engine is written for."""
    for package, wanted in load(engine).PACKAGES.items():
        found = stack.packages.get(package)
        if found is None or not f"{found}.".startswith(f"{wanted}."):
            has = "does not have it" if found is None else f"has {found}"
            raise Unsupported(
                f"The engine {engine} needs {package} {wanted}; the stack {stack.name} {has}. Make the request with another --engine."
            )
