import dataclasses
import multiprocessing
import os
import re
import stat

import pytest

from runner.bench import engines
from runner.contract.errors import InputError, UnresolvedPin
from runner.contract.request import Stack
from runner.host import paths
from runner.host.bump import selection
from runner.host.pins import resolve
from runner.host.readers import catalog, lock_editor, lockfile, strictyaml
from runner.host.stacks import agreement
from tests.support import hostile

ONE, TWO = "1a" * 32, "2b" * 32  # hashes of one repeated digit are refused
TORCH = lockfile.read().stacks["cuda"].packages["torch"].version
BLOOMZ = lockfile.read().models["bloomz"].revision
BUILT = f"{{repository: registry.example/team/cpu, digest: sha256:{ONE}, inputs: {TWO}}}"


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "versions.lock"
    path.write_bytes(paths.LOCK.read_bytes())
    return path


def test_the_lock_holds_the_stacks_and_what_the_benchmark_names():
    lock = lockfile.read()
    tables = catalog.read()
    assert {case.stack for case in tables.cases.values()} <= set(lock.stacks)
    assert {stack.device for stack in lock.stacks.values()} == {"hpu", "cuda", "cpu"}
    assert lock.stacks["gaudi-1.10"].image.tag == "1.10.0-494"
    assert lock.stacks["gaudi-1.9"].packages["transformers"].version == "4.28.1"
    assert {"bloom", "bloomz", "bloomz-7b1", "bloom-560m"} <= set(lock.models)
    assert {row.dataset for row in tables.workloads.values() if row.dataset is not None} <= set(lock.datasets)
    assert lock.sources["optimum-habana-1.8"].commit.startswith("583eff4")


def test_every_stack_has_what_its_own_engine_is_written_for():
    for name, stack in lockfile.read().stacks.items():
        packages = {package: pin.version for package, pin in stack.packages.items()}
        engines.check_packages(
            stack.engine, Stack(name, stack.device, stack.python, stack.launcher, packages, None, None)
        )


def test_what_was_never_found_is_said_to_be_unresolved():
    left = {".".join(where) for where in resolve.unresolved(lockfile.read())}
    assert {
        "stacks.gaudi-1.9.image.digest",
        "stacks.gaudi-1.10.image.digest",
        "sources.habana-deepspeed-1.9.commit",
    } <= left
    with pytest.raises(UnresolvedPin, match="The digest is unresolved in versions.lock. Run `python -m runner lock`"):
        lockfile.need("unresolved", "The digest")


def test_every_requirements_file_is_the_one_that_the_lock_names():
    agreement.refuse_contradictions(lockfile.read(), paths.ROOT)


def test_a_changed_requirements_file_is_noticed(tmp_path):
    for name in ("images", "requirements"):
        for file in (paths.ROOT / name).rglob("*.txt"):
            target = tmp_path / file.relative_to(paths.ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    agreement.refuse_contradictions(lockfile.read(), tmp_path)
    changed = tmp_path / "images" / "cpu" / "requirements-cpu.txt"
    changed.write_text(changed.read_text().replace("a", "b", 1))
    with pytest.raises(InputError, match="images/cpu/requirements-cpu.txt was changed since versions.lock was written"):
        agreement.refuse_contradictions(lockfile.read(), tmp_path)
    changed.unlink()
    with pytest.raises(InputError, match="images/cpu/requirements-cpu.txt is missing"):
        agreement.refuse_contradictions(lockfile.read(), tmp_path)


def test_a_requirements_file_whose_pins_moved_is_not_said_to_have_been_changed():
    entry = dataclasses.replace(lockfile.read().requirements["host"], sha256="unresolved")
    with pytest.raises(InputError, match="requirements/host.txt is not compiled from what versions.lock pins now"):
        agreement.locked_text(entry)


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("schema: 1", "schema: 2", "has another schema than 1"),
        ("\n  buildah:", "\n  buildah-2:", "tools has no 'buildah'"),
        ("\n  build38:", "\n  build39:", "requirements has no 'build38'"),
        ("\n  cpu:\n", "\n  cpu-2:\n", "stacks has no 'cpu'"),
        (
            f"\n      torch:\n        version: {TORCH}\n        from: index\n",
            f"\n      torch2:\n        version: {TORCH}\n        from: index\n",
            "and no torch in packages",
        ),
        ("    device: hpu", "    device: tpu", "'device' is 'tpu'; it must be one of cpu, cuda, hpu"),
        (
            "      digest: unresolved",
            "      digest: latest",
            "'digest' must be sha256: and 64 hex digits or unresolved",
        ),
        ("    launcher: deepspeed", "    launcher: mpirun", "'launcher' is 'mpirun'"),
        ("    launcher: deepspeed\n", "", "the key 'launcher' is missing"),
        ("    launcher: deepspeed", "    launcher: deepspeed\n    lancher: x", "the key 'lancher' is unknown"),
        (
            "        source: habana-deepspeed-1.9",
            "        source: nowhere",
            "builds deepspeed from 'nowhere', which is no entry",
        ),
        ("    engine: plain", "    engine: fast", "'engine' is 'fast'; it must be one of compiled, kernel-injection"),
        ("built: {}", f"built: {{none: {BUILT}}}", "built has 'none', which is no entry of stacks"),
        (
            "built: {}",
            f"built: {{cpu: {BUILT.replace('sha256:1', 'sha256:x')}}}",
            "'digest' must be sha256: and 64 hex",
        ),
        ("built: {}", f"built: {{cpu: {BUILT.replace('inputs: 2', 'inputs: x')}}}", "'inputs' must be a sha256 in hex"),
        ("exclude_newer: 2023-06-15", "exclude_newer: June", "'exclude_newer' must be a day"),
        (
            f"revision: {BLOOMZ}",
            f"revision: {BLOOMZ[:7]}",
            "'revision' must be 40 hex digits or unresolved",
        ),
        ("version: 4.28.1", "version: ^4", "'version' must be a version or unresolved, '^4' was found"),
        ("  uv:\n    version: ", "  uv:\n    version: ^", "'version' must be a version or unresolved, '^"),
        ("  build:\n    python: 3", "  build:\n    python: 2", "'python' must be a Python such as 3.8, '2."),
        (
            "    device: hpu\n    python: 3",
            "    device: hpu\n    python: 2",
            "'python' must be a Python such as 3.8, '2.",
        ),
        ("\n    sha256: ", "\n    sha256: x", "'sha256' must be a sha256 in hex or unresolved, 'x"),
        ("\n        sha256: ", "\n        sha256: x", "'sha256' must be a sha256 in hex or unresolved, 'x"),
        ("        from: base", "        from: base\n        sha256: unresolved", "the key 'sha256' is unknown"),
        ("        from: base", "        from: base\n        source: x", "the key 'source' is unknown"),
        ("        from: base", "        from: home", "'from' is 'home'; it must be one of base, index, source"),
        (
            "    files: unresolved",
            "    files: none",
            "'files' must be a mapping of names to sha256, or unresolved; 'none'",
        ),
        ("    files: unresolved", "    files: [a.bin]", "'files' must be text or a mapping, a list was found"),
        ("    files: unresolved", "    files: {a.bin: 12}", "'a.bin' must be a sha256 in hex, '12' was found"),
        ("    commit: ", "    commit: x", "'commit' must be 40 hex digits or unresolved, 'x"),
        (
            "        source: pdsh-2.31",
            "        source: none",
            "gaudi-1.8 builds pdsh from 'none', which is no entry of sources.",
        ),
        ("        license: GPL", "        licence: GPL", "'license' is missing"),
        ("    tree: ", "    tree: x", "'tree' must be 40 hex digits or unresolved, 'x"),
    ],
)
def test_a_damaged_lock_is_refused_with_its_place(copy, old, new, problem):
    text = copy.read_text()
    assert old in text
    copy.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        lockfile.read(copy)
    assert problem in str(caught.value)
    assert str(caught.value).startswith(str(copy))


@pytest.mark.parametrize("damage", ["files: none", "files: [a.bin]", "files: {a.bin: 12}"])
def test_damaged_files_are_refused_with_their_line(copy, damage):
    copy.write_text(copy.read_text().replace("files: unresolved", damage, 1))
    line = copy.read_text().split(damage)[0].count("\n") + 1
    with pytest.raises(InputError, match=rf"{re.escape(str(copy))}\.models\.bloom(\.files)? \(line {line}\): "):
        lockfile.read(copy)


def told(entry, **defaults):
    """Return an entry as it stands in the file, without its note, over what it may leave out."""
    return {**defaults, **{key: value for key, value in entry.items() if key != "note"}}


def test_what_is_read_is_what_stands_there(copy):
    digits = "0123456789abcdef" * 4
    files = f"{{model.bin: {digits}, other.bin: {digits[::-1]}}}"
    assert lock_editor.edit(copy, {("models", "bloom", "files"): files})
    lock, raw = lockfile.read(copy), strictyaml.read(copy)
    assert lock.models["bloom"].files == {"model.bin": digits, "other.bin": digits[::-1]}
    assert lock.models["bloomz"].files is None
    assert lock.tools == {name: entry["version"] for name, entry in raw["tools"].items()}
    for name, entry in lock.requirements.items():
        assert vars(entry) == told(raw["requirements"][name], index=None)
    for name, stack in lock.stacks.items():
        entry = raw["stacks"][name]
        for key in ("device", "python", "launcher", "engine"):
            assert getattr(stack, key) == entry[key]
        assert stack.platform == entry.get("platform")
        assert vars(stack.image) == told(entry["image"], inventory=None, tags=None)
        assert vars(stack.requirements) == told(entry["requirements"], python=entry["python"], index=None)
        for package, pin in stack.packages.items():
            asked = told(entry["packages"][package], sha256=None, source=None, hold=None)
            assert vars(pin) == {"origin": asked.pop("from"), **asked}
        programs = entry.get("programs", {})
        assert {program: vars(pin) for program, pin in stack.programs.items()} == {
            program: told(programs[program]) for program in programs
        }
    for name, pin in lock.models.items():
        assert vars(pin) == {**told(raw["models"][name], short=None), "files": pin.files}
    for name, pin in lock.datasets.items():
        assert vars(pin) == told(raw["datasets"][name], short=None, files=None)
    for name, source in lock.sources.items():
        assert vars(source) == told(raw["sources"][name], branch=None, tag=None, tags=None)
    for name, action in lock.actions.items():
        assert vars(action) == told(raw["actions"][name])


def test_images_that_were_pushed_are_known_by_their_digest(copy):
    assert lockfile.read(copy).built == {}
    assert lock_editor.edit(copy, {("built",): f"{{cpu: {BUILT}}}"})
    (built,) = lockfile.read(copy).built.values()
    assert built.reference == f"registry.example/team/cpu@sha256:{ONE}"
    assert built.inputs == TWO
    assert lock_editor.edit(copy, {("built",): "{}"})
    assert copy.read_bytes() == paths.LOCK.read_bytes()


def test_an_edit_changes_one_value_and_nothing_else(copy):
    before = copy.read_text()
    digest = f"sha256:{ONE}"
    assert lock_editor.edit(copy, {("stacks", "gaudi-1.8", "image", "digest"): digest})
    assert copy.read_text() == before.replace("digest: unresolved", f"digest: {digest}", 1)
    assert lockfile.read(copy).stacks["gaudi-1.8"].image.reference.endswith(f"@{digest}")
    assert not lock_editor.edit(copy, {("stacks", "gaudi-1.8", "image", "digest"): digest})


def test_an_edit_that_would_damage_the_lock_changes_nothing(copy):
    before = copy.read_bytes()
    with pytest.raises(InputError):
        lock_editor.edit(copy, {("stacks", "gaudi-1.9", "image", "digest"): "not a digest"})
    assert copy.read_bytes() == before
    assert list(copy.parent.iterdir()) == [copy]


def test_many_values_are_edited_at_once_whatever_their_order_and_length(copy):
    before = copy.read_text()
    changes = {("models", "bloom", "files"): "{a.bin: " + ONE + "}", ("models", "bloomz", "revision"): "2b" * 20}
    changes["tools", "uv", "version"] = "0.1"
    for some in (changes, dict(reversed(changes.items()))):
        copy.write_text(before)
        assert lock_editor.edit(copy, some)
        lock = lockfile.read(copy)
        assert lock.models["bloom"].files == {"a.bin": ONE}
        assert (lock.models["bloomz"].revision, lock.tools["uv"]) == ("2b" * 20, "0.1")
        assert copy.read_text().count("\n") == before.count("\n")


def test_a_lock_that_cannot_be_parsed_is_not_edited(copy):
    copy.write_text("tools: [")
    with pytest.raises(InputError) as caught:
        lock_editor.edit(copy, {("tools", "uv", "version"): "0.1"})
    assert str(caught.value).startswith(f"{copy}:1: not YAML")
    assert copy.read_text() == "tools: ["


def test_a_pin_that_is_resolved_is_returned():
    assert lockfile.need("1.0", "x") == "1.0"


@pytest.mark.parametrize("version", ["1.0", "2.0.1a0+git7", "1!2.0-RC1", "unresolved"])
def test_a_version_may_be_any_that_a_package_has(copy, version):
    assert lock_editor.edit(copy, {("tools", "uv", "version"): version})
    assert lockfile.read(copy).tools["uv"] == version


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the document of a lock in which every key that a lock may have stands somewhere."""
    path = tmp_path_factory.mktemp("lock") / "versions.lock"
    text = paths.LOCK.read_text().replace("built: {}", f"built: {{cpu: {BUILT}}}")
    path.write_text(text.replace("files: unresolved", f"files: {{model.bin: {ONE}}}", 1))
    return strictyaml.read(path)


def kinds(document):
    """Return one path in the lock of each kind of text: entries of a table are alike."""
    return list({(where[0], len(where), where[-1]): where for where in hostile.leaves(document)}.values())


def test_no_text_of_the_lock_can_become_an_option_an_address_or_another_path(whole):
    """Only notes are free text: nothing but people reads them."""
    hashes = ("sha256", "digest", "platform", "inventory", "commit", "tree", "revision", "inputs")
    found = kinds(whole)
    assert len(found) > 45
    for where in found:
        zeros = where[-1] in hashes or "files" in where
        for text in hostile.TEXTS:
            if where[-1] == "note" or (set(text.removeprefix("sha256:")) == {"0"} and not zeros):
                continue
            with pytest.raises(InputError):
                pytest.fail(
                    f"{where} took {text!r}: {lockfile.parse(hostile.with_text(whole, where, text), paths.LOCK)}"
                )


def test_no_name_in_the_lock_can_become_an_option_an_address_or_another_path(whole):
    tables = {where[:-1] for where in hostile.leaves(whole)} - {()}
    for where in {(where[0], len(where)): where for where in tables}.values():
        for text in hostile.TEXTS:
            if set(text.removeprefix("sha256:")) != {"0"}:
                with pytest.raises(InputError):
                    pytest.fail(
                        f"{where} took {text!r}: {lockfile.parse(hostile.with_key(whole, where, text), paths.LOCK)}"
                    )


@pytest.mark.parametrize("note", ["a\x1b[2J", "a\u200bb", "a\u202eb", "a\nb", "e\u0301"])
def test_a_note_holds_nothing_that_cannot_be_seen(whole, note):
    changed = hostile.with_text(whole, ("tools", "uv", "note"), note)
    with pytest.raises(InputError, match=r"tools\.uv \(line [0-9]+\): 'note' must be text on one line"):
        lockfile.parse(changed, paths.LOCK)


@pytest.mark.parametrize(
    "where, text",
    [
        (("sources", "post", "repository"), "ssh://git@host.example:22/team/post.git"),
        (("sources", "post", "repository"), "file:///srv/git/post"),
        (("stacks", "cpu", "torch", "index"), "http://127.0.0.1:8080/simple"),
        (("stacks", "cpu", "image", "repository"), "localhost:5000/a/b__c"),
        (("sources", "habana-deepspeed-1.9", "branch"), "release/1.9.0"),
        (("models", "bloom", "repository"), "gpt2"),
    ],
)
def test_what_people_really_have_is_taken(whole, where, text):
    lockfile.parse(hostile.with_text(whole, where, text), paths.LOCK)


def test_a_requirements_file_lies_in_the_repository_and_belongs_to_one_entry(copy, monkeypatch, tmp_path):
    text = copy.read_text()
    copy.write_text(text.replace("file: requirements/dev.txt", "file: requirements/host.txt"))
    with pytest.raises(InputError, match="requirements.host and requirements.dev both name requirements/host.txt"):
        lockfile.read(copy)
    copy.write_text(text)
    outside = tmp_path / "outside"
    (outside / "requirements").mkdir(parents=True)
    root = tmp_path / "root"
    root.mkdir()
    (root / "requirements").symlink_to(outside / "requirements")
    monkeypatch.setattr(paths, "ROOT", root)
    with pytest.raises(InputError, match="requirements/build.txt is a link that leads out of the repository"):
        lockfile.read(copy)


def test_an_edit_keeps_link_mode_and_every_other_file(copy, tmp_path):
    real = tmp_path / "elsewhere" / "pins"
    real.parent.mkdir()
    copy.rename(real)
    copy.symlink_to(real)
    real.chmod(0o640)
    foreign = tmp_path / ".versions.lock.tmp"  # the name that every edit once took
    foreign.write_text("someone's")
    assert lock_editor.edit(copy, {("tools", "uv", "version"): "0.1"})
    assert copy.is_symlink() and lockfile.read(copy).tools["uv"] == "0.1"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert foreign.read_text() == "someone's"
    assert sorted(path.name for path in (*tmp_path.iterdir(), *real.parent.iterdir())) == [
        *(".versions.lock.tmp", "elsewhere", "pins", "versions.lock"),
    ]


def _edit_many(path, tool, versions):
    for version in versions:
        lock_editor.edit(path, {("tools", tool, "version"): version})


def test_two_writers_lose_nothing(copy):
    """Each changes its own pin many times; without a lock one writes over the other's within a few tries."""
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=_edit_many, args=(copy, tool, [f"1.{number}" for number in range(6)]))
        for tool in ("uv", "pip", "wheel")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    tools = lockfile.read(copy).tools
    assert (tools["uv"], tools["pip"], tools["wheel"]) == ("1.5", "1.5", "1.5")
    assert list(copy.parent.iterdir()) == [copy]


@pytest.mark.parametrize(
    "where, value",
    [
        (("models", "bloom", "files"), "{a.bin: " + ONE + "}\n    short: 1234567"),
        (("tools", "uv", "version"), '"0.1"\n    note: "x"'),
        (("tools", "none", "version"), "0.1"),
        (("tools", "uv", "licence"), "0.1"),
        (("stacks", "cpu"), "{}"),
    ],
)
def test_a_value_that_would_change_more_than_its_place_is_refused(copy, where, value):
    before = copy.read_bytes()
    with pytest.raises(InputError):
        lock_editor.edit(copy, {where: value})
    assert copy.read_bytes() == before


@pytest.mark.parametrize("kind", ["fifo", "folder", "dangling", "loop"])
def test_a_lock_that_is_no_file_is_refused_at_once(copy, kind):
    copy.unlink()
    if kind == "fifo":
        os.mkfifo(copy)
    elif kind == "folder":
        copy.mkdir()
    else:
        copy.symlink_to(copy if kind == "loop" else copy.with_name("none"))
    for ask in (lockfile.read, lambda path: lock_editor.edit(path, {("tools", "uv", "version"): "0.1"})):
        with pytest.raises(InputError, match="cannot be read: "):
            ask(copy)


def test_the_notes_stand_at_the_paths_of_their_entries(tmp_path):
    path = tmp_path / "versions.lock"
    path.write_text("tools:\n  uv:\n    version: 1\n    note: why\nstacks:\n  note:\n    image:\n      note: 'a: b'\n")
    assert lockfile.notes(path) == {("tools", "uv"): "why", ("stacks", "note", "image"): "a: b"}
    real = lockfile.notes()
    assert "ALiBi" in real["stacks", "cpu", "packages", "transformers"]
    assert ("stacks", "cpu", "packages", "deepspeed") in real and ("stacks", "cpu") not in real


def test_tags_that_may_follow_match_the_tag_that_is_pinned():
    """Else nothing could be called newer than the tag."""
    lock = lockfile.read()
    patterns_and_tags = [(image.tags, image.tag) for image in lockfile.images(lock).values()]
    patterns_and_tags += [(source.tags, source.tag) for source in lock.sources.values() if source.tag is not None]
    compared = [(pattern, tag) for pattern, tag in patterns_and_tags if pattern is not None]
    assert len(compared) >= 3
    assert all(selection.matches(pattern, tag) for pattern, tag in compared)
