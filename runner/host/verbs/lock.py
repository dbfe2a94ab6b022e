"""The verb ``lock``: compile requirements, resolve what versions.lock leaves open, and say what could not be reached."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from runner.contract import files
from runner.contract.arguments import verb_parser
from runner.contract.errors import InputError, Unreachable, UsageError
from runner.contract.files import sha256_of_file
from runner.contract.text import printable
from runner.host import paths, writing
from runner.host.pins import agreement, git_source, origins, requirements, silence
from runner.host.readers import lockfile
from runner.host.readers.lockfile import UNRESOLVED

# Requirements that share the edited file of others.
_EDITED = {"build38": "build.in"}


def parser():
    described = verb_parser(
        "lock",
        description="Compile the hash-locked requirements of every stack, resolve what versions.lock leaves open, and say what"
        " could not be reached. What was resolved before is never changed: to move a pin, edit its version or set its value"
        " to unresolved.",
        epilog="Exit codes: 0 all that was asked for answered, 9 something could not be reached; see `python -m runner --help`.",
    )
    described.add_argument(
        "--check", action="store_true", help="only compare the requirements files with the lock, offline"
    )
    described.add_argument("--stack", metavar="STACK", help="only the pins of one stack")
    described.add_argument(
        "--online",
        action="store_true",
        help="with --check, also ask every origin whether what is pinned is still there",
    )
    described.add_argument(
        "--only", choices=("requirements", "packages", "images", "hub", "git"), help="only one kind of pin"
    )
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    paths.need_a_clone("lock")
    if options.online and not options.check:
        raise UsageError("--online goes with --check.")
    lock = lockfile.read()
    if options.stack is not None and options.stack not in lock.stacks:
        raise InputError(f"versions.lock has no stack {options.stack}. Take one of {', '.join(lock.stacks)}.")
    silence.forget()
    if options.check:
        agreement.check(lock)
        number = len(lockfile.requirements_files(lock))
        print(f"{number} requirements files are as versions.lock says; {len(unresolved(lock))} pins are unresolved.")
        return _still_there(lock, options.only, options.stack) if options.online else 0
    steps = {"requirements": _requirements, "packages": _packages, "images": _images, "hub": _hub, "git": _git}
    told = _Told()
    for kind, step in steps.items():
        if options.only in (None, kind):
            for where, ask in step(lockfile.read()):
                if options.stack is None or where[:2] == ("stacks", options.stack):
                    _resolve(where, ask, told)
    for where in unresolved(lockfile.read()):
        print(f"unresolved: {'.'.join(where)}")
    if told.refused:
        raise InputError(
            f"{told.refused} of the pins cannot be resolved as they stand (above); what was resolved stays. Mend them in"
            " versions.lock."
        )
    if told.silent:
        raise Unreachable(
            f"{told.silent} of the origins asked did not answer (above); what was resolved stays. Run it again where they can be reached."
        )
    return 0


@dataclass
class _Told:
    """How many questions were answered with a refusal, such as that there is no such thing, and how many not at all."""

    refused: int = 0
    silent: int = 0


def _still_there(lock, only, stack):
    """Ask the origin of every resolved pin for it, say what is gone, and return the exit code."""
    gone, found, told = 0, 0, _Told()
    for kind, where, ask in _questions_of_existence(lock):
        if only not in (None, kind) or (stack is not None and where[:2] != ("stacks", stack)):
            continue
        try:
            problem = ask()
        except Unreachable as refusal:
            print(f"not reached: {'.'.join(where)}: {refusal}", file=sys.stderr)
            told.silent += 1
            continue
        except InputError as refusal:
            problem = str(refusal)
        if problem:
            print(f"gone: {'.'.join(where)}: {problem}")
            gone += 1
        else:
            found += 1
    print(f"{found} pins are still there, {gone} are not, {told.silent} could not be asked for")
    if gone:
        raise InputError(
            "What is gone (above) cannot be installed again. Set its value to unresolved, or pin another one."
        )
    if told.silent:
        raise Unreachable("Some origins did not answer (above). Run it again where they can be reached.")
    return 0


def _questions_of_existence(lock):
    """Yield (kind, path in the lock, function that returns what is wrong or None)."""
    for name, stack in lock.stacks.items():
        for key in ("image", "interpreter"):
            image = getattr(stack, key)
            if image is not None and image.digest != UNRESOLVED:
                yield "images", ("stacks", name, key, "digest"), lambda image=image: _image_problem(image)
    for where, entry in lockfile.requirements_files(lock).items():
        for one in requirements.read(agreement.text_of(entry, paths.ROOT), entry.file):
            yield "packages", (*where, one.name), lambda one=one, index=entry.index: _package_problem(one, index)
    for name, stack in lock.stacks.items():
        yield "packages", ("stacks", name, "packages"), lambda name=name, stack=stack: _do_not_go_together(name, stack)
    for kind, pins in (("models", lock.models), ("datasets", lock.datasets)):
        for name, pin in pins.items():
            if pin.revision != UNRESOLVED:
                yield (
                    "hub",
                    (kind, name, "revision"),
                    lambda pin=pin, kind=kind: (
                        None
                        if origins.hub_has(kind[:-1], pin.repository, pin.revision)
                        else "the hub has no such revision"
                    ),
                )
    for name, source in lock.sources.items():
        if source.commit != UNRESOLVED:
            yield "git", ("sources", name, "commit"), lambda source=source: _source_problem(source)


def _image_problem(image):
    platform = origins.platform_digest(image.repository, image.digest)
    if platform is None:
        return "the registry has no such digest any more"
    if image.platform not in (platform, UNRESOLVED):
        return f"its linux/amd64 is {platform}, not {image.platform}"
    return None


def _package_problem(requirement, index):
    """Return what is wrong with a locked package on its index, None for nothing."""
    found = origins.index_files(requirement.name, index)
    known = requirement.hashes & set(found)
    if not known:
        return f"the index has no file of {requirement.version} with a locked hash"
    withdrawn = sorted({reason for sha256 in known if (reason := found[sha256]) is not None})
    if withdrawn:
        return f"{requirement.version} was withdrawn: {printable(', '.join(withdrawn), 300) or 'no reason given'}"
    return None


def _do_not_go_together(name: str, stack: lockfile.Stack) -> None:
    """Return None, or raise ``InputError`` where a package of a stack demands another version than the one that is locked.

    What the index does not serve, the base's torch first of all, is there as its name and version alone.
    """
    locked = requirements.read(agreement.text_of(stack.requirements, paths.ROOT), stack.requirements.file)
    given = {
        package: pin.version
        for package, pin in stack.packages.items()
        if pin.version != UNRESOLVED and (package == "torch" or pin.origin != "index")
    }
    requirements.refuse_contradictions(
        stack.requirements.file, stack.python, locked, given, requirements.PLATFORMS.get(name)
    )


def _source_problem(source):
    tree = git_source.commit_tree(source.repository, source.commit)
    return None if source.tree in (tree, UNRESOLVED) else f"its tree is {tree}, not {source.tree}"


def unresolved(lock):
    """Return the paths in the lock of all pins that nobody has resolved yet."""
    pins: dict[tuple[str, ...], str | None] = {
        (*where, "sha256"): entry.sha256 for where, entry in lockfile.requirements_files(lock).items()
    }
    for name, stack in lock.stacks.items():
        for key in ("image", "interpreter"):
            image = getattr(stack, key)
            for part in ("digest", "platform", "inventory") if image else ():
                pins["stacks", name, key, part] = getattr(image, part)
        for package, pin in stack.packages.items():
            pins["stacks", name, "packages", package, "version"] = pin.version
            pins["stacks", name, "packages", package, "sha256"] = pin.sha256
    for kind in ("models", "datasets"):
        pins.update({(kind, name, "revision"): pin.revision for name, pin in getattr(lock, kind).items()})
    pins.update({("models", name, "files"): UNRESOLVED for name, pin in lock.models.items() if pin.files is None})
    for name, source in lock.sources.items():
        pins.update({("sources", name, "commit"): source.commit, ("sources", name, "tree"): source.tree})
    return [where for where, value in pins.items() if value == UNRESOLVED]


def _resolve(where, ask, told):
    """Ask one question, and write its answer into the lock at once."""
    try:
        answer = ask()
    except Unreachable as problem:
        print(f"not reached: {'.'.join(where)}: {problem}", file=sys.stderr)
        told.silent += 1
        return
    except InputError as problem:
        print(f"not there: {'.'.join(where)}: {problem}", file=sys.stderr)
        told.refused += 1
        return
    if answer is None:
        print(f"not there: {'.'.join(where)}: its origin has none", file=sys.stderr)
    elif lockfile.edit(paths.LOCK, {where: answer}):
        print(f"resolved: {'.'.join(where)} is {answer}")


def _requirements(lock):
    """Yield a compilation for each requirements file, stacks first since others are bound to the cpu stack's versions."""
    for name, stack in lock.stacks.items():
        yield ("stacks", name, "requirements", "sha256"), lambda name=name, stack=stack: _compile_stack(name, stack)
        if stack.torch is not None:
            yield ("stacks", name, "torch", "sha256"), lambda name=name, stack=stack: _compile_torch(name, stack)
    for name, entry in lock.requirements.items():
        yield ("requirements", name, "sha256"), lambda name=name, entry=entry: _compile_own(lock, name, entry)


def _compile_stack(name, stack):
    pinned = [
        f"{package}=={pin.version}"
        for package, pin in stack.packages.items()
        if pin.origin == "index" and package != "torch"
    ]
    needs = [
        need
        for package, pin in stack.packages.items()
        if package == "deepspeed" and pin.origin == "source"
        for need in requirements.DEEPSPEED_NEEDS.get(pin.version.rpartition(".")[0], [])
    ]
    target = paths.ROOT / stack.requirements.file
    before = _before(stack.requirements)
    text = requirements.compile_file(
        target,
        stack.python,
        stack.requirements.exclude_newer,
        [*pinned, *requirements.TORCH_NEEDS, *needs],
        [],
        f"stack {name}",
        requirements.PLATFORMS.get(name),
        before=before,
    )
    return _write(target, text, before)


def _compile_torch(name, stack):
    """Compile torch and what the stack's own file leaves out for it: for images, which take it with a hash."""
    own = agreement.text_of(stack.requirements, paths.ROOT)
    target, before = paths.ROOT / stack.torch.file, _before(stack.torch)
    wanted = [f"torch=={stack.packages['torch'].version}"]
    source = f"torch of stack {name}" + (f", index {stack.torch.index}" if stack.torch.index else "")
    day = stack.torch.exclude_newer
    text = requirements.compile_file(
        target,
        stack.python,
        day,
        wanted,
        _versions(own),
        source,
        requirements.PLATFORMS.get(name),
        excluded=(),
        index=stack.torch.index,
        before=before,
    )
    have = {requirement.name for requirement in requirements.read(own)}
    header = text.splitlines(keepends=True)[0]
    made = header + "".join(one.text for one in requirements.read(text) if one.name not in have)
    return _write(target, made, before)


def _compile_own(lock, name, entry):
    """Compile one of the kit's own files. Those that share an environment with the cpu stack take its versions."""
    target = paths.ROOT / entry.file
    edited = target.with_name(_EDITED.get(name, f"{name}.in"))
    names = _edited_lines(edited)
    bounds = [f"{tool}=={version}" for tool, version in lock.tools.items()]
    shared = {"host": ["cpu"], "dev": ["cpu", "host"], "mutation": ["cpu", "host", "dev"]}.get(name, [])
    for other in (other for other in shared if other == "cpu" or other in lock.requirements):
        shared_with = lock.stacks["cpu"].requirements if other == "cpu" else lock.requirements[other]
        bounds += _versions(agreement.text_of(shared_with, paths.ROOT))
    if entry.python == "3.8":
        bounds = []
    before = _before(entry)
    text = requirements.compile_file(
        target, entry.python, entry.exclude_newer, names, bounds, paths.shown(edited), before=before
    )
    return _write(target, text, before)


def _edited_lines(path: Path) -> list[str]:
    """Return the requirements of a file that people edit. Raises ``InputError`` for an address, a path or an option of pip."""
    kept = []
    raw = files.read_bytes(path, agreement.MAX_BYTES, advice="Restore it with `git checkout`.")
    for number, line in enumerate(raw.decode("utf-8", errors="replace").splitlines(), start=1):
        wanted = line.partition("#")[0].strip()
        if not wanted:
            continue
        try:
            one = Requirement(wanted)
        except InvalidRequirement:
            one = None
        if one is None or one.url is not None or not wanted.isascii():
            raise InputError(
                f"{paths.shown(path)}:{number}: {printable(wanted, 200)!r} is no name of a package with versions. Mend that line."
            )
        kept.append(wanted)
    return kept


def _versions(text):
    """Return the requirement lines of a compiled file, with their markers and without hashes."""
    return [line.removesuffix(" \\") for line in text.splitlines() if line and not line.startswith((" ", "#"))]


def _before(entry: lockfile.Requirements) -> str | None:
    """Return the text of an earlier compilation, whose versions stay; None where its pin is unresolved, or the file damaged."""
    if entry.sha256 == UNRESOLVED or not (paths.ROOT / entry.file).exists():
        return None
    text = agreement.text_of(entry, paths.ROOT)
    try:
        requirements.read(text)
    except InputError:
        return None
    return text


def _write(target: Path, text: str, before: str | None) -> str:
    """Write a compilation where it differs from the earlier one, and return the file's sha256."""
    if before is None or [one.text for one in requirements.read(before)] != [
        one.text for one in requirements.read(text)
    ]:
        writing.write_text(target, text)
    return sha256_of_file(target)


def _packages(lock):
    for name, stack in lock.stacks.items():
        for package, pin in stack.packages.items():
            if pin.sha256 == UNRESOLVED and pin.origin == "index":
                yield (
                    ("stacks", name, "packages", package, "sha256"),
                    lambda p=package, v=pin.version, s=stack: _one_hash(s, p, v),
                )


def _one_hash(stack, package, version):
    """Return the hash of a source distribution from its requirements file, where it stands alone, else ask the index."""
    path = paths.ROOT / stack.requirements.file
    text = agreement.text_of(stack.requirements, paths.ROOT) if path.exists() else ""
    known = requirements.pins(text).get(package, {}).get(version, set())
    if len(known) == 1:
        return next(iter(known))
    sha256, yanked = origins.package_sha256(package, version)
    if yanked:
        print(
            f"yanked: {package} {version} was withdrawn by its authors; say in a note why it is kept.", file=sys.stderr
        )
    return sha256


def _images(lock):
    for name, stack in lock.stacks.items():
        for key in ("image", "interpreter"):
            image = getattr(stack, key)
            if image is None:
                continue
            if image.digest == UNRESOLVED:
                yield (
                    ("stacks", name, key, "digest"),
                    lambda image=image: origins.image_digest(image.repository, image.tag),
                )
            elif image.platform == UNRESOLVED:
                yield (
                    ("stacks", name, key, "platform"),
                    lambda image=image: origins.platform_digest(image.repository, image.digest),
                )


def _hub(lock):
    for kind, pins in (("models", lock.models), ("datasets", lock.datasets)):
        for name, pin in pins.items():
            if pin.revision == UNRESOLVED and pin.short is not None:
                yield (
                    (kind, name, "revision"),
                    lambda pin=pin, kind=kind: origins.hub_revision(kind[:-1], pin.repository, pin.short),
                )
    for name, pin in lock.models.items():
        if pin.revision != UNRESOLVED and pin.files is None:
            yield ("models", name, "files"), lambda pin=pin: _files_as_text(pin)


def _files_as_text(pin):
    """Return the large files of a model as a YAML mapping on one line."""
    files = origins.hub_files("model", pin.repository, pin.revision)
    return "{" + ", ".join(f"{name}: {sha256}" for name, sha256 in sorted(files.items())) + "}"


def _git(lock):
    for name, source in lock.sources.items():
        if source.commit == UNRESOLVED and source.branch is not None:
            yield (
                ("sources", name, "commit"),
                lambda source=source: git_source.branch_commit(source.repository, source.branch),
            )
        elif source.tree == UNRESOLVED and source.commit != UNRESOLVED:
            yield (
                ("sources", name, "tree"),
                lambda source=source: git_source.commit_tree(source.repository, source.commit),
            )
