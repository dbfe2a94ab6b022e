"""What an image is built from, and what the verb refuses; nothing is built here. `make test-images` builds."""

import ast
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from runner.bench.pods import git_tree
from runner.contract.errors import InputError, Unreachable, UnresolvedPin, Unsupported, UsageError
from runner.host import paths
from runner.host.images import build, build_context, buildah, checkout, contents, push, sbom
from runner.host.pins import silence
from runner.host.pins.origins import container_registry, package_index
from runner.host.pins.origins import git as git_server
from runner.host.readers import lockfile
from runner.host.stacks import requirements
from runner.host.verbs import image
from tests.support import git_repository
from tests.support.tasks import RecordedTask

ONE, TWO = "1a" * 32, "2b" * 32
DIGEST = f"sha256:{'1' * 64}"


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch):
    def refuse(*arguments, **more):
        raise AssertionError(f"buildah was called: {arguments}")

    monkeypatch.setattr(buildah, "_run", refuse)


def test_a_stack_with_an_unresolved_base_is_named_with_what_resolves_it(capsys):
    with pytest.raises(UnresolvedPin):
        image.main(["gaudi-1.10"])
    said = capsys.readouterr().err
    assert said.startswith("gaudi-1.10: The base image of gaudi-1.10 (vault.habana.ai/gaudi-docker/1.10.0/")
    assert "is unresolved in versions.lock. Run `python -m runner lock` where the network reaches its source." in said


def test_the_context_of_a_stack_holds_what_its_programs_are_compiled_from_and_how(monkeypatch, tmp_path):
    """A stack without programs has an empty list of them, which install.sh reads all the same."""
    lock, exported = lockfile.read(), []

    def export(origin, commit, tree, folder):
        exported.append((origin, commit, tree, folder.name))
        return 7

    monkeypatch.setattr(git_server, "export_tree", export)
    for part in ("fetch_wheels", "fetch_source_distribution"):
        monkeypatch.setattr(package_index, part, lambda *arguments: tmp_path / "one.tar.gz")
    monkeypatch.setattr(build_context, "_matching", lambda folder, wanted: [])
    (tmp_path / "one.tar.gz").write_bytes(b"")
    for name, python, listed in (("gaudi-1.10", "3.8.18", "pdsh\n"), ("cpu", "3.12.1", "")):
        folder = tmp_path / name
        build_context.gather(
            lock.stacks[name], lock, python, "2.31", tmp_path / "wheels", folder, {"pdsh-2.31": "/a/copy"}, None
        )
        assert (folder / "requirements" / "programs.txt").read_text() == listed
        assert sorted(file.name for file in (folder / "programs").iterdir()) == [f"{one}.sh" for one in listed.split()]
    source = lock.sources["pdsh-2.31"]
    assert ("/a/copy", source.commit, source.tree, "pdsh") in exported
    fork = lock.sources["habana-deepspeed-1.10"]
    assert (
        tmp_path / "gaudi-1.10" / "requirements" / "git.txt"
    ).read_text() == f"deepspeed {fork.commit} 7 unresolved\n"


def test_a_source_without_a_commit_is_refused_on_any_base():
    with pytest.raises(
        UnresolvedPin, match="commit of habana-deepspeed-1.9, which deepspeed is built from, is unresolved"
    ):
        build.plan(lockfile.read(), "gaudi-1.9", "localhost/any")


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["none"], "none is no stack of versions.lock. Take one of gaudi-1.8"),
        (
            ["cpu", "--base", "x", "--push", "registry/team"],
            "--base takes one STACK, and what it makes is never pushed",
        ),
        (["cpu", "cuda", "--base", "x"], "--base takes one STACK"),
        (["cpu", "--source", "nowhere=/tmp"], "--source takes NAME=FOLDER; NAME is one of optimum-habana-1.8"),
    ],
)
def test_wrong_calls_are_refused(arguments, problem):
    with pytest.raises(InputError, match=re.escape(problem)):
        image.main(arguments)


def test_the_hash_of_the_inputs_changes_with_every_file_and_with_the_base(monkeypatch):
    lock, real = lockfile.read(), build_context.sha256_of_file
    files: list = []
    monkeypatch.setattr(build_context, "sha256_of_file", lambda file: files.append(file) or real(file))
    seen = {
        build_context.inputs("cpu", lock, ["base"]),
        build_context.inputs("cpu", lock, ["another"]),
        build_context.inputs("cuda", lock, ["base"]),
    }
    for file in set(files):
        monkeypatch.setattr(
            build_context, "sha256_of_file", lambda one, file=file: "0" * 64 if one == file else real(one)
        )
        seen.add(
            build_context.inputs("cpu", lock, ["base"])
            if "cuda" not in file.parts
            else build_context.inputs("cuda", lock, ["base"])
        )
    assert len(seen) == 3 + len(set(files))
    named = {str(file.relative_to(paths.ROOT)) for file in files}
    assert {
        "images/install.sh",
        "images/cpu/Dockerfile",
        "images/cpu/torch-cpu.txt",
        "requirements/build38.txt",
    } <= named
    assert {"runner/bench/rank/worker.py", "runner/contract/request.py", "images/cpu/requirements-cpu.txt"} <= named
    assert not any(name.startswith(("runner/host", "runner/catalog", "tests")) for name in named)


def test_every_pin_that_no_file_holds_is_among_the_inputs():
    lock = lockfile.read()
    seen = {
        build.inputs_of(lock, "cuda-2023"),
        build.inputs_of(lock, "gaudi-1.10"),
        build.inputs_of(lock, "gaudi-1.10", "stand-in"),
    }
    stack = lock.stacks["cuda-2023"]
    moved = replace(stack.interpreter, digest=DIGEST)
    seen.add(build.inputs_of(replace(lock, stacks={"cuda-2023": replace(stack, interpreter=moved)}), "cuda-2023"))
    seen.add(build.inputs_of(replace(lock, tools={**lock.tools, "buildah": "0"}), "cuda-2023"))
    for name in ("habana-deepspeed-1.10", "pdsh-2.31"):
        sources = {**lock.sources, name: replace(lock.sources[name], commit="1" * 40)}
        seen.add(build.inputs_of(replace(lock, sources=sources), "gaudi-1.10"))
    assert len(seen) == 7


def code(file):
    """Return a file less its comments: they hold evidence, which names the release that it was seen with."""
    text = file.read_text()
    if file.suffix != ".py":
        return re.sub(r"(^|\s)#.*", "", text)
    nodes = [*ast.walk(ast.parse(text))]
    told = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return "\n".join(str(node.value) for node in nodes if isinstance(node, ast.Constant) and id(node) not in told)


def test_no_version_of_a_pin_stands_outside_the_lock():
    """Each pin that tells a release is looked for in every file that builds or runs something; a copy would go stale."""
    lock = lockfile.read()
    pins = {*lock.tools.values()}
    for stack in lock.stacks.values():
        images = [one for one in (stack.image, stack.interpreter) if one]
        pins |= {value for one in images for value in (one.tag, one.digest, one.platform)} | {stack.driver}
        pins |= {pin.version for pin in (*stack.packages.values(), *stack.programs.values())}
    pins |= {source.commit for source in lock.sources.values()}
    pins -= {lockfile.UNRESOLVED}
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, encoding="utf-8", cwd=paths.ROOT
    )
    places = re.compile(
        r"(images/(install\.sh|[^/]+/(Dockerfile|[^/]+\.sh))|Makefile|\.ci/run|runner/(host|bench|contract)/.*\.py)"
    )
    files = [name for name in listed.stdout.splitlines() if places.fullmatch(name)]
    assert len(files) > 30
    any_pin = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, sorted(pins, key=len, reverse=True)))})(?![\w.]*\d)")
    stale = [(name, any_pin.findall(code(paths.ROOT / name))) for name in files]
    assert [found for found in stale if found[1]] == []


def test_a_moved_pin_moves_what_is_given_to_the_build():
    """No name of a base is made up: it is the lock's repository and the most exact digest that it has."""
    found = lockfile.PinnedImage("registry.example/base", "1", DIGEST, lockfile.UNRESOLVED, None)
    assert found.reference == f"registry.example/base@{DIGEST}"
    assert (
        lockfile.PinnedImage("registry.example/base", "1", "x", DIGEST, None).reference
        == f"registry.example/base@{DIGEST}"
    )


def test_platforms_are_those_that_the_c_library_takes():
    assert build_context.platforms("2.31")[:2] == ["manylinux_2_31_x86_64", "manylinux_2_30_x86_64"]
    assert build_context.platforms("2.31")[-2:] == ["manylinux1_x86_64", "linux_x86_64"]
    with pytest.raises(Unsupported, match="glibc 3.0"):
        build_context.platforms("3.0")


def test_markers_are_asked_of_the_target_and_not_of_this_python():
    (old, new) = requirements.read(
        f"# head\na==1 ; python_full_version < '3.9' \\\n    --hash=sha256:{ONE}\n"
        f"a==2 ; python_full_version >= '3.9' \\\n    --hash=sha256:{TWO}\n"
    )
    for python, served in (("3.8.18", old), ("3.12.1", new)):
        target = requirements.target_environment(python)
        assert [one for one in (old, new) if requirements.serves(one, target)] == [served]
    assert new.plain == f"a==2 \\\n    --hash=sha256:{TWO}\n"
    assert new.hashes == {TWO}


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()

    def git(*arguments):
        command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()

    git("init", "--quiet")
    (folder / "setup.py").write_text("first")
    git("add", "setup.py")
    git("commit", "--quiet", "-m", "first")
    return folder, git("rev-parse", "HEAD"), git("rev-parse", "HEAD^{tree}")


def test_a_source_is_taken_at_its_commit_and_only_with_its_tree(repository, tmp_path):
    folder, commit, tree = repository
    (folder / "setup.py").write_text("edited, in no commit")
    target = tmp_path / "tree"
    target.mkdir()
    epoch = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], capture_output=True, encoding="utf-8", cwd=folder
    ).stdout
    assert git_server.export_tree(folder, commit, tree, target) == int(epoch)
    assert (target / "setup.py").read_text() == "first"
    with pytest.raises(InputError, match=f"has the tree {tree}; versions.lock says {'0' * 40}"):
        git_server.export_tree(folder, commit, "0" * 40, target)


def test_a_source_has_the_files_of_its_tree_whatever_its_attributes_say(tmp_path):
    source = git_repository.make(tmp_path / "repository", git_repository.ATTRIBUTES)
    target = tmp_path / "tree"
    target.mkdir()
    git_server.export_tree(tmp_path / "repository", source.commit, source.tree, target)
    assert git_tree.tree_of(str(target)) == source.tree


BASE = {"torch": {"version": "2.0.1", "folder": "/usr/lib", "record_sha256": "1", "license": None}}


def test_a_base_that_was_touched_and_one_that_is_covered_are_refused():
    stack = lockfile.read().stacks["gaudi-1.10"]
    build.refuse_touched_base("x", stack, BASE, {**BASE, "other": {}}, BASE)
    for seen, after in (
        ({"torch": {**BASE["torch"], "folder": "/opt/bench"}}, BASE),
        (BASE, {}),
        (BASE, {"torch": {}}),
    ):
        with pytest.raises(Unsupported, match="would not have the base's own torch"):
            build.refuse_touched_base("x", stack, BASE, seen, after)


def test_the_bill_of_materials_is_the_same_for_the_same_image(tmp_path):
    (tmp_path / "Torch_Vision-2.0.1-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "deepspeed-0.8.2.tar.gz").write_bytes(b"source")
    found = {
        "torch-vision": {"version": "2.0.1", "license": "BSD", "folder": "/opt/bench", "record_sha256": "2"},
        "deepspeed": {"version": "0.8.2", "license": None, "folder": "/opt/bench", "record_sha256": "3"},
    }
    debian = (
        contents.Distribution("debian", "12"),
        [
            contents.DebianPackage("libc6", "2.36-9", "amd64"),
            contents.DebianPackage("libstdc++6", "1:12.2.0-14+deb12u1", "amd64"),
        ],
    )
    pin = lockfile.PinnedProgram("1.2", "program-1.2", "GPL-2.0-or-later")
    programs = [
        sbom.CompiledProgram(
            "program", pin, lockfile.PinnedSource("https://host.example/program", "3" * 40, "4" * 40, None), "5" * 64
        )
    ]
    bill = sbom.bill("cpu", found, tmp_path, *debian, 0, programs)
    assert bill == sbom.bill("cpu", dict(reversed(found.items())), tmp_path, *debian, 0, programs)
    assert '"timestamp": "1970-01-01T00:00:00Z"' in bill
    assert bill.count('"alg": "SHA-256"') == 3
    commit = f"git%2Bhttps://host.example/program%40{'3' * 40}"
    assert f'"purl": "pkg:generic/program@1.2?vcs_url={commit}"' in bill
    assert '"id": "GPL-2.0-or-later"' in bill
    assert '"value": "/opt/bench/src/program/COPYING"' in bill
    assert '"purl": "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"' in bill
    assert '"purl": "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"' in bill


@pytest.mark.parametrize(
    "arguments, error, told",
    [
        (["cpu", "--push=--help"], UsageError, "--push must be the name of an image's repository"),
        (["cpu", "--push", "https://u:p@registry.example/x"], UsageError, "--push must be the name"),
        (["cpu", "--base=--help"], UsageError, "--base must be the name or id of an image"),
        (["cpu", "--base", "a", "--interpreter=-x"], UsageError, "--interpreter must be the name or id of an image"),
        (["cpu", "--source", "post=/proc/nowhere"], InputError, "--source post: '/proc/nowhere' is no folder"),
        (["cpu", "--source", "post"], InputError, "--source post: '' is no folder"),
        (["cpu\udcff"], InputError, "is no stack of versions.lock"),
    ],
)
def test_no_value_of_a_flag_becomes_an_option_of_the_builder(arguments, error, told):
    with pytest.raises(error) as caught:
        image.main(arguments)
    assert told in str(caught.value)


@pytest.mark.parametrize("epoch", ["soon", "-1", "9" * 40, "1.5"])
def test_a_time_that_is_no_number_is_said(monkeypatch, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH is .* seconds since 1970"):
        checkout.read()


def planned(name, **more):
    return build.plan(lockfile.read(), name, **more)


def test_a_plan_says_what_an_image_is_built_from_before_anything_is_fetched(tmp_path):
    """buildah may not run here, and no index is asked: the plan needs neither."""
    plan = planned("cpu", stand_in="localhost/base", folder=tmp_path / "cpu")
    assert (plan.base, plan.interpreter, plan.pulled) == ("localhost/base", "localhost/base", ())
    assert plan.inputs == build.inputs_of(lockfile.read(), "cpu", "localhost/base")
    assert plan.labels["bloomz-bench.base"] == "stand-in"
    assert "org.opencontainers.image.base.digest" not in plan.labels
    assert not (tmp_path / "cpu").exists()
    other = planned("cuda-2023", stand_in="localhost/base", stand_in_interpreter="localhost/python")
    assert (other.base, other.interpreter) == ("localhost/base", "localhost/python")
    assert other.arguments["INTERPRETER"] == "localhost/python"
    assert "INTERPRETER" not in plan.arguments


def with_base(lock, name, image=DIGEST, interpreter=DIGEST):
    """Return a lock in which the images of a stack have digests."""
    stack = lock.stacks[name]
    pins = {"image": replace(stack.image, digest=image, platform=image)}
    if stack.interpreter is not None:
        pins["interpreter"] = replace(stack.interpreter, digest=interpreter, platform=interpreter)
    return replace(lock, stacks={**lock.stacks, name: replace(stack, **pins)})


def test_a_pinned_base_is_pulled_by_its_digest_and_so_is_the_image_that_brings_python():
    plan = build.plan(with_base(lockfile.read(), "cuda-2023"), "cuda-2023")
    stack = plan.stack
    assert plan.base == f"{stack.image.repository}@{DIGEST}"
    assert plan.interpreter == f"{stack.interpreter.repository}@{DIGEST}"
    assert set(plan.pulled) == {plan.base, plan.interpreter}
    assert plan.labels["org.opencontainers.image.base.digest"] == DIGEST
    assert plan.labels["bloomz-bench.base"] == "pinned"


def test_a_stack_whose_python_has_no_digest_is_refused_before_anything_is_fetched():
    lock = with_base(lockfile.read(), "cuda-2023", interpreter=lockfile.UNRESOLVED)
    with pytest.raises(UnresolvedPin, match=r"The image of cuda-2023's Python \(.*\) is unresolved in versions.lock"):
        build.plan(lock, "cuda-2023")


def test_the_command_of_a_build_has_no_network_no_cache_and_the_time_of_the_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.delenv("BUILDAH_ISOLATION", raising=False)
    plan = planned("cpu", stand_in="localhost/base", folder=tmp_path)
    words = plan.command("1.2.3")
    assert words[0] == "build" and words[-2:] == ["--", str(tmp_path / "context")]
    for pair in (
        ["--timestamp", "1700000000"],
        ["--network", "none"],
        ["--build-arg", "BASE=localhost/base"],
        ["--build-arg", "SOURCE_DATE_EPOCH=1700000000"],
        ["--label", "bloomz-bench.builder=buildah 1.2.3"],
        ["--label", f"bloomz-bench.inputs={plan.inputs}"],
        ["--tag", "localhost/bloomz-bench/cpu:latest"],
    ):
        assert pair in [words[index : index + 2] for index in range(len(words))]
    assert {"--no-cache", "--layers=false", "--pull-never", "--force-rm"} <= set(words)
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    assert "--network" not in plan.command("1.2.3")


@pytest.mark.parametrize(
    "name, python, refused",
    [
        ("cpu", "3.12.1", False),
        ("cpu", "3.9.1", True),
        ("gaudi-1.10", "3.8.18", False),
        ("gaudi-1.10", "3.10.1", True),
    ],
)
def test_a_python_that_the_stack_is_not_locked_for_is_refused(name, python, refused):
    stack = lockfile.read().stacks[name]
    if not refused:
        build.refuse_python(name, stack, python)
        return
    with pytest.raises(Unsupported, match=f"The base has Python {python}; {name} is locked for {stack.python}"):
        build.refuse_python(name, stack, python)


def test_what_an_image_s_python_is_asked_for_runs_with_the_kit_alone(tmp_path):
    """An image has the kit on its path and nothing of this environment's; its words stand in a text, which no import checks."""
    command = [sys.executable, "-c", contents.LIST_PACKAGES]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", cwd=tmp_path, env={"PYTHONPATH": str(paths.ROOT)}
    )
    assert done.returncode == 0, done.stderr
    packages = json.loads(done.stdout)
    assert set(packages["packaging"]) == set(contents.InstalledPackage.__annotations__)


class Builder:
    """Answers for buildah: ``commands`` are what was run of it, in order; images hold one package and one Debian package."""

    def __init__(self, packages):
        self.packages, self.commands = packages, []

    def __call__(self, *words, timeout_s=600):
        self.commands.append(words)
        if words[0] == "run":
            return self.inside(" ".join(words[words.index("--") + 1 :]))
        answers = {
            "--version": "buildah version 1.2.3 (image-spec 1.1)",
            "from": "a-container",
            "build": "warning\nid-of-the-image",
            "inspect": json.dumps({"Manifest": json.dumps({"layers": [{"size": 3}, {"size": 4}]})}),
        }
        return answers.get(words[0], "")

    def inside(self, command):
        answers = {
            "platform.python_version": "3.12.1\n",
            "GNU_LIBC_VERSION": "glibc 2.36\n",
            "command -v python3": "/usr/local/bin/python3\n",
            "inventory.listing": json.dumps(self.packages),
            "os-release": "debian 12\n",
            "dpkg-query": "libc6 2.36-9 amd64\n",
        }
        return next(answer for words, answer in answers.items() if words in command)


def test_a_planned_image_is_built_looked_into_and_written_down(monkeypatch, tmp_path):
    packages = {"six": {"version": "1.17.0", "license": "MIT", "folder": "/opt/bench", "record_sha256": "1"}}
    builder, gathered = Builder(packages), []
    monkeypatch.setattr(buildah, "_run", builder)

    def gather(stack, lock, python, glibc, wheelhouse, folder, checkouts, base_inventory):
        gathered.append((python, glibc, wheelhouse.name, folder, base_inventory))
        (folder / "wheels").mkdir(parents=True)

    monkeypatch.setattr(build_context, "gather", gather)
    plan = build.plan(with_base(lockfile.read(), "cuda"), "cuda", folder=tmp_path / "cuda")
    steps: list[str] = []
    built = build.execute(plan, RecordedTask(steps))
    assert steps == [
        "fetching the base image",
        "looking into the base image",
        "fetching packages and sources",
        "building",
        "looking into the image",
    ]
    assert gathered == [("3.12.1", "2.36", "cuda-3.12.1-2.36", tmp_path / "cuda" / "context", None)]
    assert [words[-1] for words in builder.commands if words[0] == "pull"] == list(plan.pulled)
    (command,) = [words for words in builder.commands if words[0] == "build"]
    assert list(command) == plan.command("1.2.3")
    assert built == build.BuiltImage(
        "id-of-the-image", plan.tag, plan.base, True, plan.revision, plan.inputs, packages=1, bytes=7, builder="1.2.3"
    )
    assert json.loads((tmp_path / "cuda" / "image.json").read_text()) == vars(built)
    bill = json.loads((tmp_path / "cuda" / "sbom.json").read_text())
    assert [component["name"] for component in bill["components"]] == ["six", "libc6"]
    made = [words for words in builder.commands if words[0] == "from"]
    assert len(made) == len([words for words in builder.commands if words[0] == "rm"])


def test_what_a_base_tells_is_resolved_and_another_base_is_refused(monkeypatch):
    stack_name = "gaudi-1.10"
    plan = build.plan(with_base(lockfile.read(), stack_name), stack_name)
    monkeypatch.setattr(contents, "wheels_built", lambda image: {"deepspeed": ONE})
    packages = {package: {"version": "9.9"} for package in plan.stack.packages}
    resolved = build.resolved_by(plan, "image", "the base's packages", packages)
    assert resolved["stacks", stack_name, "image", "inventory"] == hashlib.sha256(b"the base's packages").hexdigest()
    assert resolved["stacks", stack_name, "packages", "deepspeed", "sha256"] == ONE
    for package, pin in plan.stack.packages.items():
        is_open = pin.origin == "base" and pin.version == lockfile.UNRESOLVED
        assert (("stacks", stack_name, "packages", package, "version") in resolved) is is_open
    stack = replace(plan.stack, image=replace(plan.stack.image, inventory=TWO))
    other = replace(plan, lock=replace(plan.lock, stacks={stack_name: stack}))
    with pytest.raises(Unsupported, match="are not those that versions.lock lists by their hash"):
        build.resolved_by(other, "image", "the base's packages", packages)


def test_a_pushed_image_stands_in_the_lock_beside_the_others(monkeypatch, tmp_path, capsys):
    path = tmp_path / "versions.lock"
    path.write_bytes(paths.LOCK.read_bytes())
    monkeypatch.setattr(paths, "LOCK", path)
    monkeypatch.setattr(lockfile.read, "__defaults__", (path,))
    pushed = []

    def take(image, target):
        pushed.append((image, target))
        return f"sha256:{ONE}"

    monkeypatch.setattr(buildah, "push", take)
    for name in ("cuda", "cpu"):
        built = build.BuiltImage("id", "", "", True, "0" * 40, build.inputs_of(lockfile.read(), name), 0, 0, "1.28.2")
        entry = push.push(name, built, "registry.example/team")
        assert lockfile.read().built[name] == entry
    assert list(lockfile.read().built) == ["cpu", "cuda"]
    assert pushed[1] == ("id", f"docker://registry.example/team/bloomz-bench-cpu:{'0' * 40}")
    assert image.main(["cpu", "gaudi-1.9", "--check"]) == 0
    said = capsys.readouterr().out
    assert f"cpu: {entry.reference} is of these inputs\ngaudi-1.9: no image was pushed\n" in said
    for revision in ("unknown", f"{'0' * 40}-dirty"):
        with pytest.raises(InputError, match="it holds changes that no commit has"):
            push.push("cpu", replace(built, revision=revision), "registry.example/team")


def test_another_builder_is_said_and_is_no_reason_to_refuse():
    lock = lockfile.read()
    built = build.BuiltImage("id", "", "", True, "0" * 40, "", 0, 0, lock.tools["buildah"])
    assert push.other_builder(built, lock) is None
    said = push.other_builder(replace(built, builder="0.1"), lock)
    assert said.startswith(f"buildah 0.1 built the image, and versions.lock says {lock.tools['buildah']}: ")


def test_a_registry_that_does_not_answer_is_known_before_anything_is_built(monkeypatch):
    def silent(reference):
        raise silence.NoAnswer(f"the registry, for {reference}: it did not answer")

    monkeypatch.setattr(container_registry, "manifest", silent)
    with pytest.raises(Unreachable, match="registry.example/team/bloomz-bench-cpu:latest: it did not answer"):
        image.main(["cpu", "--push", "registry.example/team"])

    def asks_for_a_login(reference):
        raise Unreachable("it asks for a login")

    monkeypatch.setattr(container_registry, "manifest", asks_for_a_login)
    monkeypatch.setattr(build, "plan", lambda *arguments: pytest.fail("planned"))
    with pytest.raises(pytest.fail.Exception, match="planned"):
        image.main(["cpu", "--push", "registry.example/team"])


def test_a_base_that_is_not_here_is_asked_for_shortly_before_it_is_pulled(monkeypatch, tmp_path):
    lock = lockfile.read()
    plan = build.plan(with_base(lock, "cuda"), "cuda", folder=tmp_path / "cuda")
    monkeypatch.setattr(buildah, "is_here", lambda reference: False)
    monkeypatch.setattr(buildah, "pull", lambda reference: pytest.fail("pulled"))

    def silent(reference):
        raise silence.NoAnswer(f"the registry, for {reference}: it did not answer")

    monkeypatch.setattr(container_registry, "manifest", silent)
    with pytest.raises(Unreachable, match=f"the registry, for {re.escape(plan.pulled[0])}: it did not answer"):
        build.execute(plan)


def test_builds_of_a_checkout_wait_for_each_other(monkeypatch, tmp_path):
    running, most = [], []

    def slow(planned, task):
        running.append(planned)
        most.append(len(running))
        time.sleep(0.05)
        running.remove(planned)

    monkeypatch.setattr(build, "_execute", slow)
    planned = build.plan(lockfile.read(), "cpu", "localhost/stand-in", folder=tmp_path / "images" / "cpu")
    threads = [threading.Thread(target=build.execute, args=(planned,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]
