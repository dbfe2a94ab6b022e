"""The verb ``image``: build the image of a stack from what versions.lock pins, look into it, and push it if asked to."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runner.contract import patterns
from runner.contract.arguments import verb_parser
from runner.contract.errors import InputError, KitError, UnresolvedPin, Unsupported, UsageError
from runner.contract.files import sha256_of_file
from runner.host import paths
from runner.host.images import build_context, buildah, sbom
from runner.host.pins import requirements, silence
from runner.host.readers import lockfile

BUILD = paths.BUILD
PYTHON = "/opt/bench/bin/python"

# What an image is made of lies in these; a change elsewhere does not make a checkout another one.
_DECIDES = ("LICENSE", "images", "requirements", "runner", "versions.lock")


def parser():
    described = verb_parser(
        "image",
        description="Build the image of each STACK (default: all) with buildah: base by digest, packages by hash, no network"
        " while it builds, all times those of the commit. What was built, and an SBOM of it, go below build/images. A stack"
        " with an unresolved pin is named and left out.",
        epilog="Exit codes: 4 a stack has an unresolved pin, 9 an index or registry did not answer; see `python -m runner --help`.",
    )
    described.add_argument("stacks", nargs="*", metavar="STACK", help="a stack of versions.lock")
    described.add_argument(
        "--push", metavar="REGISTRY/TEAM", help="push each image there and write its digest into versions.lock (built)"
    )
    described.add_argument(
        "--check", action="store_true", help="build nothing; say, offline, which pushed images are not of these inputs"
    )
    described.add_argument(
        "--base",
        metavar="IMAGE",
        help="a local image that stands in for the pinned base, of one STACK; what comes of it says so and is never pushed",
    )
    described.add_argument(
        "--interpreter", metavar="IMAGE", help="with --base: a local image whose Python it takes, where it has none"
    )
    described.add_argument(
        "--source",
        metavar="NAME=FOLDER",
        action="append",
        default=[],
        help="a local copy of a git repository of versions.lock's sources; commit and tree are checked",
    )
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    paths.need_a_clone("image")
    lock = lockfile.read()
    names = options.stacks or list(lock.stacks)
    for name in names:
        if name not in lock.stacks:
            raise InputError(f"{name} is no stack of versions.lock. Take one of {', '.join(lock.stacks)}.")
    if options.check:
        return _check(lock, names)
    if options.base and (len(names) != 1 or options.push):
        raise InputError(
            "--base takes one STACK, and what it makes is never pushed. Leave out --push and name the stack."
        )
    if options.interpreter and not options.base:
        raise InputError("--interpreter goes with --base.")
    for flag, form, value in (
        ("--push", patterns.REPOSITORY, options.push),
        ("--base", patterns.LOCAL_IMAGE, options.base),
        ("--interpreter", patterns.LOCAL_IMAGE, options.interpreter),
    ):
        problem = None if value is None else patterns.problem(form, value)
        if problem is not None:
            raise UsageError(f"{flag} {problem}. See `python -m runner image --help`.")
    checkouts = _checkouts(options.source, lock)
    silence.forget()
    failures: list[KitError] = []
    for name in names:
        try:
            built = build(lock, name, options.base, options.interpreter, checkouts)
            print(f"{name}: {built.image} of {built.base}, {built.packages} packages, {built.bytes / 1e6:.0f} MB")
        except (UnresolvedPin, Unsupported) as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            failures.append(problem)
            continue
        if options.push:
            print(_push(name, built, options.push))
    if failures:
        raise failures[0]
    return 0


def _checkouts(given: list[str], lock: lockfile.Lock) -> dict[str, Path]:
    """Return the folders of NAME=FOLDER; git is run elsewhere, so that they are made absolute."""
    found = {}
    for pair in given:
        name, _, folder = pair.partition("=")
        if name not in lock.sources:
            raise InputError(f"--source takes NAME=FOLDER; NAME is one of {', '.join(lock.sources)}.")
        if not folder or not Path(folder).is_dir():
            raise InputError(f"--source {name}: {folder!r} is no folder. Name a local copy of its git repository.")
        found[name] = Path(folder).resolve()
    return found


@dataclass(frozen=True)
class Image:
    """What was built: ``image`` is its local id, ``base`` the reference it stands on, ``inputs`` the hash of what it came from."""

    image: str
    tag: str
    base: str
    pinned: bool
    revision: str
    inputs: str
    packages: int
    bytes: int


def build(lock, name, stand_in=None, stand_in_interpreter=None, checkouts=None, folder=None):
    """Build the image of a stack and return what was built; ``image.json`` and ``sbom.json`` in ``folder`` say it too.

    ``stand_in`` is a local image in place of the pinned base, ``stand_in_interpreter`` one in place of the image that brings
    Python (the stand-in itself, unless named); ``checkouts`` maps sources to local copies. Raises ``UnresolvedPin`` before
    anything is fetched where a pin is unresolved.
    """
    stack = lock.stacks[name]
    base = stand_in or _pinned_base(name, stack)
    for built_of_it, source in stack.sources.items():
        lockfile.need(lock.sources[source].commit, f"The commit of {source}, which {built_of_it} is built from,")
    interpreter = base if stack.interpreter is None else stack.interpreter.reference
    if stand_in:
        interpreter = stand_in_interpreter or stand_in
    folder = folder or BUILD / "images" / name
    shutil.rmtree(folder, ignore_errors=True)
    if stand_in is None:
        for reference in {base, interpreter}:
            buildah.pull(reference)
    python, glibc = _ask_base(name, stack, base, interpreter)
    own = buildah.ask(interpreter, "sh", "-c", "command -v python3").strip()
    below = _ask_packages(base, own, paths.ROOT) if _uses_base(stack) else None
    inventory = None if below is None else json.dumps(below, indent=1, sort_keys=True) + "\n"
    revision, epoch = _commit()
    inputs = _inputs(lock, name, stand_in)
    wheelhouse = BUILD / "wheels" / f"{name}-{python}-{glibc}"
    build_context.gather(stack, lock, python, glibc, wheelhouse, folder / "context", checkouts or {}, inventory)
    labels = {
        "org.opencontainers.image.title": f"bloomz-bench {name}",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.base.name": stand_in or f"{stack.image.repository}:{stack.image.tag}",
        **({} if stand_in else {"org.opencontainers.image.base.digest": stack.image.digest}),
        "bloomz-bench.base": "stand-in" if stand_in else "pinned",
        "bloomz-bench.builder": f"buildah {buildah.version()}",
        "bloomz-bench.inputs": inputs,
        "bloomz-bench.lock": sha256_of_file(paths.LOCK),
        "bloomz-bench.stack": name,
    }
    tag = f"localhost/bloomz-bench/{name}:latest"
    arguments = {"BASE": base, "INTERPRETER": interpreter, "SOURCE_DATE_EPOCH": str(epoch)}
    if "ARG INTERPRETER" not in build_context.dockerfile(stack).read_text(encoding="utf-8"):
        del arguments["INTERPRETER"]
    image = buildah.build(folder / "context", tag, arguments, labels, epoch)
    packages = _ask_packages(image, PYTHON)
    if below is not None:
        _refuse_touched_base(name, stack, below, packages, _ask_packages(image, own))
        if stand_in is None:
            _resolve_from_base(name, stack, image, inventory, packages)
    programs = [
        (program, pin, lock.sources[pin.source], _sha256(image, program)) for program, pin in stack.programs.items()
    ]
    distribution, debian = _debian(image)
    bill = sbom.bill(name, packages, folder / "context" / "wheels", distribution, debian, epoch, programs)
    (folder / "sbom.json").write_text(bill, encoding="utf-8")
    built = Image(image, tag, base, stand_in is None, revision, inputs, len(packages), buildah.size(image))
    (folder / "image.json").write_text(json.dumps(vars(built), indent=2) + "\n", encoding="utf-8")
    return built


def _uses_base(stack):
    return any(pin.origin == "base" for pin in stack.packages.values())


def _ask_base(name, stack, base, interpreter):
    """Return the versions of the interpreter's Python and of the base's C library."""
    python = buildah.ask(interpreter, "python3", "-c", "import platform; print(platform.python_version())").strip()
    found, wanted = ([int(part) for part in text.split(".")[:2]] for text in (python, stack.python))
    if found < wanted or (found != wanted and name in requirements.PLATFORMS):
        raise Unsupported(f"The base has Python {python}; {name} is locked for {stack.python}. Name another base.")
    return python, buildah.ask(base, "getconf", "GNU_LIBC_VERSION").split()[1]


def _ask_packages(image, python, kit=None):
    """Return ``inventory.listing()`` of an image; ``kit`` is a folder with the runner, for an image that has none."""
    code = "import json; from runner.bench import inventory; print(json.dumps(inventory.listing()))"
    command = f"PYTHONPATH=/opt/kit${{PYTHONPATH:+:$PYTHONPATH}} PYTHONDONTWRITEBYTECODE=1 {python} -c '{code}'"
    return json.loads(buildah.ask(image, "sh", "-c", command, volumes={kit: "/opt/kit"} if kit else {}))


def _refuse_touched_base(name, stack, before, seen, after):
    """Raise ``Unsupported`` unless the base's packages are as they were, and those that the stack takes are what is imported."""
    changed = sorted(package for package in {*before, *after} if before.get(package) != after.get(package))
    covered = [
        package
        for package, pin in stack.packages.items()
        if pin.origin == "base" and seen.get(package) != before.get(package)
    ]
    if changed or covered:
        raise Unsupported(
            f"The image of {name} would not have the base's own {', '.join(changed or covered)}. Take it out of the lock's"
            " requirements: add it to EXCLUDED in runner/host/pins/requirements.py and run `python -m runner lock`."
        )


def _resolve_from_base(name, stack, image, inventory, packages):
    """Write into the lock what only the pinned base could tell, and refuse a base that is not what the lock says."""
    sha256 = hashlib.sha256(inventory.encode()).hexdigest()
    if stack.image.inventory not in (sha256, lockfile.UNRESOLVED):
        raise Unsupported(f"The packages of {name}'s base are not those that versions.lock lists by their hash.")
    resolved: dict[tuple[str, ...], str] = {("stacks", name, "image", "inventory"): sha256}
    wheels = dict(line.split() for line in buildah.ask(image, "cat", "/opt/bench/built.txt").splitlines())
    for package, pin in stack.packages.items():
        if pin.origin == "base" and pin.version == lockfile.UNRESOLVED and package in packages:
            resolved["stacks", name, "packages", package, "version"] = packages[package]["version"]
        if pin.origin == "source" and pin.sha256 == lockfile.UNRESOLVED:
            resolved["stacks", name, "packages", package, "sha256"] = wheels[package]
    lockfile.edit(paths.LOCK, resolved)


def _pinned_base(name, stack):
    lockfile.need(stack.image.digest, f"The base image of {name} ({stack.image.repository}:{stack.image.tag})")
    return stack.image.reference


def _commit():
    """Return the commit of this checkout, with -dirty where files differ from it, and its time in Unix seconds."""

    def git(*arguments):
        done = subprocess.run(["git", "-C", str(paths.ROOT), *arguments], capture_output=True, encoding="utf-8")
        return done.stdout.strip() if done.returncode == 0 else None

    revision, time = git("rev-parse", "HEAD"), git("log", "-1", "--format=%ct")
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or time
    if epoch is None:
        raise InputError("This is no git checkout, so the time of its commit is not known. Set SOURCE_DATE_EPOCH.")
    if not (epoch.isascii() and epoch.isdigit() and len(epoch) < 12):
        raise InputError(f"SOURCE_DATE_EPOCH is {epoch[:60]!a}, and must be seconds since 1970. Mend it, or unset it.")
    dirty = "-dirty" if git("status", "--porcelain", "--", *_DECIDES) else ""
    return f"{revision}{dirty}" if revision else "unknown", int(epoch)


def _debian(image):
    """Return what an image's distribution is, as ("debian", "12"), and [name, version, architecture] of all its packages."""
    distribution = buildah.ask(image, "sh", "-c", '. /etc/os-release; echo "$ID $VERSION_ID"').split()
    said = buildah.ask(image, "dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\\n")
    return distribution, [line.split() for line in said.splitlines()]


def _sha256(image, program):
    return buildah.ask(image, "sha256sum", f"{sbom.PROGRAMS}/{program}").split()[0]


def _push(name, built, team):
    """Push an image and write it into the lock; return what to print. Refused for what nobody could build again."""
    if built.revision.endswith("-dirty") or built.revision == "unknown":
        raise InputError(f"{name} was not pushed: it holds changes that no commit has. Commit them and build again.")
    wanted, found = lockfile.read().tools["buildah"], buildah.version()
    if found != wanted:
        raise InputError(
            f"{name} was not pushed: buildah {found} built it, and versions.lock says {wanted}. Install that one, or move the pin."
        )
    repository = f"{team}/bloomz-bench-{name}"
    digest = buildah.push(built.image, f"docker://{repository}:{built.revision}")
    entries = {other: vars(entry) for other, entry in lockfile.read().built.items()}
    entries[name] = {"repository": repository, "digest": digest, "inputs": built.inputs}
    lockfile.edit(paths.LOCK, {("built",): _braces({other: _braces(one) for other, one in sorted(entries.items())})})
    return f"{name}: pushed as {repository}@{digest}, and written into versions.lock"


def _braces(entries):
    return "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"


def _check(lock, names):
    """Say which pushed images are no longer of this checkout's inputs; raise ``InputError`` if one is not."""
    stale = []
    for name in names:
        entry = lock.built.get(name)
        if entry is None:
            print(f"{name}: no image was pushed")
        elif entry.inputs == _inputs(lock, name):
            print(f"{name}: {entry.reference} is of these inputs")
        else:
            print(f"{name}: {entry.reference} is of other inputs")
            stale.append(name)
    if stale:
        raise InputError(
            f"What {', '.join(stale)} was built from has changed since. Build and push again: `make images PUSH=registry/team`."
        )
    return 0


def _inputs(lock, name, stand_in=None):
    """Return the hash of all that decides the image of a stack: files, and the pins that no file of it holds."""
    stack = lock.stacks[name]
    pins = [stand_in or stack.image.digest, lock.tools["buildah"]]
    pins += [stack.interpreter.digest] if stack.interpreter else []
    pins += [lock.sources[source].commit for source in stack.sources.values()]
    return build_context.inputs(name, lock, pins)
