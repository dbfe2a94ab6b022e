"""The modules that decide, and the tests that are asked about changes of them. ``tests/test_habits.py`` holds that they exist."""

from __future__ import annotations

# By group and module; the functions are those that decide in a module that also does other things, none for a whole module.
DECIDING: dict[str, dict[str, list[str]]] = {
    "lock reader": {"host/readers/lockfile": [], "host/readers/strictyaml": [], "contract/fields": []},
    "validity": {
        **{f"bench/parent/checks/{name}": [] for name in ("clock", "device", "durations", "evidence", "host")},
        **{f"bench/parent/checks/{name}": [] for name in ("model", "outcome", "software", "tokens")},
        **{f"bench/facts/{name}": [] for name in ("distributions", "inventory", "shadowing", "startup")},
        "bench/rank/device_log": [],
    },
    "store": {"contract/publish": [], "contract/result": [], "contract/frame": [], "host/results/result_files": []},
    "verdict": {
        **{f"host/judging/{name}": [] for name in ("verdict", "comparison", "counts", "flags", "power")},
        "host/judging/run_changes": [],
    },
}
# Without torch, the simulation and the fuzzing: what those alone would notice is a gap in the tests of the module itself.
TESTS = [
    "tests/contract",
    "tests/bench/parent/test_checks.py",
    "tests/bench/rank/test_device_log.py",
    "tests/bench/facts/test_inventory.py",
    "tests/host/readers/test_catalog.py",
    "tests/host/readers/test_lockfile.py",
    "tests/host/readers/test_strictyaml.py",
    "tests/host/results/test_result_files.py",
    "tests/host/judging/test_comparison.py",
    "tests/host/judging/test_counts.py",
    "tests/host/judging/test_flags.py",
    "tests/host/judging/test_power.py",
    "tests/host/judging/test_run_changes.py",
    "tests/host/judging/test_verdict.py",
    "tests/host/verbs/test_collect.py",
    "tests/host/verbs/test_compare.py",
]
# The environment of the mutation lies over another one, and this test asks for packages in one place.
LEFT_OUT = "tests/bench/facts/test_inventory.py::test_this_interpreter_takes_its_modules_from_its_own_folders"


def file_of(module: str) -> str:
    """Return the path of a module of the table, such as runner/host/judging/verdict.py."""
    return f"runner/{module}.py"


def tests_of(module: str) -> str:
    """Return the path of the tests of a module of the table, such as tests/host/judging/test_verdict.py."""
    room, _, name = module.rpartition("/")
    return f"tests/{room}/test_{name}.py"
