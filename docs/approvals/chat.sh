#!/bin/sh
# Posts a request for approval into a chat channel. The operator's file names it:
#   approvals: {notify: [/usr/local/libexec/chat.sh, "https://chat.example.com/hooks/XXXX"]}
# Reads the request on standard input; needs curl and jq.
set -eu
jq '{text: ("*\(.agent)* (\(.version), \(.environment)) wants `\(.operation)` with "
  + (.arguments | tojson | .[0:1500])
  + "\nIt needs: \(.needs), until \(.until). Read it and sign it with:\n"
  + "`ensign-gateway approvals approve \(.id) --config /etc/ensign/gateway.yaml --key ~/.ssh/id_ed25519`")}' |
    curl -sS --fail --max-time 20 -H 'Content-Type: application/json' --data-binary @- "$1"
