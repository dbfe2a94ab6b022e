"""The Kubernetes objects of a set of cases, made of plain values by pure functions: one sibling module per kind of object.

Nothing here reads a file, talks to a cluster, or looks at what runs.

plan, site          what one Job runs; how a user's cluster differs from any other
pod                 the pod templates of bench and prefetch, and where they may run
job                 batch/v1 Jobs around them
mpijob, jobset      MPIJobs and JobSets, for several nodes; multinode is what the two share
storage, config, network, accounts      the objects that Jobs need: claims, requests, network policies, account and role
nodefeatures        the rule by which Node Feature Discovery labels nodes
products            the table of products, which is no manifest and which the containers read
sets, text          one folder, file by file; objects as YAML, always the same bytes
check               every rule on objects that are applied together
rules/              the rules: those of an API server, of the Pod Security Standard, and of this kit
"""
