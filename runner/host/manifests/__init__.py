"""The Kubernetes objects, made of plain values by pure functions: one sibling module per kind of object.

names       names, labels and annotations, said once
run, site   what one Job runs; what a user's cluster is like
pod         the pod template of a bench and of a prefetch, and where they may run
job         batch/v1 Jobs around them; mpijob and jobset for more than one node
storage, config, network, accounts      what the Jobs stand on
sets, text  one folder, file by file; objects as YAML, always the same bytes
check       the rules for objects that are applied together: refused (by an API server), promised (by the kit), restricted (by
            the Pod Security Standard), each traceable to its source; objects walks over pods and containers for them
"""
