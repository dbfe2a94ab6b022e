"""The verb ``render``: write the Kubernetes manifests of every set below k8s/, or those for one cluster into a folder of the user.

With the manifests below k8s/ it writes runner/contract/accelerators.json, which the containers read.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import patterns, secrets
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, UsageError
from runner.contract.files import NotRegular, open_regular, reason
from runner.contract.path_lists import refuse_unlistable
from runner.contract.patterns import Form
from runner.contract.records import JsonObject
from runner.host import pairs, paths, writing
from runner.host.manifests import check, nodefeatures, plan, products, sets, text
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.objects import names
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles
from runner.host.readers.lockfile import Lock
from runner.host.readers.profiles import Set

MAX_BYTES = 64 * 1024 * 1024
NUMBER = Form(re.compile("[1-9][0-9]{0,8}"), "a whole number above 0")
EFFECT = Form(re.compile("NoSchedule|PreferNoSchedule|NoExecute"), "NoSchedule, PreferNoSchedule or NoExecute")


@dataclass(frozen=True)
class FolderWritten(Event, word="folder"):
    """The manifests of a set were written into a folder."""

    path: str = field(metadata=fact("path of the folder"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.path


@dataclass(frozen=True)
class StackIsDraft(Complaint, word="draft"):
    """The Jobs of a stack cannot be pulled yet, because its image stands nowhere by digest."""

    stack: str = field(metadata=fact("name of the stack"))
    message: str = field(metadata=fact("what is missing, and what to run"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.stack}: {self.message}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    described = verb_parser(
        "render",
        description="Write the manifests of all sets of runner/catalog/profiles.yaml, made from the catalog and the lock alone. A stack"
        " whose image stands nowhere by digest gets a name that cannot be pulled, and a line here says what to run.",
    )
    described.add_argument("sets", nargs="*", metavar="SET", help="only these sets (default: all)")
    described.add_argument(
        "--out", metavar="FOLDER", type=Path, default=paths.K8S, help="where files go (default: k8s)"
    )
    described.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file differs from what would be written"
    )
    add_json(described, "each written folder")
    yours = described.add_argument_group("your cluster (with --out: what is checked in fits any)")
    yours.add_argument("--namespace", metavar="NAME", help="a namespace that exists, instead of one of the kit's own")
    yours.add_argument(
        "--registry", metavar="PREFIX", help="where you mirrored the images to, digests kept: PREFIX/NAME@sha256:..."
    )
    yours.add_argument(
        "--image", metavar="STACK=REF", action="append", default=[], help="an image of yours by digest; repeatable"
    )
    yours.add_argument("--storage-class", metavar="NAME", help="of both volumes (default: the cluster's own)")
    yours.add_argument("--access-mode", choices=("ReadWriteOnce", "ReadWriteMany"), default="ReadWriteOnce")
    yours.add_argument("--queue", metavar="NAME", help="a Kueue LocalQueue, as a label on what asks for devices")
    yours.add_argument(
        "--node-selector", metavar="K=V", action="append", default=[], help="instead of the kit's labels; repeatable"
    )
    yours.add_argument(
        "--toleration", metavar="K[=V][:EFFECT]", action="append", default=[], help="one more; repeatable"
    )
    yours.add_argument(
        "--resource",
        metavar="NAME=N",
        action="append",
        default=[],
        help="one more that each bench pod asks for, such as vpc.amazonaws.com/efa=4; repeatable",
    )
    yours.add_argument(
        "--variable",
        metavar="K=V",
        action="append",
        default=[],
        help="one more of the environment of each bench, on all its nodes, such as HCCL_SOCKET_IFNAME=eth0; repeatable",
    )
    yours.add_argument("--runtime-class", metavar="NAME", help="where the devices' runtime is not the node's default")
    yours.add_argument("--priority-class", metavar="NAME")
    yours.add_argument(
        "--platform-ids", action="store_true", help="let the platform choose user and group, as OpenShift does"
    )
    return described


def main(arguments: list[str]) -> int:
    """Write the files that the arguments ask for, or compare them with those that are there, and return the exit code.

    Raises ``UsageError`` for an unknown set and for a cluster's own set in the folder of the checked-in ones, ``InputError`` for files
    that differ under ``--check``, and what ``plan.make`` raises.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    refuse_unlistable(options.out, "--out")
    site = _site(options)
    of_a_cluster = site != _site(parser().parse_args([])) or options.registry is not None
    checked_in = options.out.resolve() == paths.K8S.resolve()
    if of_a_cluster and not options.check and checked_in:
        raise UsageError(
            f"{paths.shown(options.out)} holds the set that is the same for everybody. Name a folder of yours with --out."
        )
    catalog, lock = catalogs.read(), lockfile.read()
    table = profiles.read(catalog)
    known = [*table.sets, nodefeatures.FOLDER]
    unknown = [name for name in options.sets if name not in known]
    if unknown:
        raise UsageError(f"There is no set {unknown[0]!r}. Known are {', '.join(known)}.")
    images = _images(options, lock)
    chosen = {name: table.sets[name] for name in table.sets if not options.sets or name in options.sets}
    plans = {
        name: [plan.make(catalog, lock, table, case, row.nodes, images, options.registry) for case in row.cases]
        for name, row in chosen.items()
    }
    files: dict[Path, str] = {}
    for name, row in chosen.items():
        files |= _files_of_set(site, name, row, plans[name])
    if not options.sets or nodefeatures.FOLDER in options.sets:
        rule = text.dump([nodefeatures.rule(catalog.accelerator_rows)], nodefeatures.NOTE)
        files[Path(nodefeatures.FOLDER, nodefeatures.FILE)] = rule
    # The containers' table of products has one place, whatever folder the manifests go to.
    table_of_products = (
        products.text(catalog.accelerator_rows) if paths.IS_CLONE and checked_in and not options.sets else None
    )
    if options.check:
        _compare(options.out, files, table_of_products)
    else:
        _write(options.out, files, table_of_products)
        for folder in sorted({str(path.parent) for path in files}):
            announcer.announce(FolderWritten(str(options.out / folder)))
    drafts = {job.request.stack.name: job.draft for jobs in plans.values() for job in jobs if job.draft}
    for stack, problem in sorted(drafts.items()):
        announcer.announce(StackIsDraft(stack, str(problem)))
    return 0


def _files_of_set(site: Site, name: str, row: Set, plans: Sequence[JobPlan]) -> dict[Path, str]:
    """Return the content of the files of a set by their paths. Raises ``InputError`` where an API server would refuse an object."""
    files = sets.files(site, name, row, plans)
    check.refuse([manifest for file in files.values() for manifest in file.objects])
    content = {Path(row.folder, path): text.dump(file.objects, file.comment) for path, file in files.items()}
    return {**content, Path(row.folder, "Kustomization"): text.base(files)}


def _site(options: argparse.Namespace) -> Site:
    def name(flag: str) -> str | None:
        value = getattr(options, flag)
        return value if value is None else _of_form(patterns.SUBDOMAIN, value, f"--{flag.replace('_', '-')}")

    if options.namespace is not None:
        _of_form(patterns.TEXT, options.namespace, "--namespace")
    tolerations = [_toleration(given) for given in options.toleration]
    variables = pairs.read(options.variable, "--variable", "NAME=VALUE", patterns.VARIABLE, patterns.TEXT.or_empty())
    return Site(
        namespace=options.namespace or names.NAMESPACE,
        storage_class=name("storage_class"),
        access_mode=options.access_mode,
        queue=name("queue"),
        node_selector=pairs.read(
            options.node_selector, "--node-selector", "KEY=VALUE", patterns.LABEL_KEY, patterns.LABEL_VALUE
        ),
        tolerations=tuple(tolerations),
        resources=pairs.read(options.resource, "--resource", "DOMAIN/NAME=NUMBER", patterns.RESOURCE, NUMBER),
        variables=variables,
        runtime_class=name("runtime_class"),
        priority_class=name("priority_class"),
        platform_ids=options.platform_ids,
    )


def _images(options: argparse.Namespace, lock: Lock) -> dict[str, str]:
    """Return the user's images by their stacks."""
    if options.registry is not None:
        _of_form(patterns.REPOSITORY, options.registry.rstrip("/"), "--registry")
    return pairs.of_images(options.image, lock.stacks)


def _of_form(form: Form | patterns.FreeText, value: str, flag: str) -> str:
    problem = patterns.problem(form, secrets.mask(value))
    if problem is not None:
        raise UsageError(f"{flag} {problem}. See `python -m runner render --help`.")
    return value


def _toleration(given: str) -> JsonObject:
    key, marked, effect = given.partition(":")
    key, equals, value = key.partition("=")
    whole = patterns.LABEL_KEY.fullmatch(key) and (not equals or (value and patterns.LABEL_VALUE.fullmatch(value)))
    if not whole or (marked and not EFFECT.fullmatch(effect)):
        raise UsageError(f"--toleration must be KEY[=VALUE][:EFFECT], {secrets.mask(given)!a} was given.")
    toleration = {"key": key, "operator": "Equal", "value": value} if value else {"key": key, "operator": "Exists"}
    return {**toleration, **({"effect": effect} if effect else {})}


def _write(folder: Path, files: Mapping[Path, str], table_of_products: str | None) -> None:
    """Write all files, and remove the files that an earlier version of a set left: kubectl would apply them too."""
    for path in files:
        if paths.leads_outside(path, folder):
            raise InputError(f"{folder / path} is a link that leads out of {folder}. Remove it, or name another --out.")
    for path, content in files.items():
        writing.write_text(folder / path, content, "Name another folder with --out.")
    if table_of_products is not None:
        writing.write_text(paths.ACCELERATORS, table_of_products)
    try:
        for path in _stale(folder, files):
            path.unlink()
    except OSError as problem:
        raise InputError(
            f"{problem.filename} cannot be removed: {problem.strerror}. Name another folder with --out."
        ) from None


def _compare(folder: Path, files: Mapping[Path, str], table_of_products: str | None) -> None:
    """Raise ``InputError`` with the files whose content is not what would be written."""
    different = [folder / path for path, content in files.items() if _read(folder / path) != content]
    different += _stale(folder, files)
    if table_of_products is not None and _read(paths.ACCELERATORS) != table_of_products:
        different.append(paths.ACCELERATORS)
    if different:
        listed = ", ".join(paths.shown(path) for path in sorted(different))
        raise InputError(
            f"{listed}: not what catalog and lock make. Run `python -m runner render` and commit what it writes."
        )


def _stale(folder: Path, files: Collection[Path]) -> list[Path]:
    """Return the files in the folders of ``files`` that this verb wrote and would not write now."""
    beside = {neighbour for path in files for neighbour in (folder / path.parent).glob("*.yaml")}
    return sorted(path for path in beside if path.relative_to(folder) not in files and text.is_rendered(_read(path)))


def _read(path: Path) -> str | None:
    """Return the text of a file, None where there is no file, or no regular file of UTF-8."""
    try:
        with open_regular(path) as file:
            return file.read(MAX_BYTES).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError, NotRegular, UnicodeDecodeError):
        return None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {reason(problem)}. Name another folder with --out.") from None
