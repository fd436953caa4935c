"""The command that serves the control panel."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, project_of


def serve(
    config: Config = DEFAULT_CONFIG,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; by default as configured.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the control panel until it is interrupted."""
    from pipelines.dashboard.serving import bound, serve_panel

    project = project_of(config)
    asked = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    panel = bound(project, project.settings.serve.model_copy(update=asked))
    with answering(as_json) as answer:
        answer.give({"url": panel.url, "login": panel.login})
        answer.say(f"The control panel is at {panel.url} ({panel.login}); end it with Ctrl+C")
        answer.warn(panel.warnings)
    # The address is out before the first request comes.
    sys.stdout.flush()
    serve_panel(panel)
