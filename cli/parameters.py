"""A verb's options as frozen values: typer sees each of their fields as a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

import typer


def filled(text: str) -> str:
    """The parser of an option whose value may be the variable of a shell, which was never set."""
    if not text:
        raise typer.BadParameter("it is empty: give a value, or leave the option out")
    return text


def spread(verb: Callable[..., None]) -> Callable[..., None]:
    """`verb`, where a parameter that is a dataclass is given as one option for each field."""
    hints = get_type_hints(verb, include_extras=True)
    kinds: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    def command(**given: Any) -> None:
        values = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in kinds.items()
        }
        verb(**given, **values)

    seen = list(_seen(verb, hints, kinds))
    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    vars(command)["__signature__"] = Signature(seen)  # what typer looks at
    command.__annotations__ = {each.name: each.annotation for each in seen}
    return command


def _seen(
    verb: Callable[..., None], hints: dict[str, Any], kinds: dict[str, Any]
) -> Iterator[Parameter]:
    for name, parameter in signature(verb).parameters.items():
        if name in kinds:
            of_field = get_type_hints(kinds[name], include_extras=True)
            for field in fields(kinds[name]):
                yield _keyword(field.name, _default(field), of_field[field.name])
        else:
            yield _keyword(name, parameter.default, hints[name])


def _keyword(name: str, default: Any, hint: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _default(field: Field[Any]) -> Any:
    return Parameter.empty if field.default is MISSING else field.default
