"""The harness itself: expressions, order, rights, outputs and artefacts are a forge's, and what it does not know is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.forge import Forge
from tests.workflows.harness import comments, definition, expressions, machines, remotes
from tests.workflows.harness.artefacts import ActionFailed, Artefacts
from tests.workflows.harness.expressions import NotKnown, Scope, Value
from tests.workflows.harness.machines import Machine
from tests.workflows.harness.runs import Event, Run

CONTEXTS: Mapping[str, Value] = {
    "inputs": {"row": "", "checks": "test", "Odd-name": "x"},
    "needs": {"carry-out": {"result": "failure", "outputs": {"sha256": "ab"}}},
    "github": {"ref": "refs/heads/main", "number": 7.0},
    "matrix": {"rows": ["a", "b"]},
}


def scope(status: str = "success") -> Scope:
    functions = {
        "success": lambda: status == "success",
        "failure": lambda: status == "failure",
        "cancelled": lambda: False,
    }
    return Scope(CONTEXTS, functions)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("inputs.row", ""),
        ("inputs.row || 'none'", "none"),
        ("inputs.checks && 'yes' || 'no'", "yes"),
        ("inputs.row == ''", True),
        ("inputs.checks == 'TEST'", True),
        ("inputs['Odd-name']", "x"),
        ("needs.carry-out.result == 'failure' && needs.carry-out.outputs.sha256 != ''", True),
        ("!(1 < 2) || 2 >= 2", True),
        ("true && false || 'it''s'", "it's"),
        ("null == 0", True),
        ("'a' == 0", False),
        ("matrix.rows[1]", "b"),
        ('fromJSON(\'[{"row": "x"}]\')[0].row', "x"),
        ("contains(github.ref, 'HEADS')", True),
        ("contains(matrix.rows, 'c')", False),
        ("startsWith(github.ref, 'refs/')", True),
        ("format('{1}-{0}', 'a', github.number)", "7-a"),
    ],
)
def test_an_expression_has_the_value_that_the_forge_s_documentation_gives(inside: str, expected: Value) -> None:
    assert expressions.evaluate(inside, scope()) == expected


@pytest.mark.parametrize(
    "inside",
    [
        "inputs.rwo",
        "secrets.TOKEN",
        "needs.check.result",
        "inputs.row == 'a' &",
        "inputs.row inputs.row",
        "hashFiles('x')",
        "success(1)",
        "(inputs.row",
        "fromJSON('{')",
        # on the side that does not decide, too
        "true || inputs.rwo",
        "",
    ],
)
def test_what_an_expression_may_not_name_is_an_error_and_no_empty_text(inside: str) -> None:
    with pytest.raises(NotKnown):
        expressions.evaluate(inside, scope())


def test_a_text_takes_the_values_of_its_expressions_and_an_object_has_none() -> None:
    assert expressions.text("${{ inputs.checks }}-${{ 1 == 1 }}-$HOME", scope()) == "test-true-$HOME"
    for wrong in ("${{ needs }}", "${{ inputs.checks"):
        with pytest.raises(NotKnown):
            expressions.text(wrong, scope())


@pytest.mark.parametrize(
    ("written", "after_success", "after_failure"),
    [
        (None, True, False),
        ("${{ inputs.checks == 'test' }}", True, False),
        ("inputs.checks == 'test'", True, False),
        ("${{ !cancelled() }}", True, True),
        ("${{ failure() }}", False, True),
        ("${{ failure() && inputs.row != '' }}", False, False),
    ],
)
def test_a_condition_without_a_status_function_also_asks_for_success(
    written: str | None, after_success: bool, after_failure: bool
) -> None:
    assert expressions.condition(written, scope("success")) is after_success
    assert expressions.condition(written, scope("failure")) is after_failure


def test_a_condition_that_mixes_text_with_an_expression_is_refused() -> None:
    with pytest.raises(NotKnown, match="always true"):
        expressions.condition("${{ inputs.row }} == ''", scope())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("permissions: {}\n", ""),
        ("    runs-on: ubuntu-24.04\n", "    runs-on: windows-2025\n"),
        ("    needs: first\n", "    needs: frist\n"),
        ("      - id: say\n", "      - id: say\n        working-directory: a\n"),
        ("    needs: first\n", "    needs: first\n    container: debian\n"),
    ],
)
def test_a_file_with_something_that_the_harness_does_not_carry_out_is_refused(before: str, after: str) -> None:
    definition.read(TWO_JOBS.encode(), "two.yml")
    assert before in TWO_JOBS
    with pytest.raises(NotKnown):
        definition.read(TWO_JOBS.replace(before, after).encode(), "two.yml")


# --- artefacts ---


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    (tmp_path / "work" / "out" / "inner").mkdir(parents=True)
    (tmp_path / "work" / "out" / "a.txt").write_text("a")
    (tmp_path / "work" / "out" / "inner" / "b.txt").write_text("b")
    return Artefacts(tmp_path / "kept")


def test_a_folder_comes_out_of_an_artefact_as_it_went_in_without_hidden_files(
    artefacts: Artefacts, tmp_path: Path
) -> None:
    (tmp_path / "work/out/.hidden").write_text("h")
    (tmp_path / "work/out/link").symlink_to("a.txt")
    (tmp_path / "work/out/nowhere").symlink_to("absent")
    artefacts.upload(tmp_path / "work", "one", "out", "error")
    artefacts.download(tmp_path / "other", "one", "build/in")
    found = {
        path.relative_to(tmp_path / "other/build/in").as_posix(): path.read_text()
        for path in (tmp_path / "other").rglob("*")
        if path.is_file()
    }
    assert found == {"a.txt": "a", "inner/b.txt": "b", "link": "a"}
    assert not (tmp_path / "other/build/in/link").is_symlink()


def test_an_upload_is_refused_where_the_real_action_refuses_it(artefacts: Artefacts, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for name in ("cpu/datasets", "", "a:b"):
        with pytest.raises(ActionFailed, match="name is not valid"):
            artefacts.upload(work, name, "out", "error")
    with pytest.raises(ActionFailed, match="No files were found"):
        artefacts.upload(work, "none", "absent", "error")
    assert "No artifacts" in artefacts.upload(work, "none", "absent", "ignore")
    artefacts.upload(work, "one", "out", "error")
    with pytest.raises(ActionFailed, match="already exists"):
        artefacts.upload(work, "one", "out", "error")
    (work / "out" / "a?b").write_text("")
    with pytest.raises(ActionFailed, match="path for one of the files"):
        artefacts.upload(work, "two", "out", "error")
    with pytest.raises(ActionFailed, match="not found for name: none"):
        artefacts.download(work, "none", "in")
    with pytest.raises(NotKnown):
        artefacts.upload(work, "three", "out/*.txt", "error")


# --- jobs ---

TWO_JOBS = """name: two
on:
  workflow_dispatch:
    inputs:
      word:
        description: a word
        type: choice
        options: [one, two]
        default: one
permissions: {}
env:
  EVERYWHERE: from the workflow
jobs:
  second:
    needs: first
    runs-on: ubuntu-24.04
    permissions:
      contents: read
    env:
      SAID: ${{ startsWith(needs.first.outputs.said, 'two') && 'two' || 'one' }}
    steps:
      - uses: actions/checkout@abc
        with:
          persist-credentials: false
      - uses: actions/download-artifact@abc
        with:
          name: words
          path: in
      - id: look
        run: |
          env | sort > env.txt
          grep -q '"word": "[a-z]*"' "$GITHUB_EVENT_PATH" && echo "a summary" >> "$GITHUB_STEP_SUMMARY"
          mkdir programs && printf '#!/bin/sh\\necho mine\\n' > programs/own-program && chmod +x programs/own-program
          echo "$PWD/programs" >> "$GITHUB_PATH"
          echo "said=$SAID, $(cat in/word.txt), $EVERYWHERE, ${GITHUB_TOKEN-no token}" >> "$GITHUB_OUTPUT"
      - id: found
        run: own-program
      - run: git push origin HEAD:refs/heads/other
  first:
    runs-on: ubuntu-24.04
    outputs:
      said: ${{ steps.say.outputs.said }}
    steps:
      - id: say
        env:
          WORD: ${{ inputs.word }}
        run: |
          printf 'said<<END\\n%s\\nagain\\nEND\\n' "$WORD" >> "$GITHUB_OUTPUT"
          echo "LATER=$WORD" >> "$GITHUB_ENV"
          false | true
      - run: mkdir out && echo "later $LATER" > out/word.txt
      - uses: actions/upload-artifact@abc
        with:
          name: words
          path: out
      - name: Break
        continue-on-error: true
        shell: bash
        run: false | true
      - name: After it
        if: ${{ failure() }}
        run: exit 1
"""


class Stage:
    """A remote whose main holds one workflow, and the folders of its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = remotes.Remote(folder, source=None)
        self.runs = 0

    def run(self, text: str, event: Event | None = None, called: str = "") -> Run:
        """Commit the workflow, run it, and return the run; the forge is one of its own."""

        def write(tree: Path) -> None:
            (tree / "flow.yml").write_text(text)
            (tree / "called.yml").write_text(called)

        self.remote.commit(f"run {self.runs}", write)
        self.runs += 1
        with Forge() as forge:
            machine = Machine({})
            run = Run(
                self.folder / f"run-{self.runs}", self.remote, forge, machine, "flow.yml", event or Event(), show=_quiet
            )
            run.go()
        return run


def _quiet(line: str) -> None:
    """Print nothing."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


def test_jobs_run_in_the_order_of_needs_with_outputs_variables_and_artefacts(stage: Stage) -> None:
    run = stage.run(TWO_JOBS, Event(inputs={"word": "two"}))
    first, second = run.ended["first"], run.ended["second"]
    assert run.lines.index("first: success") < run.lines.index("second: contents=read")
    assert first.outputs == {"said": "two\nagain"}
    assert second.step("env | sort > env.txt").outputs == {"said": "two, later two, from the workflow, no token"}
    assert second.step("own-program").log == "mine\n"
    assert second.summary == "a summary\n"


def test_a_step_that_may_fail_fails_by_bash_s_pipefail_alone_and_the_job_goes_on(stage: Stage) -> None:
    run = stage.run(TWO_JOBS)
    broken, after = (run.ended["first"].step(name) for name in ("Break", "After it"))
    assert (broken.outcome, broken.conclusion, broken.exit_code) == ("failure", "success", 1)
    assert after.outcome == "skipped"


def test_a_job_that_may_only_read_pushes_nothing(stage: Stage) -> None:
    run = stage.run(TWO_JOBS)
    push = run.ended["second"].step("git push origin HEAD:refs/heads/other")
    assert (run.ended["second"].result, push.exit_code) == ("failure", 1)
    assert "denied to github-actions[bot]" in push.log
    assert set(stage.remote.branches()) == {"main"}
    written = TWO_JOBS.replace("contents: read", "contents: write")
    assert stage.run(written).ended["second"].result == "success"
    assert "other" in stage.remote.branches()
    remotes.git(stage.remote.bare, "branch", "-D", "other")


def test_the_variables_of_a_step_are_the_runner_s_and_the_yaml_s_and_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THIS_MACHINE", "seen")
    run = stage.run(TWO_JOBS)
    (written,) = run.folder.glob("*-second/work/env.txt")
    names = {line.partition("=")[0] for line in written.read_text().splitlines()}
    own = {name for name in names if not name.startswith(("GITHUB_", "RUNNER_"))}
    assert own - {"PWD", "SHLVL", "_", "OLDPWD"} == {"CI", "EVERYWHERE", "HOME", "LANG", "PATH", "SAID"}
    assert "GITHUB_TOKEN" not in names


def test_an_input_that_the_workflow_does_not_offer_is_an_error(stage: Stage) -> None:
    for event in (Event(inputs={"word": "three"}), Event(inputs={"sentence": "one"}), Event("schedule")):
        with pytest.raises(NotKnown):
            stage.run(TWO_JOBS, event)


def test_an_action_for_which_nothing_stands_is_an_error(stage: Stage) -> None:
    for before, after in (
        ("actions/upload-artifact@abc", "actions/cache@abc"),
        ("persist-credentials: false", "persist-credentials: true"),
        ("persist-credentials: false", "persist-credentials: false\n          lfs: true"),
    ):
        with pytest.raises(NotKnown):
            stage.run(TWO_JOBS.replace(before, after))


CALLING = """name: calling
on:
  workflow_dispatch: {}
permissions: {}
jobs:
  list:
    runs-on: ubuntu-24.04
    outputs:
      rows: ${{ steps.rows.outputs.rows }}
    steps:
      - id: rows
        run: echo 'rows=[{"row":"a/b"},{"row":"c"}]' >> "$GITHUB_OUTPUT"
      - run: exit 9
  row:
    needs: list
    if: ${{ !cancelled() && needs.list.outputs.rows != '' }}
    strategy:
      fail-fast: false
      matrix:
        include: ${{ fromJSON(needs.list.outputs.rows) }}
    permissions:
      contents: write
      issues: write
    uses: ./called.yml
    with:
      row: ${{ matrix.row }}
"""
CALLED = """name: called
on:
  workflow_call:
    inputs:
      row:
        description: a row
        type: string
        required: true
      word:
        description: a word
        type: string
        default: by default
permissions: {}
jobs:
  do:
    if: ${{ !cancelled() }}
    runs-on: ubuntu-24.04
    permissions:
      issues: write
    steps:
      - name: Ask
        env:
          ROW: ${{ inputs.row }}
          WORD: ${{ inputs.word }}
          TOKEN: ${{ github.token }}
        run: test "$WORD" = "by default" && test "$ROW" != c
  told:
    needs: do
    if: ${{ failure() && needs.do.result == 'failure' }}
    runs-on: ubuntu-24.04
    steps:
      - run: true
  later:
    needs: do
    runs-on: ubuntu-24.04
    steps:
      - run: true
"""


def test_a_called_workflow_runs_for_each_row_and_counts_the_jobs_before_the_call_among_its_own(stage: Stage) -> None:
    run = stage.run(CALLING, called=CALLED)
    results = {path: ended.result for path, ended in run.ended.items()}
    assert results == {
        "list": "failure",
        "row": "failure",
        "row (a/b)": "success",
        "row (a/b) / do": "success",
        "row (a/b) / told": "skipped",
        # the list failed: what asks for success alone does not run
        "row (a/b) / later": "skipped",
        "row (c)": "failure",
        "row (c) / do": "failure",
        "row (c) / told": "success",
        "row (c) / later": "skipped",
    }


def test_a_called_job_may_not_have_more_rights_than_the_job_that_calls(stage: Stage) -> None:
    with pytest.raises(NotKnown, match="asks for checks: write"):
        stage.run(CALLING, called=CALLED.replace("issues: write", "checks: write"))


def test_a_job_without_rights_has_no_token(stage: Stage) -> None:
    with pytest.raises(NotKnown, match="has no token"):
        stage.run(CALLING, called=CALLED.replace("    permissions:\n      issues: write\n", ""))


def test_a_name_that_no_step_put_out_is_an_error(stage: Stage) -> None:
    with pytest.raises(NotKnown, match="has no row"):
        stage.run(
            CALLING.replace("steps.rows.outputs.rows", "steps.rows.outputs.row").replace("run: exit 9", "run: true"),
            called=CALLED,
        )


def test_the_api_grants_what_the_permissions_of_the_job_that_runs_grant(stage: Stage) -> None:
    asked = """
      - name: Call
        env:
          TOKEN: ${{ github.token }}
        run: |
          for place in issues check-runs; do
            curl -s -o /dev/null -w '%{http_code} ' -H "Authorization: Bearer $TOKEN" \\
              -d '{"title": "t", "body": "b", "name": "n"}' "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/$place"
          done
          curl -s -o /dev/null -w '%{http_code} ' -d '{}' "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues"
"""
    called = CALLED.replace("    steps:\n", f"    steps:{asked}", 1)
    run = stage.run(CALLING, called=called)
    assert run.ended["row (a/b) / do"].step("Call").log.split() == ["201", "403", "401"]


def test_the_workflows_that_the_harness_runs_hold_nothing_that_it_does_not_know() -> None:
    for name in ("bump.yml", "bump-row.yml", "test.yml"):
        read = definition.read((machines.ROOT / ".github" / "workflows" / name).read_bytes(), name)
        assert read.jobs


# --- the files of comments ---

COMMENT = f"""It took 12.5 s in /tmp/folder, at {"a" * 40}; tools 1.2.post1 for 1.2.

| case | before | after | ratio | word | smallest | counts | flags | pins |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `cpu-1` | 0.1 s | 0.2 s | 2.000 | **CHANGED** | 3.0% | calls | `idle` | `a 1.2 -> 1.2.post1` |

| `images/cpu/a.txt: one` | `1` | `2` |
| `images/cpu/a.txt: two` | `1` | `2` |

```text
Collecting a
error: no compiler
```
- host: `one`, 2 cores
"""
SAME = """It took <time> s in <folder>, at <commit>; tools <newer> for <locked>.

| case | before | after | ratio | word | smallest | counts | flags | pins |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `cpu-1` | <time> | <time> | <ratio> | **CHANGED** | <percent> | calls | <flags> | `a <locked> -> <newer>` |

<what moves with it>

```text
<lines of the log>
no compiler
```
- host: <this machine>
"""


def test_a_comment_is_the_same_each_time_but_for_what_it_says_of_the_bump() -> None:
    words = {"/tmp/folder": "<folder>", "1.2": "<locked>", "1.2.post1": "<newer>"}
    assert comments.same_each_time(COMMENT, words, kept="no compiler") == SAME


def test_a_comment_that_no_file_has_yet_fails_the_run_that_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comments, "FOLDER", tmp_path / "bumps")
    with pytest.raises(AssertionError, match="is written now"):
        comments.as_in("one.md", "text\n")
    comments.as_in("one.md", "text\n")
    with pytest.raises(AssertionError, match="says something else"):
        comments.as_in("one.md", "another text\n")


@pytest.mark.parametrize("name", ["carry-out", "check", "publish"])
def test_a_row_is_bumped_though_the_list_of_what_is_newer_ended_with_an_error(name: str) -> None:
    path = ".github/workflows/bump-row.yml"
    read = definition.read((machines.ROOT / path).read_bytes(), path)
    needs: Value = {"carry-out": {"result": "success", "outputs": {"sha256": "a"}}, "check": {"result": "failure"}}
    failed = Scope({"needs": needs}, scope("failure").functions)
    assert expressions.condition(read.jobs[name].condition, failed)
