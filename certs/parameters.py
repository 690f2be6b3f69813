"""What stands behind a command of `workercerts`, and which of it is refused."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Final

import typer

from certs.authority import AUTHORITY_DAYS
from worker.rpc.role import Role

DAYS_HELP: Final = f"how long it is valid: 1 to {AUTHORITY_DAYS}"


def parsed_days(text: str) -> int:
    with suppress(ValueError):  # of more digits than Python reads
        if str(text).isdecimal() and 1 <= int(text) <= AUTHORITY_DAYS:
            return int(text)
    raise typer.BadParameter(f"{text!r} is no number of days: 1 to {AUTHORITY_DAYS}")


def parsed_address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no IP address; a host's name is a --name", param_hint="--address"
        ) from error


def parsed_role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no role: {' or '.join(Role)}") from error


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="the folder of ca.pem and ca.key")]
Days = Annotated[int, typer.Option(parser=parsed_days, metavar="DAYS", help=DAYS_HELP)]
SameDays = Annotated[
    int | None,
    typer.Option(
        parser=parsed_days, metavar="DAYS", help=DAYS_HELP, show_default="as long as before"
    ),
]
