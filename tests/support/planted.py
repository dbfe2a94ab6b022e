"""Secrets that tests plant in variables, arguments and files, and the search for them in all that a verb leaves."""

from __future__ import annotations

from pathlib import Path

TOKEN = "hf_" + "PlAnTeD" * 5
PASSWORD = "planted-password-1"
API_KEY = "planted-api-key-22"
OTHER = "planted-other-secret-333"

# Each is where a user of such software really has one.
VARIABLES = {
    "HF_TOKEN": TOKEN,
    "NVIDIA_API_KEY": API_KEY,
    "TORCH_HUB_SECRET": OTHER,
    "PIP_INDEX_URL": f"http://planted-user:{PASSWORD}@127.0.0.1:9/simple",
    "HTTPS_PROXY": f"http://planted-user:{PASSWORD}@127.0.0.1:9",
}
ALL = (TOKEN, API_KEY, OTHER, PASSWORD, "planted-user")


def found_in(text: str | bytes) -> list[str]:
    """Return the planted secrets that a text holds."""
    content = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return [secret for secret in ALL if secret.encode() in content]


def found_below(folder: Path) -> dict[str, list[str]]:
    """Return the planted secrets in names and contents of all files below a folder, by file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(path): found_in(str(path.relative_to(folder))) + found_in(path.read_bytes()) for path in files}
    return {path: secrets for path, secrets in found.items() if secrets}
