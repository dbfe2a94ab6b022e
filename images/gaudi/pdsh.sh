#!/bin/sh
# Compile pdsh, through which DeepSpeed starts the ranks of other hosts, into a folder: $1. Runs in the folder of its source.
# Its modules are compiled in: from a folder it would take them only where nobody but root or its user may write, up to /.
set -eu

./configure --quiet --enable-static-modules --with-ssh --with-rcmd-rank-list=ssh --without-rsh --without-readline \
    CFLAGS=-O2 LDFLAGS="-s -Wl,--build-id=none"
make --silent
cp src/pdsh/pdsh "$1/pdsh"
