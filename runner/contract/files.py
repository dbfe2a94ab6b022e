"""Hash files in blocks; some hold hundreds of gigabytes."""

import hashlib

_BLOCK_BYTES = 1 << 20


def sha256_of_file(path):
    """Return the hex sha256 of a file's bytes. Raises ``OSError`` where it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()
