#!/bin/sh
# Registers what was just deployed as one change set: the flows are rolled back as one, and the gate knows them again.
#
# Only after a deployment that has succeeded: the receiver takes what is live now for what was deployed.
set -eu
. "$(dirname "$0")/flows.sh"

: "${COMMIT:?is not set: what was deployed}"
options=$(flow_options) || exit 2
# shellcheck disable=SC2086 # words
made=$(try_again rollbackctl --output json deployments register --org "$ORG" $options --commit "$COMMIT" \
    --rollback "${ROLLBACK:-auto}" ${ACTOR:+--actor "$ACTOR"} ${RUN_URL:+--link "$RUN_URL"}) ||
    cannot 'deployed, but not registered, and not watched from here'
id_of "$made" > "$DEPLOYMENT"
[ -s "$DEPLOYMENT" ] || cannot 'registered, but the answer has no id, and nothing is watched from here'
say "deployment $(cat "$DEPLOYMENT")"
