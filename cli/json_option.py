"""`--json` of every verb."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[
    bool, typer.Option("--json", help="JSON, one object a line; what isn't known has no key.")
]
