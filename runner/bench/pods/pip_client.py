"""Find and fetch locked files with pip: the base's own pip fetches the pinned pip, whose finder then chooses every other file.

pip knows the user's index, mirrors, proxies, certificates and logins, and which files this Python and this C library take. Its
command ``download`` runs the setup.py of a source distribution, and keeps no part of a batch that was cut off. The finder below the
command does neither; its names are pip's internal ones, which stay as they are while the lock pins pip by hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Iterator, NamedTuple, Sequence

from runner.bench.pods.package_folder import disk_problem, refuse_too_small
from runner.contract import patterns
from runner.contract.errors import InputError, Unreachable, Unsupported
from runner.contract.files import sha256_of_file
from runner.contract.publish import synced
from runner.contract.requirements import Requirement
from runner.contract.secrets import mask
from runner.contract.text import printable

_FLAGS = ("--no-input", "--no-cache-dir", "--disable-pip-version-check")
_BLOCK_BYTES = 1 << 20


class Found(NamedTuple):
    """A file that an index offers for a requirement: its name, its address, and the requirement."""

    name: str
    address: str
    requirement: Requirement


def fetch_tools(requirements: Sequence[Requirement], folder: str) -> None:
    """Fetch the pinned pip and wheel into ``folder`` with the base's own pip, which compares their hashes.

    As ``Index.fetch`` does, it writes to the folder for temporary files first, which must be on the same volume.

    Raises ``Unsupported`` where the base has no pip, ``Unreachable`` where no index gives the files, ``PublishFailed`` if the disk fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        listed = os.path.join(scratch, "tools.txt")
        with open(listed, "w", encoding="utf-8") as file:
            file.write("".join(pin.text for pin in requirements))
        command = [sys.executable, "-m", "pip", "download", "--quiet", *_FLAGS, "--require-hashes", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", scratch, "--requirement", listed]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
        )
        if done.returncode != 0:
            raise _of_pip(done.stderr)
        for name in sorted(os.listdir(scratch)):
            if name.endswith(".whl"):
                os.replace(os.path.join(scratch, name), os.path.join(folder, name))


def _of_pip(words: str) -> Exception:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return Unsupported(
            "The base's Python has no pip, which fetches the packages. Build the stack's image: `make images`."
        )
    last = printable(mask(lines[-1]), 300) if lines else "it said nothing"
    return Unreachable(f"The base's pip could not fetch the pinned pip: {last}. Run the same command again.")


def tool(folder: str, name: str, requirements: Sequence[Requirement]) -> str:
    """Return the path of the wheel of pip or wheel in a folder.

    Raises ``InputError`` where the folder has no such file, several, or one that the lock does not know.
    """
    hashes = {sha256 for pin in requirements if pin.name == name for sha256 in pin.hashes}
    names = [file for file in os.listdir(folder) if file.startswith(f"{name}-")]
    paths = [os.path.join(folder, file) for file in names]
    if len(paths) != 1 or sha256_of_file(paths[0]) not in hashes:
        raise InputError(f"{folder} does not hold the one {name} that is locked. Remove the folder, and fetch again.")
    return paths[0]


def has_tools(folder: str, requirements: Sequence[Requirement]) -> bool:
    """Return whether a folder holds the pinned pip and wheel, and nothing else of their names."""
    with contextlib.suppress(InputError, FileNotFoundError):
        return all(tool(folder, name, requirements) for name in sorted({pin.name for pin in requirements}))
    return False


class Index:
    """What the pinned pip finds and fetches. ``address`` names an index in the place of the user's own."""

    def __init__(self, command: Any, address: str | None) -> None:  # noqa: ANN401 - pip's own command, which has no stable type
        self._command = command
        self._address = address
        self._session: Any = None
        self._silent = _Silent()
        self.name = ""

    def find(self, requirement: Requirement, from_source: bool) -> Found:
        """Return the file for a requirement: the wheel that serves here best, or the source distribution; nothing of it is run.

        Raises ``Unreachable`` where no index has a file with a locked hash that serves here.
        """
        options, _ = self._command.parse_args(
            [*_FLAGS, "--no-binary" if from_source else "--only-binary", ":all:", *self._index_flag()]
        )
        self.name = mask(options.index_url)
        if self._session is None:
            self._session = self._command.get_default_session(options)
        finder = self._command._build_package_finder(options=options, session=self._session)
        hashes = _pip("_internal.utils.hashes").Hashes({"sha256": sorted(requirement.hashes)})
        specifier = _pip("_vendor.packaging.specifiers").SpecifierSet(f"=={requirement.version}")
        with self._silent.listening():
            best = finder.find_best_candidate(requirement.project, specifier=specifier, hashes=hashes).best_candidate
        if best is None:
            python = ".".join(map(str, sys.version_info[:2]))
            why = f" ({self._silent.reason})" if self._silent.reason else ""
            raise Unreachable(
                f"The index {self.name} gave no file of {requirement.name} {requirement.version} that serves Python {python} here{why}."
                " Name an index that has it in PIP_INDEX_URL, or run the same command again."
            )
        return Found(best.link.filename, best.link.url_without_fragment, requirement)

    def fetch(self, found: Found, folder: str, came: Callable[[int, int | None], None]) -> str:
        """Fetch a file into a folder, whole or not at all, and return its path.

        ``came`` is told how many bytes have come, and of how many, None where the index does not say. Raises ``Unreachable`` where the
        file does not come whole or has another hash, ``DoesNotFit`` where it does not fit the disk, ``PublishFailed`` where the disk
        fails.
        """
        if not patterns.FILE_PATH.fullmatch(found.name) or "/" in found.name:
            raise Unreachable(f"The index {self.name} offers {found.name[:100]!r}, which is no name of a file.")
        path, digest = os.path.join(folder, found.name), hashlib.sha256()
        handle, part = tempfile.mkstemp()
        try:
            with os.fdopen(handle, "wb") as file:
                for block in self._blocks(found, folder, came):
                    digest.update(block)
                    file.write(block)
                synced(file.fileno())
            if digest.hexdigest() not in found.requirement.hashes:
                raise Unreachable(
                    f"{found.name} of the index {self.name} has the sha256 {digest.hexdigest()}, which is not a locked one. Name another"
                    " index in PIP_INDEX_URL."
                )
            os.chmod(part, 0o644)
            os.replace(part, path)
        except OSError as problem:
            raise disk_problem(problem, folder) from None
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
        return path

    def _index_flag(self) -> list[str]:
        return [] if self._address is None else ["--index-url", self._address]

    def _blocks(self, found: Found, folder: str, came: Callable[[int, int | None], None]) -> Iterator[bytes]:
        asking, reading = _pip("_vendor.requests.exceptions"), _pip("_vendor.urllib3.exceptions")
        try:
            # as pip does: a server that compresses, or a client that unpacks, would give other bytes than those of the hash
            answer = self._session.get(found.address, headers={"Accept-Encoding": "identity"}, stream=True)
            answer.raise_for_status()
            length, done = answer.headers.get("Content-Length"), 0
            if length:
                refuse_too_small(folder, found.name, int(length))
            for block in _pip("_internal.network.utils").response_chunks(answer, _BLOCK_BYTES):
                done += len(block)
                came(done, int(length) if length else None)
                yield block
        except (asking.RequestException, reading.HTTPError) as problem:
            raise self._torn(found, " ".join(str(problem).split())) from None
        # pip of Python 3.8 takes an answer that was cut off for a whole one
        if length and done != int(length):
            raise self._torn(found, f"{done} bytes of {length} came")

    def _torn(self, found: Found, words: str) -> Unreachable:
        return Unreachable(
            f"{found.name} of the index {self.name} did not come whole: {printable(mask(words), 300)}. Whole files stay; run the same"
            " command again."
        )


@contextlib.contextmanager
def opened(pip: str, address: str | None) -> Iterator[Index]:
    """Open an index with the pip of the wheel ``pip``: the index ``address``, or the user's own where that is None."""
    if pip not in sys.path:
        sys.path.insert(0, pip)
    command = _pip("_internal.commands.download").DownloadCommand("download", "fetch")
    with command.main_context():
        yield Index(command, address)


def serves(requirement: Requirement) -> bool:
    """Return whether a requirement's marker holds in this Python; ``opened`` must have been called before."""
    marker = requirement.marker
    return marker is None or bool(_pip("_vendor.packaging.markers").Marker(marker).evaluate())


def _pip(name: str) -> Any:  # noqa: ANN401 - a module of pip
    return importlib.import_module(f"pip.{name}")


class _Silent(logging.Handler):
    """Listens to what pip says of an index that gave no page; pip itself then only says that it found nothing."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason of a page that could not be fetched."""
        message = record.getMessage()
        if message.startswith("Could not fetch URL"):
            self.reason = printable(mask(" ".join(message.split())), 300)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the block runs."""
        logger = logging.getLogger("pip")
        level, logger.propagate, self.reason = logger.level, False, ""
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.setLevel(level)
            logger.propagate = True
