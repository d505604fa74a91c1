"""Options of the commands, with errors that say what was expected."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import click
from click.core import ParameterSource

from mockveo.errors import SettingsError

#: What click names its types -> what a person calls their values.
_KINDS: Final = {
    "integer": "a whole number",
    "integer range": "a whole number",
    "float": "a number",
    "float range": "a number",
    "boolean": "true or false",
}


class TeachingOption(click.Option):
    """An option whose errors name the flag or variable, its value, what was expected and an example."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        if self.metavar is None and _KINDS.get(self.type.name) in ("a number", "a whole number"):
            self.metavar = "N"

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert a value. Raises SettingsError."""
        try:
            return super().type_cast_value(ctx, value)
        except click.BadParameter:
            raise SettingsError(self._problem(ctx, value)) from None

    def _problem(self, ctx: click.Context, value: Any) -> str:
        name, separator = max(self.opts, key=len), " "
        if ctx.get_parameter_source(str(self.name)) is ParameterSource.ENVIRONMENT:
            name, separator = str(self.envvar), "="
        example = self._example()
        hint = f", e.g. {name}{separator}{example}" if example else ""
        return f"{name} is {value!r}; expected {self._expected()}{hint}"

    def _expected(self) -> str:
        if isinstance(self.type, click.Choice):
            return f"one of {', '.join(map(str, self.type.choices))}"
        kind = _KINDS.get(self.type.name, self.type.name)
        if not isinstance(self.type, click.IntRange | click.FloatRange):
            return kind
        least, most = self.type.min, self.type.max
        if most is not None:
            return f"{kind} from {least} to {most}"
        if self.type.min_open:
            return f"{kind} above {least}"
        return f"{kind}, {least} or more"

    def _example(self) -> str:
        if self.example:
            return self.example
        if isinstance(self.type, click.Choice):
            return str(self.type.choices[0])
        if self.is_flag:
            return "true"
        return str(self.default) if isinstance(self.default, str | int | float) else "1"


#: `click.option`, with errors that teach.
option = partial(click.option, cls=TeachingOption)


def _month(_: click.Context, __: click.Parameter, value: str) -> str:
    # Imported lazily: only who asks for a month pays for it.
    from mockveo.rules.requirements import month

    return month(value) if value else ""


#: `--requirements`, checked.
requirements_option = option(
    "--requirements",
    default="",
    callback=_month,
    metavar="MONTH",
    help="Judge by the rules and cases of that month, e.g. 2026-11; newer ones are shown and not counted.",
)
