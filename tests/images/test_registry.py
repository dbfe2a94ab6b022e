"""Ask and fill a real registry on this machine: Debian's docker-registry, with a password, images of one and of two platforms."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from runner.contract.errors import InputError, Unreachable
from runner.host import paths
from runner.host.images import build, build_context, logins, push
from runner.host.images import registry as pushes
from runner.host.pins.origins import container_registry
from runner.host.readers import lock_editor, lockfile
from runner.host.verbs import image, lock
from tests.images import registries
from tests.images.registries import USER, Registry


class Pinned(Protocol):
    """Writes a lock whose cpu stack has this base."""

    def __call__(self, reference: str, tag: str = ..., digest: str = ..., platform: str = ...) -> None: ...


@pytest.fixture(scope="module")
def registry(runtime: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registries.serve(tmp_path_factory.mktemp("registry")) as served:
        yield served


def test_a_tag_s_digest_and_that_of_its_platform(registry: Registry) -> None:
    reference, digest, digests = registry.put("two", "amd64", "arm64")
    assert container_registry.image_digest(reference, "latest") == digest
    assert digest not in digests.values()
    assert container_registry.platform_digest(reference, digest) == digests["amd64"]
    reference, digest, _ = registry.put("one", "amd64")
    assert container_registry.platform_digest(reference, digest) == digest


def test_an_image_without_this_platform_is_refused(registry: Registry) -> None:
    reference, digest, _ = registry.put("foreign", "arm64", "s390x")
    with pytest.raises(InputError, match="has no image for linux/amd64"):
        container_registry.platform_digest(reference, digest)


def test_a_missing_tag_is_none_and_not_a_failure(registry: Registry) -> None:
    reference, _, _ = registry.put("one", "amd64")
    assert container_registry.image_digest(reference, "2.0") is None
    assert container_registry.image_digest(f"{registry.address}/nobody", "latest") is None


def test_without_the_password_the_registry_says_so(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, _, _ = registry.put("one", "amd64")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))
    with pytest.raises(Unreachable, match="authentication required"):
        container_registry.image_digest(reference, "latest")


def test_the_question_whether_a_push_would_be_taken_leaves_nothing(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = f"{registry.address}/team/bloomz-bench-asked"

    def asked() -> pushes.PushAnswer:
        service = pushes.reach(registry.address)
        return pushes.may_push(service, repository, logins.login_of(repository))

    before = sorted((registry.folder / "data").rglob("*"))
    assert asked() == pushes.PushAnswer("granted", "it lets this login write to team/bloomz-bench-asked")
    assert sorted((registry.folder / "data").rglob("*")) == before
    wrong = b64encode(f"{USER}:wrong".encode()).decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.address: {"auth": wrong}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    assert asked().verdict == "refused"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))
    assert asked().verdict == "no login"


def test_a_registry_that_is_down_did_not_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Unreachable, match="connection refused"):
        container_registry.image_digest(f"127.0.0.1:{port}/x", "latest")


@pytest.fixture
def pinned(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pinned:
    """Return a function that lets the cpu stack's base be an image of this registry, in a lock of the test's own."""
    path = tmp_path / "versions.lock"
    monkeypatch.setattr(paths, "LOCK", path)
    monkeypatch.setattr(lockfile.read, "__defaults__", (path,))

    def of(
        reference: str, tag: str = "latest", digest: str = lockfile.UNRESOLVED, platform: str = lockfile.UNRESOLVED
    ) -> None:
        path.write_bytes((paths.ROOT / "versions.lock").read_bytes())
        pins = {"repository": reference, "tag": tag, "digest": digest, "platform": platform}
        lock_editor.edit(path, {("stacks", "cpu", "image", key): value for key, value in pins.items()})

    return of


@pytest.fixture
def only_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the lock hold the cpu stack alone, so that no other registry is asked."""
    read = lockfile.read

    def one(*arguments: Path) -> lockfile.Lock:
        cut = read(*arguments)
        for name in list(cut.stacks):
            if name != "cpu":
                del cut.stacks[name]
        return cut

    monkeypatch.setattr(lockfile, "read", one)


def test_the_lock_takes_both_digests_and_then_says_whether_they_are_still_there(
    registry: Registry, pinned: Pinned, only_cpu: None, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, digest, digests = registry.put("two", "amd64", "arm64")
    pinned(reference)
    for _ in ("digest", "platform"):
        assert lock.main(["--only", "images"]) == 0
    base = lockfile.read().stacks["cpu"].image
    assert (base.digest, base.platform) == (digest, digests["amd64"])
    assert base.reference == f"{reference}@{digests['amd64']}"

    ask = ["--check", "--online", "--only", "images"]
    assert lock.main(ask) == 0
    assert "1 pins are still there, 0 are not, 0 could not be asked for" in capsys.readouterr().out

    pinned(reference, digest=digest, platform=digests["arm64"])
    with pytest.raises(InputError, match="cannot be installed again"):
        lock.main(ask)
    assert f"its linux/amd64 is {digests['amd64']}, not {digests['arm64']}" in capsys.readouterr().out

    registry.remove("two", digest)
    pinned(reference, digest=digest, platform=digests["amd64"])
    with pytest.raises(InputError, match="cannot be installed again"):
        lock.main(ask)
    assert "the registry has no such digest any more" in capsys.readouterr().out


def test_a_tag_that_is_gone_is_said_and_stays_unresolved(
    registry: Registry, pinned: Pinned, only_cpu: None, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, _, _ = registry.put("one", "amd64")
    pinned(reference, tag="gone")
    assert lock.main(["--only", "images"]) == 0
    assert "not there: stacks.cpu.image.digest: its origin has none" in capsys.readouterr().err
    assert lockfile.read().stacks["cpu"].image.digest == lockfile.UNRESOLVED


def test_a_pushed_image_is_recorded_and_noticed_when_its_inputs_change(
    registry: Registry, pinned: Pinned, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned("docker.io/library/python", digest=f"sha256:{'1a' * 32}")
    container = registries.run("buildah", "from", "scratch")
    made = registries.run("buildah", "commit", "--quiet", "--rm", container)
    inputs = build.inputs_of(lockfile.read(), "cpu")
    built = build.BuiltImage(made, "", "", True, "0" * 40, inputs, 0, 0, "1.28.2")
    team = f"{registry.address}/team"
    pushed = push.push("cpu", built, team)
    entry = lockfile.read().built["cpu"]
    assert entry == pushed
    assert container_registry.image_digest(f"{team}/bloomz-bench-cpu", "0" * 40) == entry.digest
    assert image.main(["cpu", "--check"]) == 0
    real = build_context.sha256_of_file
    monkeypatch.setattr(
        build_context, "sha256_of_file", lambda file: "0" * 64 if file.name == "worker.py" else real(file)
    )
    with pytest.raises(InputError, match="What cpu was built from has changed since"):
        image.main(["cpu", "--check"])


@pytest.mark.parametrize("revision", ["unknown", f"{'0' * 40}-dirty"])
def test_what_no_commit_holds_is_not_pushed(revision: str) -> None:
    built = build.BuiltImage("", "", "", True, revision, "", 0, 0, "1.28.2")
    with pytest.raises(InputError, match="it holds changes that no commit has"):
        push.push("cpu", built, "127.0.0.1:1/team")
