"""
Payloads of forges' webhooks, in the forms that their documentation describes.
"""

from typing import Any

A, B, C, ZERO = "a" * 40, "b" * 40, "c" * 40, "0" * 40
WHEN = "2026-11-20T10:00:00+01:00"


def _github_commit(id: str, message: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "tree_id": C,
        "distinct": True,
        "message": message,
        "timestamp": WHEN,
        "url": f"https://github.example/o/r/commit/{id}",
        "author": {"name": "Ann Lee", "email": "ann@example.org", "username": "ann"},
        "committer": {"name": "Web", "email": "web@example.org", "username": "web"},
        "added": ["new.c"],
        "removed": [],
        "modified": ["old.c"],
        **more,
    }


GITHUB_REPOSITORY = {
    "id": 1,
    "name": "r",
    "full_name": "o/r",
    "private": False,
    "html_url": "https://github.example/o/r",
    "clone_url": "https://github.example/o/r.git",
    "ssh_url": "git@github.example:o/r.git",
    "git_url": "git://github.example/o/r.git",
}


def github_push(**changes: Any) -> dict[str, Any]:
    """
    A push of two commits.
    """
    commits = [_github_commit(A, "first"), _github_commit(B, "second\n\nmore of it")]
    return {
        "ref": "refs/heads/main",
        "before": C,
        "after": B,
        "created": False,
        "deleted": False,
        "forced": False,
        "compare": "https://github.example/o/r/compare/x...y",
        "commits": commits,
        "head_commit": commits[-1],
        "repository": GITHUB_REPOSITORY,
        "pusher": {"name": "ann", "email": "ann@example.org"},
        "sender": {"login": "ann", "id": 7},
        **changes,
    }


def github_pull_request(source: str | None = "someone/r", **changes: Any) -> dict[str, Any]:
    """
    A pull request from the repository *source*; None: it was deleted.
    """
    return {
        "action": "opened",
        "number": 7,
        "pull_request": {
            "number": 7,
            "html_url": "https://github.example/o/r/pull/7",
            "title": "Mend it",
            "body": None,
            "commits": 2,
            "updated_at": "2026-11-20T09:00:00Z",
            "head": {"ref": "mend", "sha": B, "repo": None if source is None else {"full_name": source}},
            "base": {"ref": "main", "sha": A, "repo": {"full_name": "o/r"}},
            "user": {"login": "someone"},
        },
        "repository": GITHUB_REPOSITORY,
        "sender": {"login": "someone"},
        **changes,
    }


GITLAB_PROJECT = {
    "id": 15,
    "name": "r",
    "web_url": "https://gitlab.example/o/r",
    "git_ssh_url": "git@gitlab.example:o/r.git",
    "git_http_url": "https://gitlab.example/o/r.git",
    "path_with_namespace": "o/r",
    "default_branch": "main",
}


def gitlab_push(**changes: Any) -> dict[str, Any]:
    """
    A push of two commits.
    """
    return {
        "object_kind": "push",
        "event_name": "push",
        "before": C,
        "after": B,
        "ref": "refs/heads/main",
        "checkout_sha": B,
        "user_id": 4,
        "user_name": "Ann Lee",
        "user_username": "ann",
        "project_id": 15,
        "project": GITLAB_PROJECT,
        "commits": [
            {
                "id": id,
                "message": message,
                "title": message,
                "timestamp": WHEN,
                "url": f"https://gitlab.example/o/r/-/commit/{id}",
                "author": {"name": "Ann Lee", "email": "ann@example.org"},
                "added": [],
                "modified": ["old.c"],
                "removed": [],
            }
            for id, message in ((A, "first"), (B, "second"))
        ],
        "total_commits_count": 2,
        **changes,
    }


def gitlab_merge_request(source: int | None = 99, **changes: Any) -> dict[str, Any]:
    """
    A merge request from the project *source* into project 15.
    """
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": {"id": 1, "name": "Some One", "username": "someone"},
        "project": GITLAB_PROJECT,
        "object_attributes": {
            "id": 99,
            "iid": 7,
            "title": "Mend it",
            "description": "because",
            "action": "open",
            "source_branch": "mend",
            "source_project_id": source,
            "target_branch": "main",
            "target_project_id": 15,
            "url": "https://gitlab.example/o/r/-/merge_requests/7",
            "last_commit": {
                "id": B,
                "message": "mend",
                "timestamp": WHEN,
                "author": {"name": "Some One", "email": "some@example.org"},
            },
            **changes,
        },
    }


GITEA_REPOSITORY = {
    "id": 1,
    "name": "r",
    "full_name": "o/r",
    "html_url": "https://gitea.example/o/r",
    "ssh_url": "git@gitea.example:o/r.git",
    "clone_url": "https://gitea.example/o/r.git",
}


def gitea_push(**changes: Any) -> dict[str, Any]:
    """
    A push of two commits, which Gitea lists newest first.
    """
    commits = [_github_commit(B, "second\n"), _github_commit(A, "first\n")]
    for each in commits:
        del each["distinct"], each["tree_id"]
    return {
        "ref": "refs/heads/main",
        "before": C,
        "after": B,
        "compare_url": "https://gitea.example/o/r/compare/x...y",
        "commits": commits,
        "head_commit": commits[0],
        "repository": GITEA_REPOSITORY,
        "pusher": {"login": "ann", "full_name": "Ann Lee", "email": "ann@example.org", "username": "ann"},
        "sender": {"login": "ann"},
        **changes,
    }


def gitea_pull_request(source: str | None = "someone/r", **changes: Any) -> dict[str, Any]:
    """
    A pull request from the repository *source*.
    """
    return {
        "action": "synchronized",
        "number": 7,
        "pull_request": {
            "number": 7,
            "title": "Mend it",
            "body": "because",
            "html_url": "https://gitea.example/o/r/pulls/7",
            "updated_at": WHEN,
            "head": {
                "label": "mend",
                "ref": "mend",
                "sha": B,
                "repo": None if source is None else {"full_name": source},
            },
            "base": {"label": "main", "ref": "main", "sha": A, "repo": {"full_name": "o/r"}},
        },
        "repository": GITEA_REPOSITORY,
        "sender": {"login": "someone", "full_name": ""},
        **changes,
    }


def _bitbucket_commit(id: str, message: str) -> dict[str, Any]:
    return {
        "hash": id,
        "type": "commit",
        "message": message,
        "date": WHEN,
        "author": {"raw": "Ann Lee <ann@example.org>", "user": {"display_name": "Ann Lee"}},
        "links": {"html": {"href": f"https://bitbucket.example/o/r/commits/{id}"}},
    }


BITBUCKET_REPOSITORY = {
    "type": "repository",
    "full_name": "o/r",
    "name": "r",
    "links": {"html": {"href": "https://bitbucket.example/o/r"}},
}


def bitbucket_push(*changes: dict[str, Any]) -> dict[str, Any]:
    """
    A push of two commits, which Bitbucket lists newest first; or of *changes*.
    """
    commits = [_bitbucket_commit(B, "second\n"), _bitbucket_commit(A, "first\n")]
    usual = {
        "new": {"type": "branch", "name": "main", "target": commits[0]},
        "old": {"type": "branch", "name": "main", "target": _bitbucket_commit(C, "before")},
        "created": False,
        "closed": False,
        "forced": False,
        "commits": commits,
        "truncated": False,
    }
    return {
        "actor": {"display_name": "Ann Lee"},
        "repository": BITBUCKET_REPOSITORY,
        "push": {"changes": list(changes) or [usual]},
    }


def bitbucket_pull_request(source: str = "someone/r", **changes: Any) -> dict[str, Any]:
    """
    A pull request from the repository *source*.
    """
    return {
        "actor": {"display_name": "Some One"},
        "repository": BITBUCKET_REPOSITORY,
        "pullrequest": {
            "id": 7,
            "title": "Mend it",
            "description": "because",
            "state": "OPEN",
            "author": {"display_name": "Some One"},
            "source": {
                "branch": {"name": "mend"},
                "commit": {"hash": B[:12]},
                "repository": {"full_name": source},
            },
            "destination": {
                "branch": {"name": "main"},
                "commit": {"hash": A[:12]},
                "repository": {"full_name": "o/r"},
            },
            "updated_on": WHEN,
            "links": {"html": {"href": "https://bitbucket.example/o/r/pull-requests/7"}},
            **changes,
        },
    }
