"""Say what is known of images: ``python -m tools.image_evidence scan`` and ``... sign [STACK ...]``.

``scan`` lists known vulnerabilities from the bills of materials below build/images, with grype. A scan fails only where ``--fail-on`` says
so: the stacks of 2023 hold versions with known vulnerabilities on purpose (SECURITY.md). ``sign`` signs pushed images by digest, and
states their bills of materials, with cosign as the workflow that runs; there is no key.
Sources: github.com/anchore/grype, README (``sbom:``, ``-o json``, ``--fail-on``); docs.sigstore.dev, "Signing containers" and "In-toto
attestations" (``cosign sign``, ``cosign attest --type cyclonedx``).
"""

from __future__ import annotations

import argparse
import collections
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.contract import strictjson
from runner.contract.errors import InputError, Unsupported
from runner.contract.secrets import mask
from runner.contract.text import printable
from runner.host.readers import lockfile
from tools import endings, released_program

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "build" / "images"
PROGRAMS = ROOT / "build" / "programs"
# as grype names them, the worst first
SEVERITIES = ("Critical", "High", "Medium", "Low", "Negligible", "Unknown")
SCAN_S = 900


def scan(images: Path, fail_on: str | None, grype: Path) -> list[str]:
    """Write ``vulnerabilities.json`` beside each bill of materials, and return one line for each image.

    Raises ``InputError`` where nothing was built, and ``Unsupported`` where an image has what ``fail_on``, a severity, forbids.
    """
    bills = sorted(images.glob("*/sbom.json"))
    if not bills:
        raise InputError(f"{images} holds no bill of materials. Build an image first: `make images`.")
    lines, bad = [], []
    for bill in bills:
        raw = _run([str(grype), f"sbom:{bill}", "--output", "json", "--quiet"])
        (bill.parent / "vulnerabilities.json").write_bytes(raw)
        counts = _counts(raw, bill)
        found = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity]) or "none"
        lines.append(f"{bill.parent.name}: known vulnerabilities: {found}")
        if fail_on and any(counts[severity] for severity in SEVERITIES[: SEVERITIES.index(fail_on) + 1]):
            bad.append(bill.parent.name)
    if bad:
        print("\n".join(lines))
        raise Unsupported(
            f"{', '.join(bad)}: vulnerabilities of severity {fail_on} or worse. Read vulnerabilities.json beside each image."
        )
    return lines


def _counts(raw: bytes, bill: Path) -> collections.Counter[str]:
    document = strictjson.loads(raw, f"what grype says of {bill}")
    try:
        return collections.Counter(str(match["vulnerability"]["severity"]) for match in document["matches"])
    except (KeyError, TypeError):
        raise InputError(
            f"what grype says of {bill} has another form than grype's. Pin another version in versions.lock."
        ) from None


def sign_commands(stacks: Sequence[str], images: Path, cosign: Path) -> list[list[str]]:
    """Return the commands that sign the pushed images of stacks, all where none is named, and state their bills of materials.

    Raises ``InputError`` for a stack that versions.lock names no pushed image of, and where a bill of materials is missing.
    """
    built = lockfile.read().built
    names = list(stacks) or sorted(built)
    missing = [name for name in names if name not in built]
    if missing or not names:
        raise InputError(
            f"versions.lock names no pushed image{f' of {missing[0]}' if missing else ''}. Push it: `make images PUSH=...`."
        )
    commands = []
    for name in names:
        bill = images / name / "sbom.json"
        if not bill.is_file():
            raise InputError(f"{bill} is not there. Build the image where it is signed: `make images STACKS={name}`.")
        reference = built[name].reference
        commands.append([str(cosign), "sign", "--yes", reference])
        commands.append([str(cosign), "attest", "--yes", "--type", "cyclonedx", "--predicate", str(bill), reference])
    return commands


def _run(command: list[str]) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, timeout=SCAN_S)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unsupported(
            f"{Path(command[0]).name} cannot be run ({type(problem).__name__}). Look at {command[0]}."
        ) from None
    if done.returncode != 0:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {done.returncode}"]
        raise Unsupported(f"{Path(command[0]).name} failed: {printable(mask(' | '.join(told[-3:])), 500)}.")
    return done.stdout


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    flags = argparse.ArgumentParser(
        prog="python -m tools.image_evidence",
        allow_abbrev=False,
        description="Say what is known of images.",
        epilog="Exit codes: 2 command line, 3 nothing was built or pushed, or a fetched program is not the pinned one, 9 a program could"
        " not be fetched, 10 a program failed, or an image has what --fail-on forbids, 130 stopped.",
    )
    verbs = flags.add_subparsers(dest="verb", required=True)
    scanning = verbs.add_parser("scan", help="list the known vulnerabilities of the images that were built here")
    scanning.add_argument(
        "--fail-on",
        choices=[severity.lower() for severity in SEVERITIES[:4]],
        help="end with an error for this severity or a worse one",
    )
    signing = verbs.add_parser("sign", help="sign pushed images, and state their bills of materials")
    signing.add_argument(
        "stacks", nargs="*", metavar="STACK", help="all whose pushed images versions.lock names, unless some are named"
    )
    signing.add_argument("--dry-run", action="store_true", help="print the commands")
    return flags


def run(arguments: list[str]) -> int:
    """Do what the command line asks; return the exit code. Raises ``KitError``."""
    options = parser().parse_args(arguments)
    if options.verb == "scan":
        fail_on = options.fail_on.capitalize() if options.fail_on else None
        print("\n".join(scan(IMAGES, fail_on, released_program.fetched("grype", PROGRAMS))))
        return 0
    cosign = Path("cosign") if options.dry_run else released_program.fetched("cosign", PROGRAMS)
    for command in sign_commands(options.stacks, IMAGES, cosign):
        print(shlex.join(command), flush=True)
        if not options.dry_run:
            _run(command)
    return 0


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    return endings.status_of("images", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
