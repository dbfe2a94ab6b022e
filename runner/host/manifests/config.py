"""The requests of a set in one immutable ConfigMap: a pod reads the very bytes that its name was made of."""

from runner.contract import strictjson
from runner.host.objects import names


def requests(site, set_name, runs):
    data = {file_name(run.request): strictjson.pretty(run.request.to_json()) for run in runs}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.config(set_name, data),
            "namespace": site.namespace,
            "labels": names.common_labels(),
        },
        "immutable": True,
        "data": data,
    }


def file_name(request):
    return f"{request.case}.json"


def path(request):
    """Return where a pod finds the request."""
    return f"/config/{file_name(request)}"
