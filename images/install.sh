#!/bin/sh
# Make /opt/bench, the environment of a stack: its locked packages, from the wheels in the build context alone.
# Needs no network. Arguments go to venv: --system-site-packages where the base brings torch. Runs in the build stage of an image,
# whose context lies below /, or in a pod that installs the stack by itself: BLOOMZ_BENCH_CONTEXT is the context's folder there.
set -eu
context=${BLOOMZ_BENCH_CONTEXT:-}
environment=${BLOOMZ_BENCH_ENVIRONMENT:-/opt/bench}
umask 022
# A .pyc holds bytes that differ from build to build; neither pip nor a setup.py that imports torch may leave one.
export PYTHONDONTWRITEBYTECODE=1

# A Python that comes from another image was linked there, and finds here what the base has. What draws windows and terminals, keeps
# keys in files, plays sound or asks old directories may lack its library; nothing in an image needs it.
python3 - << 'EOF'
import importlib, pathlib, sys

UNNEEDED = {"_curses", "_curses_panel", "_dbm", "_gdbm", "_tkinter", "nis", "ossaudiodev", "readline"}
(folder,) = [pathlib.Path(path) for path in sys.path if path.endswith("lib-dynload")]
missing = []
for name in sorted({file.name.split(".")[0] for file in folder.glob("*.so")} - UNNEEDED):
    try:
        importlib.import_module(name)
    except ImportError as problem:
        missing.append(f"{name} ({problem})")
if missing:
    print(
        f"The Python of this image lacks libraries on this base: {', '.join(missing)}."
        " Name a base that has them, or another interpreter.",
        file=sys.stderr,
    )
    sys.exit(1)
EOF

# A pod may start this again, after a try that was ended half way.
rm -rf /tmp/source /tmp/built

python3 -m venv --clear --without-pip "$@" "$environment"
pip="$environment/bin/python $(echo "$context"/tools/pip-*.whl)/pip --disable-pip-version-check --no-cache-dir"

# The one form of pip. What the base has already is installed again beside it, since pip checks no hash of what is there.
locked() {
    $pip install --no-index --find-links "$context/wheels" --require-hashes --no-deps --ignore-installed --no-compile \
        --root-user-action ignore --quiet "$@"
}

locked --only-binary :all: -r "$context/requirements/wheels.txt"

# What has no wheel is built beside the stack's torch by its own setuptools, without a kernel compiled. An old setuptools
# needs `wheel`, which is read from its file and installed nowhere. DeepSpeed's setup.py lists its extras out of a set, in the
# order of the hash.
PYTHONPATH=$(echo "$context"/tools/wheel-*.whl)
export PYTHONPATH DS_BUILD_OPS=0 PYTHONHASHSEED=0

if [ -s "$context/requirements/sources.txt" ]; then
    locked --no-binary :all: --no-build-isolation -r "$context/requirements/sources.txt"
fi

# Git sources become wheels first, under the version that pip gives a checkout of theirs and at the time of their own commit, so
# that a wheel's sha256 stays while the kit moves on; built.txt keeps it.
while read -r name commit epoch sha256; do
    cp -R "$context/sources/$name" /tmp/source
    SOURCE_DATE_EPOCH="$epoch" DS_BUILD_STRING="+$(echo "$commit" | cut -c 1-7)" \
        $pip wheel --no-index --no-deps --no-build-isolation --quiet --wheel-dir "/tmp/built/$name" /tmp/source
    wheel=$(echo "/tmp/built/$name"/*.whl)
    sha256sum "$wheel" | cut -d ' ' -f 1 > /tmp/sha256
    [ "$sha256" != unresolved ] || sha256=$(cat /tmp/sha256)
    echo "$name @ file://$wheel --hash=sha256:$sha256" > /tmp/requirements.txt
    locked --only-binary :all: -r /tmp/requirements.txt
    echo "$name $sha256" >> "$environment/built.txt"
    rm -r /tmp/source
done < "$context/requirements/git.txt"

# Programs are compiled by a script of their own. Source and licence stay beside them, as the GPL asks of whoever hands one on.
while read -r name; do
    mkdir -p "$environment/src"
    cp -R "$context/sources/$name" "$environment/src/$name"
    cp -R "$context/sources/$name" /tmp/source
    (cd /tmp/source && sh "$context/programs/$name.sh" "$environment/bin" < /dev/null)
    rm -r /tmp/source
done < "$context/requirements/programs.txt"
