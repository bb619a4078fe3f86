#!/usr/bin/env bash
# Takes away bookinfo and the rules for its traffic, whichever of the files beside were applied.
#
#   cleanup.sh              asks for the namespace
#   NAMESPACE=default cleanup.sh
#
# KUBECTL names another program in the place of kubectl.
set -euo pipefail

directory=$(cd "$(dirname "$0")" && pwd)
kubectl=${KUBECTL:-kubectl}

if [ -z "${NAMESPACE:-}" ]; then
    read -r -p 'namespace [default]: ' NAMESPACE
    NAMESPACE=${NAMESPACE:-default}
fi

# A kind that is not installed has nothing to take away.
for kind in virtualservices destinationrules gateways.networking.istio.io serviceentries routerules destinationpolicies; do
    for name in bookinfo bookinfo-gateway productpage reviews ratings details googleapis; do
        $kubectl delete --namespace "$NAMESPACE" --ignore-not-found "$kind/$name" 2>/dev/null || true
    done
done
for file in bookinfo-ratings-v2 bookinfo-ratings-v2-mysql bookinfo-db bookinfo-mysql bookinfo-details-v2 bookinfo; do
    $kubectl delete --namespace "$NAMESPACE" --ignore-not-found -f "$directory/$file.yaml"
done
echo "bookinfo is gone from the namespace $NAMESPACE"
