"""Each form takes what people really have, and nothing that a program would read as something else."""

import pytest

from runner.contract import patterns

TAKEN = {
    "SHA256": ["1" * 64],
    "LOCKED_SHA256": ["0123456789abcdef" * 4],
    "VERSION": ["1.0", "2.0.1a0+git7", "1!2.0-RC1", "1.9.0-fw-42.0.1"],
    "PACKAGE": ["six", "huggingface-hub", "py-cpuinfo"],
    "NAME": ["gaudi2-8-bloomz-7b1", "gaudi-1.10"],
    "ROW": ["tldr_news", "post-3-gaudi2-8-bloomz"],
    "LICENSE": ["GPL-2.0-or-later", "Apache-2.0 WITH LLVM-exception OR MIT"],
    "REPOSITORY": [
        "docker.io/library/python",
        "localhost:5000/a/b__c",
        "vault.habana.ai/gaudi-docker/1.9.0/x",
        "python",
    ],
    "TAG": ["3.12-slim-bookworm", "_a", "1"],
    "IMAGE": ["registry.example/kit/cpu@sha256:" + "1" * 64, "registry.example:5000/cpu:1@sha256:" + "1" * 64],
    "LOCAL_IMAGE": ["localhost/base:latest", "1f2e3d4c", "sha256:" + "1" * 64],
    "GIT_URL": [
        "https://github.com/a/b.git",
        "ssh://git@host.example:22/a/b",
        "file:///srv/a%20b",
        "https://[::1]:8443/a",
    ],
    "INDEX_URL": ["https://download.pytorch.org/whl/cpu", "http://127.0.0.1:8080/simple", "http://localhost/simple/"],
    "BRANCH": ["main", "1.9.0", "release/1.9.0", "v1.20-release"],
    "SHORT_COMMIT": ["648a475"],
    "HUB_REPOSITORY": ["bigscience/bloomz-7b1", "gpt2", "JulesBelveze/tldr_news"],
    "HUB_CONFIGURATION": ["all", "wikitext-2-raw-v1", "20220301.en"],
    "HUB_SPLIT": ["test", "train[:10%]"],
    "FILE_PATH": ["model-00001-of-00072.safetensors", "a/b.bin"],
    "REQUIREMENTS_FILE": ["requirements/host.txt", "images/cpu/torch-cpu.txt"],
    "MANIFESTS_FOLDER": [".", "multinode", "a/b"],
    "SUBDOMAIN": ["standard", "premium.rwo", "a" * 253],
    "LABEL_KEY": ["nvidia.com/gpu.product", "pool"],
    "LABEL_VALUE": ["NVIDIA-A100-SXM4-80GB", ""],
    "RESOURCE": ["cpu", "habana.ai/gaudi"],
    "VARIABLE": ["HCCL_SOCKET_IFNAME"],
    "TEXT": ["the same post, second revision", "Größe: 3 µs", "13$ “approximately”"],
    "FOREIGN_NAME": ["Comments [2024].csv", "e\u0301t\u00e9", "a\u00a0b", "日本語"],
    "PROMPT": ["DeepSpeed is\na framework\t.", "हिन्दी"],
}
REFUSED = {
    "SHA256": ["0" * 64, "A" * 64, "1" * 63, "1" * 64 + "\n", "\u0661" * 64],
    "LOCKED_SHA256": ["0" * 64, "f" * 64],
    "VERSION": ["^4", "1.0 ", "1.0\n", "1.0;", "-1", "v1", "1.0 @ https://x", "1.0 # x"],
    "PACKAGE": ["six @ https://x #", "Six", "six_x", "-six", "six-", "s\u0456x", "six[extra]", "six\n"],
    "NAME": ["../x", "a/b", "A", "a\n", "g\u0430udi", "-a", "a-", "a" * 41],
    "LICENSE": ["MIT\nx", "GPL 2", "MIT; touch x"],
    "REPOSITORY": [
        "--x",
        "docker.io//x",
        "A/B",
        "a/../b",
        "a@sha256:1",
        "https://a/b",
        "a b",
        "d\u043ecker.io/x",
        "a/" + "b" * 500,
    ],
    "TAG": [".x", "-x", "a/b", "a" * 129, "a\n"],
    "IMAGE": ["cpu:latest", "cpu", "cpu@sha256:" + "0" * 64, "--x@sha256:" + "1" * 64, "cpu@sha256:" + "1" * 64 + "\n"],
    "LOCAL_IMAGE": ["--help", "-f", "a b", ""],
    "GIT_URL": [
        *("--upload-pack=touch PWN;", "ext::sh -c touch% PWN", "fd::7", "git://host/x", "http://host.example/x"),
        *("https://user:password@host/x", "https://token@host/x", "ssh://-oProxyCommand=x/y", "ssh://-x@host/y"),
        *("git@host:a/b", "/srv/git", "file:/srv", "https://host/a b", "https://host/a\n", "https://h\u043est/x"),
    ],
    "INDEX_URL": ["http://index.example/simple", "https://u:p@index.example/", "--index", "https://a/b?c", "file:///x"],
    "BRANCH": ["-x", "--x", "a..b", "a//b", "a.lock", "a/", "a/.b", "a b", "a\n", "a~1", "a:b", "@{u}", "+a"],
    "HUB_REPOSITORY": ["../x", "a/b/c", "a--b/c", "-a/b", "a/b.", "https://a/b"],
    "HUB_SPLIT": ["test[", "a b", "$(x)"],
    "FILE_PATH": ["../a.bin", "/a.bin", "a/../b", ".hidden", "-a", "a//b", "a\\b"],
    "REQUIREMENTS_FILE": [
        "../outside/x",
        "versions.lock",
        "runner/x.txt",
        "requirements/../x.txt",
        "images/a/b/c.txt",
        "/x.txt",
    ],
    "MANIFESTS_FOLDER": ["..", "../x", "/x", "a/..", "./a", ""],
    "SUBDOMAIN": ["a b", "A", "a..b", "-a", "a\n", "a" * 254],
    "LABEL_VALUE": ["-a", "a b", "a" * 64],
    "RESOURCE": ["gpu", "nvidia.com/", "/gpu"],
    "VARIABLE": ["1A", "A-B", "A=B", "\u0410"],
    "TEXT": [
        "",
        "a\x1b[2J",
        "a\nb",
        "a\u200bb",
        "a\u202eb",
        "a\u3164b",
        "a\ufeff",
        "e\u0301",
        "a\udcff",
        "a\u2028b",
        "x" * 4001,
    ],
    "FOREIGN_NAME": ["a\x00", "a\nb", "a\u200b", "a\udcff"],
    "PROMPT": ["", "a\x1b", "a\rb", "a\u200bb", "a\x00"],
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_form_takes_what_people_really_have(name: str) -> None:
    assert [patterns.problem(getattr(patterns, name), text) for text in TAKEN[name]] == [None] * len(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_refuses_what_would_be_read_as_something_else(name: str) -> None:
    form = getattr(patterns, name)
    assert [text for text in REFUSED[name] if form.fullmatch(text)] == []


def test_the_error_says_what_is_wanted_and_shows_other_letters_in_ascii() -> None:
    assert patterns.problem(patterns.VERSION.or_unresolved(), "unresolved") is None
    assert patterns.problem(patterns.PACKAGE, "s\u0456x") == (
        "must be the normalised name of a package, such as huggingface-hub, 's\\u0456x' was found"
    )
    assert patterns.problem(patterns.SHA256, "0" * 64).endswith(f"'{'0' * 64}' was found, a placeholder")
    assert len(patterns.problem(patterns.TEXT, "x" * 10**6)) < 400
