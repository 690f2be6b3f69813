"""`workercerts`: certificates for a server and its clients."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated

import typer

from certs.authority import AUTHORITY_DAYS, Pair, new_authority
from certs.folder import load_authority, make_folder, write_pair
from certs.issue import DAYS, client_certificate, server_certificate
from certs.testset import make_test_set
from worker.errors import BadConfig
from worker.rpc.role import Role

app = typer.Typer(
    add_completion=False,
    help=__doc__,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # an error is one sentence, not a box
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="the folder of ca.pem and ca.key")]
Days = Annotated[int, typer.Option(min=1, max=AUTHORITY_DAYS, help="how long it is valid")]


def parsed_address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no IP address; a host's name is a --name") from error


@app.command()
def authority(folder: Folder, days: Days = AUTHORITY_DAYS) -> None:
    """Create an authority.

    DIR/ca.pem is what servers and clients trust; DIR/ca.key signs and stays here.
    """
    make_folder(folder)
    write(folder, "ca", new_authority(datetime.now(UTC), days=days))


@app.command()
def server(
    folder: Folder,
    name: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="a host name that clients dial")
    ] = None,
    address: Annotated[
        list[str] | None, typer.Option(metavar="IP", help="an IP address that clients dial")
    ] = None,
    days: Days = DAYS,
) -> None:
    """Issue a server's certificate.

    DIR/server.pem and DIR/server.key, for each --name and --address that clients dial.
    """
    now = datetime.now(UTC)
    addresses = [parsed_address(text) for text in address or ()]
    issuer = load_authority(folder, now)
    write(folder, "server", server_certificate(issuer, name or (), addresses, now=now, days=days))


@app.command()
def client(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="who it is: the owner of the jobs it starts")],
    role: Annotated[Role, typer.Option(help="readonly: query and watch; full: also start, stop")],
    days: Days = DAYS,
) -> None:
    """Issue a client's certificate.

    DIR/NAME.pem and DIR/NAME.key: with ca.pem they are all that the client needs.
    """
    now = datetime.now(UTC)
    issuer = load_authority(folder, now)
    write(folder, name, client_certificate(issuer, name, role, now=now, days=days))


@app.command()
def test(folder: Folder) -> None:
    """Make a whole set for tests.

    An authority, a server for localhost, and the clients full, readonly and norole. A set that
    is complete and valid for another day is left alone, any other is made anew.
    """
    made = make_test_set(folder, datetime.now(UTC))
    typer.echo(f"{folder}: {'made anew' if made else 'valid, left as it is'}")


def write(folder: Path, name: str, pair: Pair) -> None:
    write_pair(folder, name, pair)
    until = pair.certificate.not_valid_after_utc
    typer.echo(f"{folder / name}.pem and .key, valid until {until:%Y-%m-%d}")


def main() -> None:
    try:
        app()
    except BadConfig as error:
        typer.echo(f"workercerts: {error}", err=True)
        raise SystemExit(1) from None
