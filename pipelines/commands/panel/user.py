"""Commands that say who may enter the control panel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from features.json_values import Json
from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, project_of

if TYPE_CHECKING:
    from pipelines.dashboard.access.users import User, UsersFile
    from pipelines.project.project import Project

user = typer.Typer(
    name="user",
    help="Say who may enter the control panel.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="The user's name.")]


@user.command("add")
def add(
    name: Name,
    config: Config = DEFAULT_CONFIG,
    role: Annotated[str, typer.Option(help="viewer or admin.")] = "viewer",
    owner: Annotated[
        list[str] | None,
        typer.Option(help="Show the accounts of this owner alone; may be given several times."),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="For users whom a proxy lets in.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a user, or change the one there is, and ask for the password."""
    from pipelines.dashboard.access.passwords import hash_password
    from pipelines.dashboard.access.users import (
        User,
        refuse_other_capitals,
        refuse_other_name,
        refuse_other_role,
    )

    with answering(as_json) as answer:
        project = project_of(config)
        refuse_other_name(name)
        refuse_other_role(role)
        _refuse_lost_owners(project, owner)
        password = "" if no_password else _password(password_stdin)
        added = User(
            name,
            role,  # type: ignore[arg-type]
            "" if no_password else hash_password(password),
            frozenset(owner) if owner else None,
        )
        file = _users_file(project)
        with file.changing() as users:
            was_there = name in users
            refuse_other_capitals(name, users)
            users[name] = added
        marked = _marked(project, owner or [])
        told = {**_told(added), "file": str(file.path), "replaced": was_there}
        answer.give({**told, "warnings": marked})
        answer.say(f"{'Changed' if was_there else 'Added'} {role} {name} in {file.path}")
        answer.warn(marked)


@user.command("remove")
def remove(name: Name, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Remove a user, whose logins and tokens end at once."""
    from features.errors import SettingsError, nearest, sample
    from pipelines.dashboard.access.tokens import revoke_all_of, tokens_file

    with answering(as_json) as answer:
        project = project_of(config)
        file = _users_file(project)
        with file.changing() as users:
            if name not in users:
                hint = nearest(name, users) or "; 'healthscore user list' names them"
                raise SettingsError(f"There is no user {sample([name])} in '{file.path}'{hint}")
            del users[name]
        tokens = revoke_all_of(tokens_file(project), name)
        answer.give({"removed": name, "file": str(file.path), "tokens": len(tokens)})
        answer.say(f"Removed {name} from {file.path}")
        if tokens:
            answer.say(f"Revoked {len(tokens)} tokens that were for {name}")


@user.command("list")
def list_users(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the users, their roles and whose accounts they see."""
    from pipelines.reports.terminal.console import plain

    with answering(as_json) as answer:
        file = _users_file(project_of(config))
        users = file.users() if file.path.exists() else {}
        answer.give({"file": str(file.path), "users": [_told(one) for one in users.values()]})
        for one in users.values():
            owners = "every account" if one.owners is None else ", ".join(sorted(one.owners))
            answer.say(f"{one.name:<24} {one.role:<8} {plain(owners, 200)}")
        if not users:
            answer.say(f"There is nobody in {file.path}; add a user: healthscore user add NAME")


def _users_file(project: Project) -> UsersFile:
    from pipelines.dashboard.access.gate import users_path
    from pipelines.dashboard.access.users import UsersFile

    return UsersFile(users_path(project))


def _refuse_lost_owners(project: Project, owners: list[str] | None) -> None:
    from features.errors import SettingsError

    if owners and project.settings.serve.owner is None:
        raise SettingsError(
            "--owner limits a user to accounts of an owner, and [serve] owner names no column of"
            " the accounts table; name it in the configuration first"
        )


def _marked(project: Project, owners: list[str]) -> list[str]:
    """Say which owners look after nobody: a name that is misspelt shows an empty panel."""
    from features.errors import DataError, sample
    from pipelines.project.account_texts import lost_owners

    try:
        lost = lost_owners(project, owners)
    except DataError as error:
        return [f"Whether the owners look after accounts could not be read: {error}"]
    if not lost:
        return []
    return [
        f"Nobody named {sample(lost)} looks after an account, so that owner shows none; correct the"
        " name, or wait until the accounts table has it"
    ]


def _password(from_stdin: bool) -> str:
    """Read a password, never from the command line: other users of the machine can see that."""
    from features.errors import SettingsError

    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise SettingsError(
            "There is no terminal to ask for the password at; give it with --password-stdin"
        )
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _told(one: User) -> Json:
    owners = None if one.owners is None else sorted(one.owners)
    return {"name": one.name, "role": one.role, "owners": owners, "password": bool(one.hash)}
