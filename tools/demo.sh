#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets up what is missing, builds, and shows unmodified programs going through a Nym network on this machine.
#
#   tools/demo.sh [default|fast]    the traffic profile
set -eu
cd "$(dirname "$0")/.."
case "${1:-default}" in
default | fast) ;;
*) sed -n '3,/^set/s/^# \{0,1\}//p' tools/demo.sh >&2 && exit 2 ;;
esac
tools/setup.sh
[ -f build/build.ninja ] || meson setup build >/dev/null
ninja -C build --quiet
exec python3 tests/e2e/demo.py "$@"
