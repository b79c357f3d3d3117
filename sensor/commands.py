"""A group of commands that are modules of a package, loaded when they are called.

So help, and the commands that need little, answer at once.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

INTERRUPTED = 128 + 2
"""As shells report a program that SIGINT ended."""

PIPE_CLOSED = 128 + 13
"""As shells report a program that SIGPIPE ended."""


class Commands(click.Group):
    """The commands of a program; each is a function in the module that has its name."""

    def __init__(
        self, *arguments: Any, package: str, texts: Mapping[str, str], **options: Any
    ) -> None:
        """Makes the group.

        Args:
            *arguments: of `click.Group`.
            package: that the modules lie in.
            texts: one line of help for every command, by name; a name's hyphens are underscores
                in the module's.
            **options: of `click.Group`.
        """
        super().__init__(*arguments, **options)
        self._package, self._texts = package, texts

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's
        """Their names, in the order of the help."""
        return list(self._texts)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, loaded now; None where there is none of the name."""
        if cmd_name not in self._texts:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"{self._package}.{name}"), name)
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        """Ends quietly where click would write a line."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader has seen enough; leave nothing for the interpreter to flush into the pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(PIPE_CLOSED)
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the list of the help, without loading the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._texts.items()))
