# SPDX-License-Identifier: MIT
# common.sh - sourced by the examples: programs from the build, a run directory
# that goes at the end.
here=$(cd "${0%/*}/.." && pwd)
PATH=${BUILD:-$here/build/release}/bin:/usr/sbin:/sbin:$PATH
tmp=$(mktemp -d /var/tmp/pvsplit.XXXXXX)
PVSPLIT_RUN=$tmp/run
export PVSPLIT_RUN
trap 'pvsplit down; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
