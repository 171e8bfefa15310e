"""Writes one comment on a pull request, and keeps it up to date: GitHub, GitLab, Forgejo and Gitea.

    ensign plan ... --output markdown | python3 comment.py

Standard library only. What it needs it finds in the variables that the forge's CI sets, and a token: `GITHUB_TOKEN`,
`FORGEJO_TOKEN`, or for GitLab `GITLAB_TOKEN` (a project access token with the scope `api`). A comment is at most 60,000
characters, below what every forge takes: a longer plan is cut between two lines, and says so.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any, Optional

MARKER = "<!-- ensign plan -->"
LIMIT = 60_000
Request = dict[str, Any]


def text(plan: str, limit: int = LIMIT) -> str:
    """Returns the comment: marked, and cut so that what it opened is closed again."""
    body = f"{MARKER}\n{plan.strip() or 'Nothing would change.'}\n"
    if len(body) <= limit:
        return body
    note = "\n\n**The plan is longer than a comment may be.** The job's log has all of it.\n"
    kept: list[str] = []
    length = len(note) + 100  # Room for what has to be closed.
    fence = ""
    details = 0
    for line in body.splitlines():
        if length + len(line) + 1 > limit:
            break
        kept.append(line)
        length += len(line) + 1
        mark = line.lstrip()
        if mark.startswith(("```", "~~~")):
            run = mark[: len(mark) - len(mark.lstrip(mark[0]))]
            fence = run if not fence else "" if mark.startswith(fence) and not mark.strip(mark[0]).strip() else fence
        elif not fence:
            details += line.count("<details") - line.count("</details>")
    return "\n".join([*kept, *([fence] if fence else []), *["\n</details>"] * max(details, 0)]) + note


class Forge:
    """The comments of one pull request. All three forges speak JSON, and differ in where."""

    def __init__(self, comments: str, one: str, headers: dict[str, str], method: str) -> None:
        self.comments, self.one, self.headers, self.method = comments, one, headers, method

    def ask(self, method: str, address: str, value: Optional[Request] = None) -> Any:
        data = None if value is None else json.dumps(value).encode()
        headers = {"content-type": "application/json", "accept": "application/json", **self.headers}
        request = urllib.request.Request(address, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def existing(self) -> Optional[int]:
        """Returns the number of the comment that we wrote before."""
        for page in range(1, 31):
            found = self.ask("GET", f"{self.comments}?per_page=100&limit=100&page={page}")
            for comment in found:
                if comment.get("body", "").startswith(MARKER):
                    return int(comment["id"])
            if not found:
                return None
        return None

    def write(self, body: str) -> str:
        number = self.existing()
        if number is None:
            self.ask("POST", self.comments, {"body": body})
            return "written"
        self.ask(self.method, self.one.format(number), {"body": body})
        return "updated"


def forge(variables: dict[str, str]) -> Optional[Forge]:
    """Returns where to write, or None outside of a pull request."""
    if variables.get("GITLAB_CI"):
        if not (number := variables.get("CI_MERGE_REQUEST_IID")):
            return None
        place = f"{variables['CI_API_V4_URL']}/projects/{variables['CI_PROJECT_ID']}/merge_requests/{number}/notes"
        return Forge(place, place + "/{}", {"private-token": variables["GITLAB_TOKEN"]}, "PUT")
    # Forgejo's and Gitea's actions set GitHub's variables.
    with open(variables["GITHUB_EVENT_PATH"], encoding="utf-8") as file:
        number = json.load(file).get("pull_request", {}).get("number")
    if not number:
        return None
    address = f"{variables['GITHUB_API_URL']}/repos/{variables['GITHUB_REPOSITORY']}/issues"
    token = variables.get("FORGEJO_TOKEN") or variables["GITHUB_TOKEN"]
    headers = {"authorization": f"{'token' if 'FORGEJO_TOKEN' in variables else 'Bearer'} {token}"}
    return Forge(f"{address}/{number}/comments", address + "/comments/{}", headers, "PATCH")


def main() -> int:
    body = text(sys.stdin.read())
    try:
        place = forge(dict(os.environ))
        if place is None:
            print("no pull request: nothing to comment on")
            return 0
        print(f"comment {place.write(body)}")
    except KeyError as problem:
        print(f"error: the variable {problem} is not set", file=sys.stderr)
        return 1
    except urllib.error.HTTPError as problem:
        # A fork's token may not write: the plan is in the log, and the check does not depend on the comment.
        print(f"error: the forge refused the comment: {problem.code} {problem.reason}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"error: the forge cannot be reached: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
