"""The pods on several nodes, which MPIJobs and JobSets share. The first pod runs `bench`, and every pod lets `bench` start ranks by ssh.

The vendor starts ranks on several nodes by DeepSpeed's launcher, a hostfile and pdsh over ssh (optimum-habana's gaudi_spawn.py
--hostfile); so does this kit. sshd runs as the user of the pod, on a port that needs no privilege: the pods stay restricted.
"""

from __future__ import annotations

import shlex

from runner.contract.errors import Unsupported
from runner.contract.records import JsonObject
from runner.host.manifests import config, installation, pod
from runner.host.manifests.containers import RUNNER, UID
from runner.host.manifests.network import SSH_PORT
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.manifests.storage import Claims
from runner.host.objects import names

HOME = "/home/bench"
KEYS = f"{HOME}/.ssh"
# How long the first pod waits for the others. The image of a worker may still be pulled when the first pod runs.
REACH_S = 600

# sshd and ssh look up the user, and the images have no user of this number. ssh reads no options from a home that is a mounted Secret.
FILES = {
    "passwd": f"root:x:0:0:root:/root:/bin/sh\nbench:x:{UID}:{UID}:bench:{HOME}:/bin/sh\n",
    "ssh_config": f"""Host *
  Port {SSH_PORT}
  User bench
  IdentityFile {KEYS}/id_rsa
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  BatchMode yes
  ConnectTimeout 5
  ConnectionAttempts 12
  ServerAliveInterval 30
  ServerAliveCountMax 4
""",
}
PATHS = {"passwd": "/etc/passwd", "ssh_config": "/etc/ssh/ssh_config"}


def shell_files(site: Site) -> JsonObject:
    """Return the ConfigMap with the files that ssh needs and the images lack."""
    return config.immutable(site, names.config("ssh", FILES), FILES)


def first(
    site: Site, plan: JobPlan, config_name: str, claims: Claims, hostfile: str, write_hostfile: str | None = None
) -> JsonObject:
    """Return the pod template that runs `bench` once every host of ``hostfile`` answers.

    ``write_hostfile`` is the shell line that writes the hostfile, None where an operator does.
    """
    bench = shlex.join([*RUNNER, *pod.bench_arguments(plan), "--hostfile", hostfile])
    reach = shlex.join([*RUNNER, "reach", hostfile, "--port", str(SSH_PORT), "--within-s", str(REACH_S)])
    script = f"{_sshd()} & {reach} && exec {bench}"
    script = f"{write_hostfile}; {script}" if write_hostfile else script
    return _template(site, plan, config_name, claims, script)


def other(site: Site, plan: JobPlan, config_name: str, claims: Claims) -> JsonObject:
    """Return the pod template that lends its devices to the first pod. The pod needs no volume of results."""
    template = _template(site, plan, config_name, claims, f"exec {_sshd()}")
    spec = template["spec"]
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "results"]
    for container in spec["containers"]:
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "results"]
    return template


def _sshd() -> str:
    return shlex.join([*RUNNER, "sshd", "--port", str(SSH_PORT), "--keys", KEYS])


def _template(site: Site, plan: JobPlan, config_name: str, claims: Claims, script: str) -> JsonObject:
    if site.platform_ids:
        raise Unsupported(
            "Pods on several nodes log in to each other as a user who is known beforehand. Leave --platform-ids out, or take"
            " the sets of one node."
        )
    template = pod.bench(site, plan, config_name, claims)
    container = template["spec"]["containers"][0]
    container["command"] = [*installation.enter(plan.installation), "/bin/sh", "-c", script]
    container["ports"] = [{"name": "ssh", "containerPort": SSH_PORT}]
    container["volumeMounts"] += [
        {"name": "ssh-files", "mountPath": path, "subPath": name, "readOnly": True} for name, path in PATHS.items()
    ]
    template["spec"]["volumes"].append({"name": "ssh-files", "configMap": {"name": names.config("ssh", FILES)}})
    return template
