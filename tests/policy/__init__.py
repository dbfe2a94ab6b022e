"""A policy linter over the manifests: what is rendered passes, and what is spoilt does not."""
