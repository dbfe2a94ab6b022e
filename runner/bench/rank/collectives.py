"""The collective steps of the ranks of a launch, over the process group that the engine has opened."""

from __future__ import annotations

from runner.contract.records import Rank


def gather(facts: Rank, ranks: int) -> list[Rank]:
    """Return every rank's facts, in the order of ranks; all ranks take part."""
    if ranks == 1:
        return [facts]
    import torch.distributed

    gathered: list[Rank] = [facts] * ranks
    torch.distributed.all_gather_object(gathered, facts)
    return gathered


def wait_for_all(ranks: int) -> None:
    """Wait until every rank has called this function."""
    if ranks > 1:
        import torch.distributed

        torch.distributed.barrier()
