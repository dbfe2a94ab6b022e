"""Write down what is in an image, in CycloneDX 1.5: Python packages with the hash of their file, and the distribution's own.

The document is a few dozen keys of one fixed form, and the same image must give the same bytes, so it is written here: the
libraries for it bring six packages more and put in a random serial number and the time.
"""

import json
import urllib.parse
from datetime import datetime, timezone

from runner.contract.files import sha256_of_file

# Where an image's programs lie, and where the sources that they were compiled from, each with its licence.
PROGRAMS, SOURCES = "/opt/bench/bin", "/opt/bench/src"


def bill(stack, packages, wheels, debian, epoch, programs=()):
    """Return the text of a software bill of materials.

    ``packages`` is ``inventory.listing()`` of the image, ``wheels`` the folder with the files that they were installed
    from, ``debian`` a list of [name, version, architecture], ``epoch`` the time to put in, in Unix seconds. ``programs``
    lists (name, its pin, the pin of its source, sha256) of what was compiled.
    """
    files = {_of(file.name): file for file in sorted(wheels.iterdir())}
    components = [_python(name, found, files.get((name, found["version"]))) for name, found in sorted(packages.items())]
    components += [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:deb/{name}@{version}?arch={architecture}"}
        for name, version, architecture in sorted(debian)
    ]
    components += [_program(*program) for program in programs]
    for component in components:
        component["bom-ref"] = component["purl"]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "container", "bom-ref": stack, "name": f"bloomz-bench {stack}"},
        },
        "components": components,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _python(name, found, file):
    record = {"name": "bloomz-bench:record-sha256", "value": found["record_sha256"]}
    folder = {"name": "bloomz-bench:folder", "value": found["folder"]}
    component = {
        "type": "library",
        "name": name,
        "version": found["version"],
        "purl": f"pkg:pypi/{name}@{found['version']}",
        "properties": [folder, record],
    }
    if file is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": sha256_of_file(file)}]
    if found["license"]:
        component["licenses"] = [{"license": {"name": found["license"]}}]
    return component


def _program(name, pin, source, sha256):
    origin = urllib.parse.quote(f"git+{source.repository}@{source.commit}", safe=":/")
    return {
        "type": "application",
        "name": name,
        "version": pin.version,
        "purl": f"pkg:generic/{name}@{pin.version}?vcs_url={origin}",
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "licenses": [{"license": {"id": pin.license}}],
        "properties": [
            {"name": "bloomz-bench:file", "value": f"{PROGRAMS}/{name}"},
            {"name": "bloomz-bench:license-file", "value": f"{SOURCES}/{name}/COPYING"},
            {"name": "bloomz-bench:source", "value": f"{SOURCES}/{name}"},
        ],
    }


def _of(file):
    """Return name and version of a wheel or source distribution, by its file's name."""
    stem = file.removesuffix(".tar.gz")
    name, version = stem.split("-")[:2] if file.endswith(".whl") else stem.rsplit("-", 1)
    return name.lower().replace("_", "-").replace(".", "-"), version
