"""`workercerts`: what an operator asks for, one command each."""

from __future__ import annotations

import re
import signal
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, Never

import typer
from cryptography import x509

from certs.authority import AUTHORITY_DAYS, AUTHORITY_NAME, Pair, new_authority
from certs.folder import (
    load_authority,
    load_certificate,
    load_certificates,
    make_folder,
    write_pair,
)
from certs.issue import DAYS, check_name, client_certificate, server_certificate
from certs.parameters import Days, Folder, SameDays, parsed_address, parsed_role
from certs.renew import renew
from certs.show import shown
from certs.testset import NAMES, make_test_set
from worker.errors import BadConfig
from worker.rpc.expiry import in_words, is_near
from worker.rpc.role import Role

app = typer.Typer(add_completion=False, rich_markup_mode=None)

INTERRUPTED: Final = 130  # by Ctrl-C


def print_version(*, is_asked: bool) -> None:
    if is_asked:
        typer.echo(version("job-worker"))
        raise typer.Exit


@app.callback()
def workercerts(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="print it and end"),
    ] = False,
) -> None:
    """Certificates for a workerserver and its clients."""


@app.command()
def authority(
    folder: Folder,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="its subject, which no second one should bear")
    ] = AUTHORITY_NAME,
    days: Days = AUTHORITY_DAYS,
) -> None:
    """Create an authority.

    DIR/ca.pem is what servers and clients trust; DIR/ca.key signs and stays here.
    """
    make_folder(folder)
    write(folder, "ca", new_authority(datetime.now(UTC), name=name, days=days))


@app.command()
def server(
    folder: Folder,
    name: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="a host name that clients dial")
    ] = None,
    address: Annotated[
        list[str] | None, typer.Option(metavar="IP", help="an IP address that clients dial")
    ] = None,
    file: Annotated[
        str, typer.Option(metavar="FILE", help="the files' name, where there are several servers")
    ] = "server",
    days: Days = DAYS,
) -> None:
    """Issue a server's certificate.

    DIR/server.pem and DIR/server.key, for each --name and --address that clients dial.
    """
    now = datetime.now(UTC)
    addresses = [parsed_address(text) for text in address or ()]
    check_name(file, "the name of files")
    issuer = authority_of(folder, now)
    write(folder, file, server_certificate(issuer, name or (), addresses, now=now, days=days))


@app.command()
def client(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="who it is: the owner of the jobs it starts")],
    role: Annotated[
        Role,
        typer.Option(
            parser=parsed_role,
            metavar="ROLE",
            help="readonly: query and watch; full: also start, stop",
        ),
    ],
    days: Days = DAYS,
) -> None:
    """Issue a client's certificate.

    DIR/NAME.pem and DIR/NAME.key: with ca.pem they are all that the client needs.
    """
    now = datetime.now(UTC)
    issuer = authority_of(folder, now)
    write(folder, name, client_certificate(issuer, name, role, now=now, days=days))


@app.command(name="renew")
def renew_pair(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="of the files DIR/NAME.pem and DIR/NAME.key")],
    days: SameDays = None,
) -> None:
    """Renew a certificate.

    Subject, names and role are the same, key and dates are new; the old files are kept beside
    the new ones, under a name that ends in their number.
    """
    now = datetime.now(UTC)
    check_name(name, "the name of files")
    pair, kept = renew(folder, name, authority_of(folder, now), now=now, days=days)
    tell_done(written(folder, name, pair), f"the old ones are {kept} and .key")


@app.command()
def show(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="PEM certificates")],
) -> None:
    """Say what certificates say.

    Subject, issuer, what it is for, names, role, dates, days left, fingerprint.
    """
    now = datetime.now(UTC)
    for path in files:
        for certificate in load_certificates(path):
            typer.echo(shown(path, certificate, now))
            warn(path, certificate, now)


@app.command()
def test(folder: Folder) -> None:
    """Make a whole set for tests.

    An authority, a server for localhost, and the clients full, readonly and norole. A set that
    is complete and valid for another day is left alone, any other is made anew.
    """
    now = datetime.now(UTC)
    made = make_test_set(folder, now)
    for name in NAMES:
        path = folder / f"{name}.pem"
        warn(path, load_certificate(path), now)
    tell_done(f"{folder}: {'made anew' if made else 'valid, left as it is'}")


def authority_of(folder: Path, now: datetime) -> Pair:
    issuer = load_authority(folder, now)
    warn(folder / "ca.pem", issuer.certificate, now)
    return issuer


def warn(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    last = certificate.not_valid_after_utc
    if is_near(last, now):
        typer.echo(f"workercerts: warning: {path} {in_words(last, now)}", err=True)


def write(folder: Path, name: str, pair: Pair) -> None:
    write_pair(folder, name, pair)
    tell_done(written(folder, name, pair))


def written(folder: Path, name: str, pair: Pair) -> str:
    until = pair.certificate.not_valid_after_utc
    return f"{folder / name}.pem and .key, valid until {until:%Y-%m-%d}"


def tell_done(*sentences: str) -> None:
    """On stderr where stdout takes nothing, or it would seem not to be done."""
    try:
        typer.echo("\n".join(sentences))
    except OSError:
        for sentence in sentences:
            typer.echo(f"workercerts: done all the same: {sentence}", err=True)
        raise


def run_line(*, is_heard: bool) -> Never:
    """`is_heard`: Ctrl-C is, from here on with all that it has to undo."""
    if sys.stdout is None:  # it was closed, and what is said there would be lost
        fail("can't write to stdout: it is closed", 1)
    command = typer.main.get_command(app)
    try:
        if is_heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        raise SystemExit(command.main(prog_name="workercerts", standalone_mode=False))
    except typer.TyperException as error:  # of the command line
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "workercerts"
        what = " ".join(re.sub(r"(?<![.])[.]$", "", error.format_message()).split())
        fail(f"{what} (see {path} --help)", 2)
    except (typer.Abort, KeyboardInterrupt):
        raise SystemExit(INTERRUPTED) from None
    except BadConfig as error:
        fail(str(error), 1)
    except OSError as error:
        fail(f"can't write to stdout: {error.strerror}", 1)


def fail(sentence: str, status: int) -> Never:
    typer.echo(f"workercerts: {sentence}", err=True)
    raise SystemExit(status) from None
