#!/bin/sh
# Mails a request for approval, the file attached. The operator's file names it:
#   approvals: {notify: [/usr/local/libexec/mail.sh, approvers@example.com]}
# Reads the request on standard input; needs jq, base64 and a sendmail.
set -eu
file=$(mktemp)
trap 'rm -f "$file"' EXIT
cat > "$file"
id=$(jq -r .id "$file")
{
    printf 'To: %s\nSubject: approval %s: %s wants %s\n' "$1" "$id" "$(jq -r .agent "$file")" "$(jq -r .operation "$file")"
    printf 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=ensign\n\n'
    printf -- '--ensign\nContent-Type: text/plain; charset=utf-8\n\n'
    printf 'Read the file, sign it, and send the signature back:\n\n'
    printf '  ssh-keygen -Y sign -n ensign-approval -f ~/.ssh/id_ed25519 %s.json\n\n' "$id"
    printf 'To refuse, sign with -n ensign-denial.\n'
    printf -- '--ensign\nContent-Type: application/json; name="%s.json"\n' "$id"
    printf 'Content-Disposition: attachment; filename="%s.json"\nContent-Transfer-Encoding: base64\n\n' "$id"
    base64 "$file"
    printf -- '--ensign--\n'
} | "${SENDMAIL:-/usr/sbin/sendmail}" -i -t
