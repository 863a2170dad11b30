"""The one error users meet: it names the argument, the value got and the value wanted."""

from __future__ import annotations

__all__ = ["ArgumentError", "check"]


class ArgumentError(ValueError):
    """A bad input, said in one line: ``argument: got VALUE, wanted WHAT``.

    The command line prints it as it stands and exits with code 2; in Python it is a
    :class:`ValueError` with the three parts as attributes.
    """

    def __init__(self, argument: str, got: object, wanted: str):
        self.argument, self.got, self.wanted = argument, got, wanted
        super().__init__(f"{argument}: got {_short(got)}, wanted {wanted}")

    def __reduce__(self):  # so that worker processes can hand it back
        return type(self), (self.argument, self.got, self.wanted)


def check(condition: bool, argument: str, got: object, wanted: str) -> None:
    """Raise :class:`ArgumentError` unless ``condition`` holds (NaN compares false, so it is refused)."""
    if not condition:
        raise ArgumentError(argument, got, wanted)


def _short(value: object, limit: int = 320) -> str:
    text = value if isinstance(value, str) and value and " " not in value else repr(value)
    text = " ".join(text.split())
    # The middle goes: a path ends in the file's name, and what is wrong with it comes last.
    return text if len(text) <= limit else text[: limit // 3] + "..." + text[limit // 3 + 3 - limit :]
