"""The command that serves tools to agents."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, project_of


def mcp(
    config: Config = DEFAULT_CONFIG,
    http: Annotated[
        bool, typer.Option("--http", help="Over HTTP with tokens; by default standard input.")
    ] = False,
    user: Annotated[
        str | None,
        typer.Option(help="On standard input: see what this user of the panel may see."),
    ] = None,
    host: Annotated[str, typer.Option(help="With --http: address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="With --http: port; 0 for any that is free.")
    ] = 8001,
    skill: Annotated[
        bool, typer.Option("--skill", help="Print what teaches an agent the terms, and end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve read-only tools to agents (Model Context Protocol) until it is interrupted."""
    from features.errors import SettingsError

    try:
        from pipelines.agents.serving import (
            caller_of,
            http_server,
            serve_http,
            stdio_server,
        )
        from pipelines.agents.tools import skill as skill_text
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "httpx2"):
            raise
        raise SettingsError(
            "Tools for agents need the extra 'mcp', which is not installed; run 'pip install"
            " healthscore[mcp]'"
        ) from error
    if skill:
        with answering(as_json) as answer:
            answer.give({"skill": skill_text()})
            answer.say(skill_text().rstrip())
        return
    project = project_of(config)
    if not http:
        # Standard output is the protocol's.
        stdio_server(project, caller_of(project, user)).run("stdio")
        return
    if user is not None:
        raise SettingsError("--user is for standard input; over HTTP the token says who asks")
    server = http_server(project, host, port)
    with answering(as_json) as answer:
        answer.give({"url": server.url})
        answer.say(f"Tools are at {server.url}; end it with Ctrl+C")
    sys.stdout.flush()
    serve_http(server)
