"""What an image is built from, and what the verb refuses; nothing is built here. `make test-images` builds."""

import ast
import re
import subprocess
from dataclasses import replace

import pytest

from runner.contract.errors import InputError, UnresolvedPin, Unsupported, UsageError
from runner.host import paths
from runner.host.images import build_context, sbom
from runner.host.pins import git_source, origins, requirements
from runner.host.readers import lockfile
from runner.host.verbs import image

ONE, TWO = "1a" * 32, "2b" * 32
DIGEST = f"sha256:{'1' * 64}"


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch):
    def refuse(*arguments, **more):
        raise AssertionError(f"buildah was called: {arguments}")

    monkeypatch.setattr(image.buildah, "_run", refuse)


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

    monkeypatch.setattr(git_source, "export_tree", export)
    for part in ("wheels", "source_distribution"):
        monkeypatch.setattr(origins, part, lambda *arguments: tmp_path / "one.tar.gz")
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
        image.build(lockfile.read(), "gaudi-1.9", "localhost/any")


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["none"], "none is no stack of versions.lock. Take one of gaudi-1.9"),
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
        image._inputs(lock, "cuda-2023"),
        image._inputs(lock, "gaudi-1.10"),
        image._inputs(lock, "gaudi-1.10", "stand-in"),
    }
    stack = lock.stacks["cuda-2023"]
    moved = replace(stack.interpreter, digest=DIGEST)
    seen.add(image._inputs(replace(lock, stacks={"cuda-2023": replace(stack, interpreter=moved)}), "cuda-2023"))
    seen.add(image._inputs(replace(lock, tools={**lock.tools, "buildah": "0"}), "cuda-2023"))
    for name in ("habana-deepspeed-1.10", "pdsh-2.31"):
        sources = {**lock.sources, name: replace(lock.sources[name], commit="1" * 40)}
        seen.add(image._inputs(replace(lock, sources=sources), "gaudi-1.10"))
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
    found = lockfile.Image("registry.example/base", "1", DIGEST, lockfile.UNRESOLVED, None)
    assert found.reference == f"registry.example/base@{DIGEST}"
    assert (
        lockfile.Image("registry.example/base", "1", "x", DIGEST, None).reference == f"registry.example/base@{DIGEST}"
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
        assert [one for one in (old, new) if one.serves(target)] == [served]
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
    assert git_source.export_tree(folder, commit, tree, target) == int(epoch)
    assert (target / "setup.py").read_text() == "first"
    with pytest.raises(InputError, match=f"has the tree {tree}; versions.lock says {'0' * 40}"):
        git_source.export_tree(folder, commit, "0" * 40, target)


BASE = {"torch": {"version": "2.0.1", "folder": "/usr/lib", "record_sha256": "1", "license": None}}


def test_a_base_that_was_touched_and_one_that_is_covered_are_refused():
    stack = lockfile.read().stacks["gaudi-1.10"]
    image._refuse_touched_base("x", stack, BASE, {**BASE, "other": {}}, BASE)
    for seen, after in (
        ({"torch": {**BASE["torch"], "folder": "/opt/bench"}}, BASE),
        (BASE, {}),
        (BASE, {"torch": {}}),
    ):
        with pytest.raises(Unsupported, match="would not have the base's own torch"):
            image._refuse_touched_base("x", stack, BASE, seen, after)


def test_the_bill_of_materials_is_the_same_for_the_same_image(tmp_path):
    (tmp_path / "Torch_Vision-2.0.1-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "deepspeed-0.8.2.tar.gz").write_bytes(b"source")
    found = {
        "torch-vision": {"version": "2.0.1", "license": "BSD", "folder": "/opt/bench", "record_sha256": "2"},
        "deepspeed": {"version": "0.8.2", "license": None, "folder": "/opt/bench", "record_sha256": "3"},
    }
    debian = ("debian", "12"), [["libc6", "2.36-9", "amd64"], ["libstdc++6", "1:12.2.0-14+deb12u1", "amd64"]]
    pin = lockfile.Program("1.2", "program-1.2", "GPL-2.0-or-later")
    programs = [("program", pin, lockfile.Source("https://host.example/program", "3" * 40, "4" * 40, None), "5" * 64)]
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
        image._commit()
