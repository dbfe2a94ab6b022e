"""What maintainers run beside the verbs: a release, a version of the lock for make. Nothing in ``runner`` imports from here."""
