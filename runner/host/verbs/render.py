"""The verb ``render``: write the Kubernetes manifests of every set below k8s/, or those for one cluster into a folder of the user.

With the manifests below k8s/ it writes runner/contract/accelerators.json, which the containers read.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import patterns, secrets
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import UnresolvedPin, UsageError
from runner.contract.path_lists import refuse_unlistable
from runner.contract.patterns import Form
from runner.contract.records import JsonObject
from runner.host import pairs, paths
from runner.host.manifests import check, folder, nodefeatures, plan, products, sets, text
from runner.host.manifests.folder import Content, Link
from runner.host.manifests.installation import config_maps
from runner.host.manifests.plan import JobPlan, StackTexts, Texts
from runner.host.manifests.site import Site
from runner.host.objects import names
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock
from runner.host.readers.profiles import Set
from runner.host.stacks import recipe

# The folder, below that of all sets, of the files that several sets share.
SHARED = "kit"
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
    """The Jobs of a stack would refuse to measure, because of a pin that nobody has resolved."""

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
        description="Write the manifests of all sets of runner/catalog/profiles.yaml, made from the catalog and the lock alone. The"
        " Jobs of a stack run its image where versions.lock or --image names one by digest. Elsewhere their pods install the stack over"
        " its public base: a Job fetches the locked packages, and init containers install them without a network. A line here names each"
        " stack whose Jobs would refuse to measure, and what to run.",
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
        help="one more of the environment of each bench, on all its nodes, such as HCCL_SOCKET_IFNAME=eth0; repeatable. HF_*"
        " (HF_ENDPOINT, a mirror of the hub) comes to the Jobs that fetch as well; PIP_* (PIP_INDEX_URL, a mirror of the index), GIT_* and"
        " those of a proxy (https_proxy) come to the Jobs that fetch alone, which may also reach the ports that the addresses name",
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
    of_pods = texts(catalog, lock, {catalog.cases[case].stack for row in chosen.values() for case in row.cases}, images)
    plans = {
        name: [
            plan.make(catalog, lock, table, case, row.nodes, images, options.registry, of_pods) for case in row.cases
        ]
        for name, row in chosen.items()
    }
    files: dict[Path, Content] = {}
    for name, row in chosen.items():
        files |= _files_of_set(site, name, row, plans[name], files)
    if not options.sets or nodefeatures.FOLDER in options.sets:
        rule = text.dump([nodefeatures.rule(catalog.accelerator_rows)], nodefeatures.NOTE)
        files[Path(nodefeatures.FOLDER, nodefeatures.FILE)] = rule
    # The containers' table of products has one place, whatever folder the manifests go to.
    is_whole = paths.IS_CLONE and checked_in and not options.sets
    beside = {paths.ACCELERATORS: products.text(catalog.accelerator_rows)} if is_whole else {}
    if options.check:
        folder.compare(options.out, files, beside)
    else:
        folder.write(options.out, files, beside)
        for name in sorted({str(path.parent) for path in files if path.parts[0] != SHARED}):
            announcer.announce(FolderWritten(str(options.out / name)))
    drafts = {job.request.stack.name: job.draft for jobs in plans.values() for job in jobs if job.draft}
    for stack, problem in sorted(drafts.items()):
        announcer.announce(StackIsDraft(stack, str(problem)))
    return 0


def texts(catalog: Catalog, lock: Lock, stacks: Collection[str], images: Mapping[str, str]) -> Texts:
    """Return what pods install from: the kit, with the table of products as this verb writes it, and stacks of which no image is known."""
    installed = [stack for stack in sorted(stacks) if plan.image_of(lock, stack, images) is None]
    recipes = {stack: config_maps(names.recipe(stack), recipe.of_stack(lock, stack)) for stack in installed}
    table = {f"runner/contract/{paths.ACCELERATORS.name}": products.text(catalog.accelerator_rows)}
    kit = config_maps(names.KIT_TEXTS, {**recipe.kit(), **table}) if installed else {}
    return Texts(kit, {stack: StackTexts(maps, _refusal(lock, stack)) for stack, maps in recipes.items()})


def _refusal(lock: Lock, stack: str) -> str | None:
    try:
        recipe.of(lock, stack).refuse_unresolved()
    except UnresolvedPin as problem:
        return str(problem)
    return None


def _files_of_set(
    site: Site, name: str, row: Set, plans: Sequence[JobPlan], before: Mapping[Path, Content]
) -> dict[Path, Content]:
    """Return the content of the files of a set by their paths. Raises ``InputError`` where an API server would refuse an object.

    A file of several sets lies in a folder of its own, which is a base for kustomize; ``before``, the files of the sets before, may have
    it. Links lead there, since kubectl follows a link of a file, and reads no folder within a folder.
    """
    files = sets.files(site, name, row, plans)
    check.refuse([manifest for file in files.values() for manifest in file.objects])
    content: dict[Path, Content] = {}
    resources = set()
    for path, file in files.items():
        if file.shared:
            to_shared = os.path.relpath(SHARED, row.folder)
            content[Path(SHARED, path)] = before.get(Path(SHARED, path)) or text.dump(file.objects, file.comment)
            content[Path(SHARED, "Kustomization")] = text.base([path])
            content[Path(row.folder, path)] = Link(f"{to_shared}/{path}")
            resources.add(to_shared)
        else:
            content[Path(row.folder, path)] = text.dump(file.objects, file.comment)
            resources.add(path)
    return {**content, Path(row.folder, "Kustomization"): text.base(resources)}


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
