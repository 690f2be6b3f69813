"""From the command line to a connected client."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import typer

from worker.client import Client, ClientConfig
from worker.errors import BadConfig

FILE: Final = "workerclient.yaml"


def client_of(context: typer.Context) -> Client:
    """Of the configuration that `--config` or $WORKERCLIENT_CONFIG names, else the first found."""
    named: str | None = context.obj
    return Client(ClientConfig.load(found() if named is None else named))


def found() -> Path:
    places = Path(FILE), Path(typer.get_app_dir("workerclient")) / FILE
    for place in places:
        with suppress(OSError):
            place.stat()
            return place
    raise BadConfig(
        f"no configuration: neither {places[0]} here nor {places[1]};"
        " write one, or name it with --config FILE"
    )
