"""Compiled requirements files: what is a requirement, what belongs to it, and which lines are neither."""

import pytest

from runner.contract import requirements
from runner.contract.requirements import Requirement

ONE, TWO = "1a" * 32, "2b" * 32
TEXT = f"""# head

alpha==1.0 \\
    --hash=sha256:{ONE} \\
    --hash=sha256:{TWO}
    # via somebody
beta==2.0.1+cpu ; python_full_version >= '3.9' and sys_platform == 'linux' \\
    --hash=sha256:{TWO}
Gamma_X[extra]==3
"""


def test_a_requirement_has_its_version_its_marker_and_all_its_hashes() -> None:
    parsed = requirements.parse(TEXT)
    assert parsed.unknown == []
    assert [number for number, _ in parsed.requirements] == [3, 7, 9]
    alpha, beta, gamma = [requirement for _, requirement in parsed.requirements]
    assert (alpha.name, alpha.version, alpha.marker) == ("alpha", "1.0", None)
    assert alpha.hashes == {ONE, TWO}
    assert alpha.text == f"alpha==1.0 \\\n    --hash=sha256:{ONE} \\\n    --hash=sha256:{TWO}\n"
    assert beta.marker == "python_full_version >= '3.9' and sys_platform == 'linux'"
    assert beta.plain == f"beta==2.0.1+cpu \\\n    --hash=sha256:{TWO}\n"
    assert gamma == Requirement("Gamma_X[extra]", "3", None, "Gamma_X[extra]==3\n")
    assert (gamma.project, gamma.hashes) == ("Gamma_X", frozenset())


@pytest.mark.parametrize(
    "line",
    [
        "six @ https://example.org/six.whl",
        "--index-url https://example.org/simple",
        "../outside/six.whl",
        "six>=1.0",
        "s\u0456x==1.0",
        "six==1.0 --global-option=x",
        "    --hash=md5:1",
        f"    --hash=sha256:{ONE[:-1]}",
        "    --config-settings=x",
    ],
)
def test_any_other_line_is_kept_apart_with_its_number(line: str) -> None:
    parsed = requirements.parse(f"alpha==1.0\n{line}\n")
    assert parsed.unknown == [(2, f"{line}\n")]
    assert parsed.requirements == [(1, Requirement("alpha", "1.0", None, "alpha==1.0\n"))]


def test_a_hash_without_a_requirement_above_is_no_requirement() -> None:
    assert requirements.parse(f"    --hash=sha256:{ONE}\n").unknown == [(1, f"    --hash=sha256:{ONE}\n")]


def test_a_long_line_costs_no_more_than_its_length() -> None:
    """A million blanks: a pattern that tries each of them anew would never end."""
    parsed = requirements.parse("alpha==1.0 ; " + "x" + " " * 1_000_000 + "\\ x\n")
    assert len(parsed.unknown) == 1
