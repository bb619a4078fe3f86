#!/usr/bin/env bash
# Takes away bookinfo and the rules for its traffic: what ../platform/kube/cleanup.sh does, where the first tutorials name it.
exec "$(dirname "$0")/../platform/kube/cleanup.sh" "$@"
