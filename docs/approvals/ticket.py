#!/usr/bin/env python3
"""What a ticket system needs to answer for people who have no key: its public key, and a token for each answer.

    ticket.py keys KEY.pem > tickets.jwks
    ticket.py answer KEY.pem REQUEST.json --person ada@example.com [--deny] > REQUEST.jwt

KEY.pem is a private RSA key: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out KEY.pem. Needs openssl.
"""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import time


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words: str, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


def keys(key: str) -> None:
    text = openssl("rsa", "-in", key, "-noout", "-modulus").decode()
    found = re.search(r"Modulus=([0-9A-F]+)", text)
    if not found:
        sys.exit(f"{key} is not an RSA key")
    number = base64url(bytes.fromhex(found.group(1)))
    print(json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "tickets", "n": number, "e": "AQAB"}]}))


def answer(arguments: argparse.Namespace) -> None:
    with open(arguments.request, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    now = int(time.time())
    claims = {
        "iss": arguments.issuer, "aud": arguments.audience, "sub": arguments.person, "iat": now, "exp": now + 600,
        "ensign_request": f"sha256:{digest}", "ensign_decision": "deny" if arguments.deny else "approve",
    }
    head = base64url(json.dumps({"alg": "RS256", "typ": "JWT", "kid": "tickets"}).encode())
    body = f"{head}.{base64url(json.dumps(claims).encode())}"
    print(f"{body}.{base64url(openssl('dgst', '-sha256', '-sign', arguments.key, data=body.encode()))}")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=["keys", "answer"])
parser.add_argument("key")
parser.add_argument("request", nargs="?")
parser.add_argument("--person")
parser.add_argument("--deny", action="store_true")
parser.add_argument("--issuer", default="https://tickets.example.com")
parser.add_argument("--audience", default="ensign")
given = parser.parse_args()
if given.what == "keys":
    keys(given.key)
elif not given.request or not given.person:
    parser.error("answer needs REQUEST.json and --person")
else:
    answer(given)
