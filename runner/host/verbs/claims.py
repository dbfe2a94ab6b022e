"""The verb ``claims``: print every published number, how near it is to the physical limit, and what is known against it."""

import json
from dataclasses import asdict

from runner.contract.arguments import verb_parser
from runner.host.judging import ledger, terminal
from runner.host.readers import catalog as catalogs


def parser():
    described = verb_parser(
        "claims",
        description="Print the ledger: every published number with its source, the share of the limit that memory bandwidth sets,"
        " and the findings for and against them, all computed from runner/catalog/claims.yaml.",
    )
    described.add_argument("--json", action="store_true", help="print everything as JSON, for programs")
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    catalog = catalogs.read()
    limits, findings = ledger.limits(catalog), ledger.findings(catalog)
    if options.json:
        print(json.dumps(as_json(catalog, limits, findings), indent=2, ensure_ascii=False))
    else:
        terminal.show_claims(catalog, limits, findings)
    return 0


def as_json(catalog, limits, findings):
    """Return the whole ledger as JSON values; seconds are those of 100 new tokens."""
    claims = {
        name: {**asdict(claim), "latency_s": claim.latency_s, "limit": asdict(limits[name]) if limits[name] else None}
        for name, claim in catalog.claims.items()
    }
    sources = {name: asdict(source) for name, source in catalog.claim_sources.items()}
    bandwidths = {
        name: {"hbm_bytes_per_s": accelerator.hbm_bytes_per_s, "source": catalog.accelerator_sources[name]}
        for name, accelerator in catalog.accelerators.items()
    }
    told = [asdict(finding) for finding in findings]
    return {"sources": sources, "claims": claims, "accelerators": bandwidths, "findings": told}
