"""The verb ``claims``: print every published number, how near it is to the physical limit, and what is known against it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from runner.contract.arguments import add_json, verb_parser
from runner.contract.records import JsonObject
from runner.host.judging import ledger, terminal
from runner.host.judging.findings import Finding
from runner.host.judging.ledger import Limit
from runner.host.readers import catalog as catalogs
from runner.host.readers.catalog import Catalog


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's command line."""
    described = verb_parser(
        "claims",
        description="Print the ledger: every published number with its source, the share of the limit that memory bandwidth sets"
        " (also as a bar), and the findings for and against them, all computed from runner/catalog/claims.yaml.",
    )
    add_json(described, "everything")
    return described


def main(arguments: Sequence[str]) -> int:
    """Print the ledger, and return the exit code. Raises ``InputError`` for a damaged catalog."""
    options = parser().parse_args(arguments)
    catalog = catalogs.read()
    limits, findings = ledger.limits(catalog), ledger.findings(catalog)
    if options.json:
        print(json.dumps(as_json(catalog, limits, findings), indent=2, ensure_ascii=False))
    else:
        terminal.show_claims(catalog, limits, findings)
    return 0


def as_json(catalog: Catalog, limits: Mapping[str, Limit | None], findings: Sequence[Finding]) -> JsonObject:
    """Return the whole ledger as a JSON object; ``latency_s`` is in seconds of 100 new tokens."""
    claims = {
        name: {**asdict(claim), "latency_s": claim.latency_s, "limit": _limit_as_json(limits[name])}
        for name, claim in catalog.claims.items()
    }
    sources = {name: asdict(source) for name, source in catalog.claim_sources.items()}
    images = {
        name: {**asdict(claim), "seconds_per_image": claim.seconds_per_image} for name, claim in catalog.images.items()
    }
    bandwidths = {
        name: {"hbm_bytes_per_s": accelerator.hbm_bytes_per_s, "source": catalog.accelerator_rows[name].source}
        for name, accelerator in catalog.accelerators.items()
    }
    return {
        "sources": sources,
        "claims": claims,
        "images": images,
        "accelerators": bandwidths,
        "findings": [asdict(finding) for finding in findings],
    }


def _limit_as_json(limit: Limit | None) -> JsonObject | None:
    return None if limit is None else asdict(limit)
