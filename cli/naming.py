"""How the command line names jobs: by id, with or without dashes, or by the first of its digits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import typer

from cli.completion import jobs_to_name
from worker.client import Client

_DIGITS: Final = 32  # of a whole id
_NAME: Final = re.compile(r"[0-9a-f]{1,8}|[0-9a-f]{8}[0-9a-f-]+", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Named:
    """Jobs, by place or by -j."""

    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JOB]...", autocompletion=jobs_to_name, show_default=False),
    ] = None
    job: Annotated[
        list[str] | None,
        typer.Option(
            "-j",
            "--job",
            metavar="JOB",
            autocompletion=jobs_to_name,
            help="A job: its id, or the first digits of it; again for more.",
        ),
    ] = None

    def digits(self) -> list[str]:
        """Of each job. Raises BadParameter before anything is dialled."""
        names = [*(self.names or []), *(self.job or [])]
        if not names:
            raise typer.BadParameter("no job: name it by its id, which start has printed")
        return list(dict.fromkeys(map(digits_of, names)))


def digits_of(name: str) -> str:
    """UUID alone would also take braces, urn:uuid: and dashes anywhere."""
    digits = name.replace("-", "").lower()
    if not _NAME.fullmatch(name) or len(digits) > _DIGITS or not _is_dashed_well(name, digits):
        raise typer.BadParameter(
            f"{name!r} is no job id: 32 hexadecimal digits, dashes optional, or the first of them"
        )
    return digits


def _is_dashed_well(name: str, digits: str) -> bool:
    whole = str(UUID(digits.ljust(_DIGITS, "0")))
    return "-" not in name or whole.startswith(name.lower())


def shown(digits: str) -> str:
    return str(UUID(digits)) if len(digits) == _DIGITS else digits


async def ids_of(client: Client, digits: list[str]) -> list[UUID]:
    """A whole id is taken as it is; else the one job is looked for that begins so."""
    return list(dict.fromkeys([await id_of(client, each) for each in digits]))


async def id_of(client: Client, digits: str) -> UUID:
    return (await client.find(digits)).id
