"""What the pods of the MPIJob run, and what they mount, on this machine."""

from __future__ import annotations

from pathlib import Path

from runner.host.manifests import multinode
from tests.support import manifests, wire


def commands() -> list[str]:
    """Return the shell lines of the first and of the other pod, as the MPIJob has them."""
    replicas = manifests.one(manifests.objects("multinode"), "MPIJob")["spec"]["mpiReplicaSpecs"]
    return [replicas[role]["template"]["spec"]["containers"][0]["command"][-1] for role in ("Launcher", "Worker")]


def furnish(folder: Path) -> None:
    """Put into a folder what the pods of the MPIJob mount: the files of ssh, the keys, and room for what they write."""
    for file, content in multinode.FILES.items():
        (folder / file).write_text(content)
    (folder / "hostfile").write_text("".join(f"{address} slots=1\n" for address in wire.ADDRESSES))
    for empty in ("keys", "results", "term"):
        (folder / empty).mkdir()
        (folder / empty).chmod(0o1777)
    wire.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "keys" / "id_rsa"))
    (folder / "keys" / "id_rsa.pub").rename(folder / "keys" / "authorized_keys")
    (folder / "keys" / "id_rsa").chmod(0o644)
