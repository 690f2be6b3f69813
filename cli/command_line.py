"""`start` and `run`: whose arguments are the job's and not ours.

argv is split at the first `-args` or `--`, before any option is looked for: what follows
reaches the job as it stands, dashes, further `--`, empty and broken lines included.
"""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperCommand

SEPARATORS: Final = ("-args", "--")


def split(arguments: list[str]) -> tuple[list[str], str | None, list[str]]:
    """What is ours, the separator, what is the job's."""
    for place, argument in enumerate(arguments):
        if argument in SEPARATORS:
            return arguments[:place], argument, arguments[place + 1 :]
    return arguments, None, []


class JobCommand(TyperCommand):
    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        return ["[OPTIONS]", "COMMAND", "[-args ARGUMENT...]"]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own, separator, rest = split(args)
        super().parse_args(ctx, own)
        if ctx.resilient_parsing:  # the shell asks how the line could go on
            return rest
        words = ctx.params["words"] or []
        if len(words) > 1:
            ctx.fail(
                f"{words[1]!r} follows the command: put the job's arguments after -args or --,"
                f" and options of {ctx.info_name} before the command"
            )
        # Or `start $EMPTY -args rm` would run what was meant as an argument.
        if not words and (separator != "--" or not rest):
            ctx.fail(f"no command: workerclient {ctx.info_name} COMMAND -args ARGUMENT...")
        ctx.params["words"] = words + rest
        return rest
