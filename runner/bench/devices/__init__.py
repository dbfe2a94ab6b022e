"""One sibling module per kind of processor, each with the same few functions; nothing else asks which device it is.

Every module offers:
  environment(ranks, hosts=1)  variables that a launch needs before any import, for so many ranks on each host; no torch is
                          imported
  missing(request)        the error, before anything is loaded, when the model does not fit (``DoesNotFit``) or there is nothing
                          to run it on, else None
  backend                 the collective backend's name
  open(local_rank)        select this rank's device and return it as ``torch.device``
  prepare_collectives()   what must be set before ``init_distributed``
  synchronize()           wait until the device has finished all work
  peak_memory_bytes()     the device's high-water mark since open, None where the device has no memory of its own
  describe()              facts about the device: name, driver, and the accelerator that it is, in the catalog's words
  shared                  whether other work of the host runs on the device too, so that a slow call is told and not refused
  emulated                whether something else stands in for the device; such a result is comparable with nothing
  unread                  names of variables that mean nothing on the device, so that a launcher may set them to anything
  cannot_tell             checks that cannot be made on this device, each with the reason; all others must be. ``open`` may add
                          what the release that is installed here does not tell
  observe()               what the device tells of itself now, in the words of ``watch.OBSERVED``
  clock(call)             make ``call()`` and return the seconds that the device's own clock gives it (unless it cannot tell)
  numa_node()             the host's memory node that the device is attached to (unless it cannot tell)
"""

import importlib

from runner.contract.errors import Unsupported

_MODULES = {name: f"runner.bench.devices.{name}" for name in ("cpu", "cuda", "hpu")}


def load(device):
    """Return the module for ``device``. Raises ``Unsupported`` where this version has none."""
    if device not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        raise Unsupported(
            f"Device {device} cannot be measured by this version, only {known}. Take a case of accelerator cpu."
        )
    return importlib.import_module(_MODULES[device])
