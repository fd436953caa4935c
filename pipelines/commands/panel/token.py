"""Commands that make, list and revoke the tokens of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from features.json_values import Json
from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, project_of

if TYPE_CHECKING:
    from pipelines.dashboard.access.tokens import Token, TokensFile

token = typer.Typer(
    name="token",
    help="Let programs ask the control panel.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@token.command("add")
def add_token(
    user: Annotated[
        str, typer.Argument(help="The user whose rights it has, at most, as they are when it asks.")
    ],
    config: Config = DEFAULT_CONFIG,
    label: Annotated[str, typer.Option(help="What it is for.")] = "a program",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read or write-state; may be given several times; by default read."),
    ] = None,
    days: Annotated[int, typer.Option(help="How long it opens anything, at most 366.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Make a token, and show it this once."""
    from features.errors import SettingsError, nearest, sample
    from pipelines.dashboard.access.gate import users_path
    from pipelines.dashboard.access.tokens import made_token, tokens_file
    from pipelines.dashboard.access.users import UsersFile

    with answering(as_json) as answer:
        project = project_of(config)
        users = UsersFile(users_path(project))
        named = users.find(user)
        if named is None:
            hint = nearest(user, users.users()) or "; add it with 'healthscore user add NAME'"
            raise SettingsError(f"There is no user {sample([user])} in '{users.path}'{hint}")
        file = tokens_file(project)
        text, made = made_token(
            file, named, label=label, scopes=scope or ["read"], days=days, made_by="the command"
        )
        answer.give({"token": text, **_told(file, made), "file": str(file.path)})
        answer.say(text)
        answer.say(
            f"This is the only time that it is shown; it is for {named.name}, may"
            f" {' and '.join(made.scopes)}, and ends on {made.ends_at:%Y-%m-%d %H:%M} UTC"
        )


@token.command("list")
def list_tokens(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the tokens: whose rights they have, what they may do, and when they were last used."""
    from pipelines.reports.terminal.console import plain
    from pipelines.store.runs import now

    with answering(as_json) as answer:
        file = _tokens_file_of(config)
        tokens = sorted(file.tokens().values(), key=lambda one: one.made_at)
        answer.give({"file": str(file.path), "tokens": [_told(file, one) for one in tokens]})
        for one in tokens:
            used = file.used_at(one)
            last = "never used" if used is None else f"last used {used:%Y-%m-%d %H:%M}"
            state = "ended" if one.has_ended(now()) else "ends"
            answer.say(
                f"{one.id}  {one.user:<20} {'+'.join(one.scopes):<17} {state}"
                f" {one.ends_at:%Y-%m-%d}  {last}  {plain(one.label, 60)}"
            )
        if not tokens:
            answer.say("There is no token; make one with 'healthscore token add USER'")


@token.command("revoke")
def revoke_token(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As 'token list' names it.")],
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Revoke a token, which opens nothing from now on."""
    from pipelines.dashboard.access.tokens import revoke

    with answering(as_json) as answer:
        file = _tokens_file_of(config)
        gone = revoke(file, token_id)
        answer.give({"revoked": gone.id, "user": gone.user, "file": str(file.path)})
        answer.say(f"Revoked {gone.id} of {gone.user}")


def _tokens_file_of(config: Config) -> TokensFile:
    """Return the tokens file of a configuration."""
    from pipelines.dashboard.access.tokens import tokens_file

    return tokens_file(project_of(config))


def _told(file: TokensFile, one: Token) -> Json:
    used = file.used_at(one)
    return {
        "id": one.id,
        "user": one.user,
        "label": one.label,
        "scopes": list(one.scopes),
        "made_at": f"{one.made_at.isoformat()}Z",
        "made_by": one.made_by,
        "ends_at": f"{one.ends_at.isoformat()}Z",
        "used_at": None if used is None else f"{used.isoformat()}Z",
    }
