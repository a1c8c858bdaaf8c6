#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets up what is missing, builds, and shows unmodified programs going through a Nym network on this machine.
set -eu
cd "$(dirname "$0")/.."
tools/setup.sh
[ -f build/build.ninja ] || meson setup build >/dev/null
ninja -C build --quiet
exec python3 tests/e2e/demo.py "$@"
