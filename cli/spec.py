"""What `start` and `run` are told about a job besides its command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.amounts import number_of, seconds_of, size_of, whole_number_of
from cli.completion import signals_to_name
from cli.options import mistakes_told
from cli.parameters import filled
from worker.errors import BadConfig
from worker.limits import LEAST_NICE, NICEST, Limits
from worker.settings import contents_of
from worker.spec import (
    DEFAULT_GRACE_PERIOD,
    DEFAULT_STOP_SIGNAL,
    JobSpec,
    OutputMode,
)

Several = list[str] | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    env: Annotated[
        Several, typer.Option(metavar="NAME=VALUE", help="A variable for the job; again for more.")
    ] = None
    env_file: Annotated[
        Several,
        typer.Option(
            metavar="FILE", parser=filled, help="Variables: NAME=VALUE a line; --env goes first."
        ),
    ] = None
    directory: Annotated[
        str | None,
        typer.Option("--cwd", "--directory", metavar="PATH", help="Where it runs; absolute."),
    ] = None
    user: Annotated[
        str | None,
        typer.Option(metavar="NAME", parser=filled, help="As whom, if the server allows it."),
    ] = None
    label: Annotated[
        Several, typer.Option(metavar="NAME=VALUE", help="To find it by; again for more.")
    ] = None
    merged: Annotated[
        bool, typer.Option("--merged", help="One pipe for stdout and stderr: their exact order.")
    ] = False
    grace_period: Annotated[
        float | None,
        typer.Option(
            "--grace",
            "--grace-period",
            metavar="TIME",
            parser=seconds_of,
            help="What a stop leaves between the stop signal and SIGKILL;"
            f" default: {DEFAULT_GRACE_PERIOD:.0f}.",
        ),
    ] = None
    stop_signal: Annotated[
        str,
        typer.Option(
            metavar="SIGNAL",
            parser=filled,
            autocompletion=signals_to_name,
            help="What a stop sends first.",
        ),
    ] = DEFAULT_STOP_SIGNAL

    @property
    def grace(self) -> float:
        return DEFAULT_GRACE_PERIOD if self.grace_period is None else self.grace_period


@dataclass(frozen=True, slots=True)
class Bounds:
    timeout: Annotated[
        float | None,
        typer.Option(metavar="TIME", parser=seconds_of, help="It is ended after 90, 5m, 2h, 1d."),
    ] = None
    memory: Annotated[
        int | None,
        typer.Option(metavar="SIZE", parser=size_of, help="Of all its processes: 64M, 1GiB."),
    ] = None
    cpus: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", parser=number_of, help="1.5 = one and a half processors."),
    ] = None
    pids: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER", parser=whole_number_of, help="How many processes at a time."
        ),
    ] = None
    output_cap: Annotated[
        int | None,
        typer.Option(metavar="SIZE", parser=size_of, help="Output beyond it is dropped."),
    ] = None
    open_files: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER", parser=whole_number_of, help="Descriptors, of each process."
        ),
    ] = None
    core: Annotated[
        int | None,
        typer.Option(metavar="SIZE", parser=size_of, help="Largest core file, of each process."),
    ] = None
    nice: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", parser=whole_number_of, help=f"{LEAST_NICE} to {NICEST}."),
    ] = None

    @property
    def limits(self) -> Limits:
        return Limits(
            time=self.timeout,
            memory=self.memory,
            cpus=self.cpus,
            processes=self.pids,
            output=self.output_cap,
            open_files=self.open_files,
            core=self.core,
            nice=self.nice,
        )


def spec_of(
    words: list[str], around: Surroundings, bounds: Bounds, *, has_input: bool = False
) -> JobSpec:
    command, *arguments = words
    with mistakes_told():
        return JobSpec(
            command,
            tuple(arguments),
            environment=variables(around),
            working_directory=around.directory,
            output_mode=OutputMode.MERGED if around.merged else OutputMode.SEPARATE,
            grace_period=around.grace,
            labels=dict(map(label, around.label or [])),
            user=around.user,
            input=has_input,
            stop_signal=around.stop_signal,
            limits=bounds.limits,
        )


def variables(around: Surroundings) -> Mapping[str, str]:
    of_files = {name: value for file in around.env_file or [] for name, value in lines_of(file)}
    return of_files | dict(map(variable, around.env or []))


def variable(text: str) -> tuple[str, str]:
    name, value = pair(text, "--env")
    if not _can_be_name(name):
        raise typer.BadParameter(f"{name!r} can't be a variable's name", param_hint="--env")
    return name, value


def label(text: str) -> tuple[str, str]:
    name, value = pair(text, "--label")
    if not name:
        raise typer.BadParameter(f"{text!r} has no NAME before its =", param_hint="--label")
    return name, value


def pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name, value


def lines_of(file: str) -> Iterator[tuple[str, str]]:
    """NAME=VALUE of each line, values as they stand: no quotes, no $. Empty and # lines count not.

    Raises BadConfig, naming file and line: also for `export NAME`, which a shell would take.
    """
    try:
        text = contents_of(Path(file)).decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise BadConfig(f"--env-file {file}: {error.strerror}") from error
    except BadConfig as error:
        raise BadConfig(f"--env-file {file}: {error}") from None
    for number, line in enumerate(text.split("\n"), 1):
        kept = line.removesuffix("\r")
        if not kept.strip() or kept.lstrip().startswith("#"):
            continue
        name, equals, value = kept.partition("=")
        if not equals:
            raise BadConfig(f"--env-file {file}: line {number} is not NAME=VALUE")
        if not _can_be_name(name):
            raise BadConfig(
                f"--env-file {file}: line {number}: {name!r} can't be a variable's name"
            )
        yield name, value


def _can_be_name(name: str) -> bool:
    return bool(name) and not any(map(str.isspace, name))
