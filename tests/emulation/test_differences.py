"""Where the script of optimum-habana 1.5 differs from that of 1.6: one table of what is expected, against what really runs.

Run with ``-s`` to read it. Sources: huggingface/optimum-habana v1.5.0 and v1.6.1, examples/text-generation/run_generation.py and
optimum/habana/transformers/models/bloom/modeling_bloom.py.
"""

from __future__ import annotations

import pytest

from runner.contract.records import Launch
from tests.emulation import table
from tests.emulation.conftest import Loaded, Ran
from tests.emulation.runs import launch_of

STACKS = ("gaudi-1.9", "gaudi-1.10")
NEW, LAYERS = 4, 2
VOCABULARY, HIDDEN = 512, 128

# what is observed: (what 1.5 does, what 1.6 does); counts are of a call of NEW tokens on one device, without graphs
EXPECTED = {
    "one device runs under": ("DeepSpeed", "nothing"),
    "its launcher": ("deepspeed.launcher.runner --num_gpus 1", "none"),
    "variables": (
        "PT_HPU_ENABLE_LAZY_COLLECTIVES=true PT_HPU_LAZY_ACC_PAR_MODE=0 PT_HPU_LAZY_MODE=2",
        "",
    ),
    "variables with graphs": ("PT_HPU_ENABLE_LAZY_COLLECTIVES=true PT_HPU_LAZY_ACC_PAR_MODE=0", ""),
    "untimed calls": (2, 3),
    "timed calls": (5, 5),
    "seeds before it builds": (0, 1),
    "flags of generate": (
        "hpu_graphs=False lazy_mode=False",
        "hpu_graphs=False lazy_mode=True profiling_steps=0 profiling_warmup_steps=0",
    ),
    "products with the head": (
        f"{2 * NEW} with [{HIDDEN}, {VOCABULARY // 2}]",
        f"{NEW} with [{HIDDEN}, {VOCABULARY}]",
    ),
    # past + (new - past) for key and value of every layer; or a product with one-hot rows, which are made once for a token
    "cache is written by": (f"{2 * LAYERS * (NEW - 1)} index_add_", f"{NEW - 1} diag_embed, {NEW - 1} one_hot"),
    "bmm": (LAYERS * NEW, LAYERS * NEW + 2 * LAYERS * (NEW - 1)),
    "ALiBi slopes": ("a buffer, made once", f"made {NEW} times"),
}


def set_by_script(launch: Launch) -> str:
    return " ".join(
        f"{name}={value}" for name, value in sorted(launch["variables"].items()) if name.startswith("PT_HPU")
    )


def observed(loaded: Loaded, ran: Ran, stack: str) -> dict[str, object]:
    """Return what a stack really does, in the words of the table."""
    seen = loaded("watched.py", stack, output_tokens=NEW, graphs=False)
    plain, graphs = (launch_of(ran(stack, graphs=on)) for on in (False, True))
    events = ran(stack, graphs=True)[3]
    command = plain["command"]
    under = command[2 : command.index("--master_port")] if "--master_port" in command else ["none"]
    begun, warm, last = [number for number, event in enumerate(events) if event["event"] == "synchronize"][:3]
    whole = [number for number, event in enumerate(events) if event["event"] == "d2h" and event["shape"] == [1, 107]]
    return {
        "one device runs under": "DeepSpeed" if "deepspeed" in seen["engine"] else "nothing",
        "its launcher": " ".join(under),
        "variables": set_by_script(plain),
        "variables with graphs": set_by_script(graphs),
        "untimed calls": sum(begun < number < warm for number in whole),
        "timed calls": sum(warm < number < last for number in whole),
        "seeds before it builds": sum(event["event"] == "seed" for event in events[:begun]),
        "flags of generate": " ".join(f"{name}={value}" for name, value in sorted(seen["arguments"].items())),
        "products with the head": ", ".join(f"{times} with {shape}" for shape, times in seen["head"].items()),
        "cache is written by": ", ".join(f"{times} {name}" for name, times in sorted(seen["updates"].items())),
        "bmm": seen["bmm"],
        "ALiBi slopes": "a buffer, made once" if "alibi_slope" in seen["buffers"] else f"made {seen['pow']} times",
    }


@pytest.mark.stacks("gaudi-1.9")
@pytest.mark.stacks("gaudi-1.10")
def test_the_two_releases_differ_where_their_scripts_do(loaded: Loaded, ran: Ran) -> None:
    older, newer = (observed(loaded, ran, stack) for stack in STACKS)
    print("\n" + table.aligned([("what", "1.5", "1.6"), *((name, older[name], newer[name]) for name in EXPECTED)]))
    assert older == {name: values[0] for name, values in EXPECTED.items()}
    assert newer == {name: values[1] for name, values in EXPECTED.items()}
