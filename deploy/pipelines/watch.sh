#!/bin/sh
# Watches what was registered, with the bridge armed, and fails the job if it was rolled back.
#
# Exit codes: 0 not rolled back; 1 rolled back; 2 nobody can tell (UNSURE=pass makes it 0, with a warning, if it was
# watched to the end: for the time in which receiver.yml says observe or approve).
set -eu
. "$(dirname "$0")/flows.sh"

[ -s "$DEPLOYMENT" ] || cannot "$DEPLOYMENT is empty or missing: register.sh has not run"
# What the watch says, and how it ends, are kept beside the id.
rm -f "$DEPLOYMENT.said" "$DEPLOYMENT.ended"

# A program that is killed, missing or broken has exit codes too: one is believed only with the line that goes with it.
told() {
    grep -q "^[0-9:]*  $1" "$DEPLOYMENT.said"
}

{
    status=0
    rollbackctl watch --org "$ORG" --deployment "$(cat "$DEPLOYMENT")" --for "${WATCH_FOR:-15m}" || status=$?
    echo "$status" > "$DEPLOYMENT.ended"
} | tee "$DEPLOYMENT.said"
case $(cat "$DEPLOYMENT.ended" || :) in
    0) if told 'ended      good: '; then exit 0; fi ;;
    1)
        if told 'ended      ROLLED BACK: '; then
            say 'the bridge has rolled it back, or waits for leave to: see above'
            exit 1
        fi
        ;;
    2)
        if [ "${UNSURE:-fail}" = pass ] && told 'watching ' && told 'ended      CANNOT TELL: '; then
            say 'nobody can tell whether it is good, and UNSURE says that this will do: see above'
            exit 0
        fi
        ;;
esac
cannot 'nobody can tell whether it is good: see above'
