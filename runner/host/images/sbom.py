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


def bill(stack, packages, wheels, distribution, debian, epoch, programs=()):
    """Return the text of a software bill of materials.

    ``packages`` is ``inventory.listing()`` of the image, ``wheels`` the folder with the files that they were installed
    from, ``distribution`` what the base is, as ("debian", "12"), and ``debian`` a list of [name, version, architecture] of its
    packages, ``epoch`` the time to put in, in Unix seconds. ``programs`` lists (name, its pin, the pin of its source, sha256) of
    what was compiled.
    """
    files = {_of(file.name): file for file in sorted(wheels.iterdir())}
    components = [_python(name, found, files.get((name, found["version"]))) for name, found in sorted(packages.items())]
    components += [_debian(distribution, *found) for found in sorted(debian)]
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
        "purl": _purl("pypi", name, version=found["version"]),
        "properties": [folder, record],
    }
    if file is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": sha256_of_file(file)}]
    if found["license"]:
        component["licenses"] = [{"license": {"name": found["license"]}}]
    return component


def _debian(distribution, name, version, architecture):
    vendor, release = distribution
    purl = _purl("deb", vendor, name, version=version, arch=architecture, distro=f"{vendor}-{release}")
    return {"type": "library", "name": name, "version": version, "purl": purl}


def _program(name, pin, source, sha256):
    return {
        "type": "application",
        "name": name,
        "version": pin.version,
        "purl": _purl("generic", name, version=pin.version, vcs_url=f"git+{source.repository}@{source.commit}"),
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "licenses": [{"license": {"id": pin.license}}],
        "properties": [
            {"name": "bloomz-bench:file", "value": f"{PROGRAMS}/{name}"},
            {"name": "bloomz-bench:license-file", "value": f"{SOURCES}/{name}/COPYING"},
            {"name": "bloomz-bench:source", "value": f"{SOURCES}/{name}"},
        ],
    }


def _purl(kind, *path, version, **qualifiers):
    """Return a package URL; what has a meaning in it is percent-encoded (package-url/purl-spec)."""
    place = "/".join(urllib.parse.quote(part, safe="") for part in path)
    told = "&".join(f"{key}={urllib.parse.quote(value, safe=':/')}" for key, value in sorted(qualifiers.items()))
    return f"pkg:{kind}/{place}@{urllib.parse.quote(version, safe=':')}" + (f"?{told}" if told else "")


def _of(file):
    """Return name and version of a wheel or source distribution, by its file's name."""
    stem = file.removesuffix(".tar.gz")
    name, version = stem.split("-")[:2] if file.endswith(".whl") else stem.rsplit("-", 1)
    return name.lower().replace("_", "-").replace(".", "-"), version
