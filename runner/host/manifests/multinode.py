"""What pods on several nodes share, whatever starts them: the first runs bench, all let it start ranks over ssh.

The vendor starts ranks on several nodes by DeepSpeed's launcher, a hostfile and pdsh over ssh (optimum-habana's gaudi_spawn.py
--hostfile); so does this. The ssh is the pod's own user's, on a port that needs no privilege: the pods stay restricted.
"""

import shlex

from runner.contract.errors import Unsupported
from runner.host.manifests import pod
from runner.host.manifests.network import SSH_PORT
from runner.host.objects import names

HOME = "/home/bench"
KEYS = f"{HOME}/.ssh"
REACH_S = 600  # a worker's image may still be pulled when the first pod runs

# sshd and ssh look a user up, and the images have none of this number; ssh reads no options from a home that is a mounted Secret.
FILES = {
    "passwd": f"root:x:0:0:root:/root:/bin/sh\nbench:x:{pod.UID}:{pod.UID}:bench:{HOME}:/bin/sh\n",
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
PLACES = {"passwd": "/etc/passwd", "ssh_config": "/etc/ssh/ssh_config"}


def shell_files(site):
    """Return the ConfigMap with what ssh needs and the images lack."""
    metadata = {"name": names.config("ssh", FILES), "namespace": site.namespace, "labels": names.common_labels()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": FILES}


def first(site, run, config_name, models, hostfile, before=None):
    """Return the pod template that runs bench, once every host of ``hostfile`` answers; ``before`` is a shell line that makes it."""
    bench = shlex.join([*pod.RUNNER, *pod.bench_arguments(run), "--hostfile", hostfile])
    reach = shlex.join([*pod.RUNNER, "reach", hostfile, "--port", str(SSH_PORT), "--within-s", str(REACH_S)])
    script = f"{_sshd()} & {reach} && exec {bench}"
    return _template(site, run, config_name, models, f"{before}; {script}" if before else script)


def other(site, run, config_name, models):
    """Return the pod template that lends its devices to the first; it needs no volume of results."""
    template = _template(site, run, config_name, models, f"exec {_sshd()}")
    spec = template["spec"]
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "results"]
    for container in spec["containers"]:
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "results"]
    return template


def _sshd():
    return shlex.join([*pod.RUNNER, "sshd", "--port", str(SSH_PORT), "--keys", KEYS])


def _template(site, run, config_name, models, script):
    if site.platform_ids:
        raise Unsupported(
            "Pods on several nodes log in to each other as a user who is known beforehand. Leave --platform-ids out, or take"
            " the sets of one node."
        )
    template = pod.bench(site, run, config_name, models=models)
    container = template["spec"]["containers"][0]
    container["command"] = ["/bin/sh", "-c", script]
    container["ports"] = [{"name": "ssh", "containerPort": SSH_PORT}]
    container["volumeMounts"] += [
        {"name": "ssh-files", "mountPath": path, "subPath": name, "readOnly": True} for name, path in PLACES.items()
    ]
    template["spec"]["volumes"].append({"name": "ssh-files", "configMap": {"name": names.config("ssh", FILES)}})
    return template
