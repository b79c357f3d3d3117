"""In which line of a TOML file a key stands; the parser tells that for mistakes in syntax only.

The text has been accepted by the parser (https://toml.io/en/v1.0.0), so this reads keys and skips
values, without judging either. What it does not recognize ends it: the places that are known by
then are right, and the others are told without a line.
"""

import re
from collections.abc import Sequence

Path = tuple[str | int, ...]
"""Keys from the top of the document; a place in an array of tables is a number from 0."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PART = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)')[ \t]*""")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}
_VALUE = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})'''
    r"""|'''.*?'''(?:'{0,2})"""
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[{]|[\]}]|\n|[^"'\#\[\]{}\n]+""",
    re.DOTALL,
)


class Places:
    """Lines of the keys of one document."""

    def __init__(self, text: str) -> None:
        """Reads the document, which the parser has accepted."""
        self._lines: dict[Path, int] = {}
        self._text, self._position = text, 0
        self._counted, self._line = 0, 1
        table: Path = ()
        counts: dict[Path, int] = {}
        while self._position < len(text):
            self._skip(_BLANK)
            if text.startswith("[", self._position):
                header = self._header()
                if header is None:
                    return
                several, keys = header
                table = self._inside(keys, counts)
                if several:
                    self._note(table)
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                self._note(table)
            elif self._position < len(text):
                begun = self._position
                below = self._dotted()
                if not below or not self._passed("="):
                    return
                self._note((*table, *below), begun)
                if not self._skip_value():
                    return

    def line(self, path: Sequence[str | int]) -> int:
        """The line of a key, or of the nearest one above it; 0 where none is known."""
        for length in range(len(path), 0, -1):
            if line := self._lines.get(tuple(path[:length])):
                return line
        return 0

    def _inside(self, keys: Path, counts: dict[Path, int]) -> Path:
        """A header's keys, where an array of tables on the way means its last table."""
        table: Path = ()
        for place, key in enumerate(keys):
            table = (*table, key)
            if table in counts and place < len(keys) - 1:
                table = (*table, counts[table])
        return table

    def _header(self) -> tuple[bool, Path] | None:
        several = self._passed("[[")
        if not several:
            self._passed("[")
        keys = self._dotted()
        if not keys or not self._passed("]]" if several else "]"):
            return None
        return several, keys

    def _dotted(self) -> Path:
        keys: list[str] = []
        while found := _PART.match(self._text, self._position):
            bare, basic, literal = found.groups()
            keys.append(_unescaped(basic) if basic is not None else bare or literal or "")
            self._position = found.end()
            if not self._passed("."):
                break
        return tuple(keys)

    def _skip_value(self) -> bool:
        depth = 0
        while found := _VALUE.match(self._text, self._position):
            piece = found[0]
            if piece == "\n" and not depth:
                return True
            depth += (piece in "[{") - (piece in "]}") if len(piece) == 1 else 0
            self._position = found.end()
        return self._position == len(self._text)

    def _skip(self, pattern: "re.Pattern[str]") -> None:
        if found := pattern.match(self._text, self._position):
            self._position = found.end()

    def _passed(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._position):
            return False
        self._position += len(mark)
        return True

    def _note(self, path: Path, position: int | None = None) -> None:
        at = self._position if position is None else position
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        self._lines.setdefault(path, self._line)


def _unescaped(text: str) -> str:
    def character(found: "re.Match[str]") -> str:
        short, long, single = found.groups()
        code = short or long
        return chr(int(code, 16)) if code else _ESCAPED.get(single, single)

    return _ESCAPE.sub(character, text)
