"""What a TFLite file contains, read without running it: operators and signatures.

A leaf. A TFLite file is a FlatBuffer (identifier ``TFL3``) whose tables are declared in
TensorFlow's ``compiler/mlir/lite/schema/schema.fbs``; the numbers of the fields below are their
positions there. Only what the sensor checks is read. Every access is inside the file or raises,
and lists and names have limits far above what a model needs: tables of a FlatBuffer may be shared,
so that a file of ten kilobytes can ask for millions of steps.
"""

import struct
from dataclasses import dataclass

OPERATORS = {
    0: ("ADD", 1),
    2: ("CONCATENATION", 1),
    6: ("DEQUANTIZE", 3),
    9: ("FULLY_CONNECTED", 9),
    14: ("LOGISTIC", 1),
    18: ("MUL", 1),
    19: ("RELU", 1),
    22: ("RESHAPE", 1),
    25: ("SOFTMAX", 1),
    28: ("TANH", 1),
    34: ("PAD", 1),
    45: ("STRIDED_SLICE", 1),
    49: ("SPLIT", 1),
    55: ("MAXIMUM", 1),
    88: ("UNPACK", 1),
}
"""Builtin operators that a model may use, by number in the schema: name, and the highest version
that both runtimes (LiteRT 2 and tflite-runtime 2.14) run. No control flow, no custom operator."""

_FLOAT32 = 0

MOST_ENTRIES = 128
"""Operators, signatures, and inputs or outputs of one signature."""

_MOST_STEPS = 65_536
_LONGEST_NAME = 256
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Tensor:
    """Element type (number in the schema) and shape, −1 for the batch."""

    type: int
    shape: tuple[int, ...]

    @classmethod
    def float32(cls, *shape: int) -> "Tensor":
        """A float32 tensor with rows of the given shape."""
        return cls(_FLOAT32, (-1, *shape))


@dataclass(frozen=True)
class Signature:
    """A named entry point: its tensors by name."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@dataclass(frozen=True)
class Step:
    """An operator where it is used, with the tensors that it reads and writes, by number.

    Attributes:
        operator: its name in `OPERATORS`, empty for another one.
        inputs, outputs: numbers of tensors; an input that is left out is −1.
    """

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """What a signature computes.

    Attributes:
        number: of the graph in the file.
        steps: in the order in which they run.
        outputs: number of the tensor of each output, by name.
    """

    number: int
    steps: tuple[Step, ...]
    outputs: dict[str, int]


class _Table:
    """A FlatBuffer table at `position`; absent fields read as empty or 0."""

    def __init__(self, file: bytes, position: int) -> None:
        self.file, self.position = file, position
        self.vtable = position - self._read("<i", position)
        self.vtable_bytes = self._read("<H", self.vtable)

    def _read(self, form: str, position: int) -> int:
        if position < 0:  # struct would count from the end
            raise ValueError("an offset points before the file")
        return int(struct.unpack_from(form, self.file, position)[0])

    def _place(self, field: int) -> int:
        entry = 4 + 2 * field
        offset = self._read("<H", self.vtable + entry) if entry < self.vtable_bytes else 0
        return self.position + offset if offset else 0

    def _target(self, field: int) -> int:
        place = self._place(field)
        return place + self._read("<I", place) if place else 0

    def number(self, field: int, form: str) -> int:
        place = self._place(field)
        return self._read(form, place) if place else 0

    def has(self, field: int) -> bool:
        return self._place(field) != 0

    def _vector(self, field: int, most: int, what: str) -> tuple[int, int]:
        """Position of the first element, and number of elements."""
        start = self._target(field)
        size = self._read("<I", start) if start else 0
        if size > most:
            raise ValueError(f"it has {size} {what}, more than {most}")
        return start + 4, size

    def text(self, field: int) -> str:
        start, size = self._vector(field, _LONGEST_NAME, "characters in a name")
        if start + size > len(self.file):
            raise ValueError("a string runs past the file")
        return self.file[start : start + size].decode()

    def integers(
        self, field: int, most: int = _MOST_DIMENSIONS, what: str = "dimensions in a tensor"
    ) -> tuple[int, ...]:
        start, size = self._vector(field, most, what)
        return tuple(self._read("<i", start + 4 * i) for i in range(size))

    def tables(self, field: int, most: int = MOST_ENTRIES) -> "list[_Table]":
        start, size = self._vector(field, most, "operators, signatures or tensors of one")
        return [self._at(start + 4 * i) for i in range(size)]

    def table(self, field: int, index: int) -> "_Table":
        """One table of a vector that may be long."""
        start, size = self._vector(field, len(self.file), "tables")
        if index >= size:
            raise ValueError(f"it refers to table {index} of {size}")
        return self._at(start + 4 * index)

    def _at(self, place: int) -> "_Table":
        return _Table(self.file, place + self._read("<I", place))


@dataclass(frozen=True)
class TFLiteFile:
    """Contents of a TFLite file.

    Attributes:
        foreign: operators outside `OPERATORS`, such as ``WHILE`` as ``number 119 version 1``.
        signatures: entry points by name.
    """

    foreign: tuple[str, ...]
    signatures: dict[str, Signature]

    @classmethod
    def parse(cls, file: bytes) -> "TFLiteFile":
        """Reads the tables.

        Raises:
            ValueError: not a TFLite file, or its tables point outside it.
        """
        try:
            if file[4:8] != b"TFL3":
                raise ValueError("the identifier TFL3 is missing")
            model = _Table(file, int(struct.unpack_from("<I", file)[0]))
            signatures = {}
            for definition in model.tables(7):
                graph = model.table(2, definition.number(4, "<I"))
                signatures[definition.text(2)] = Signature(
                    *(
                        {entry.text(0): _tensor(graph, entry) for entry in definition.tables(side)}
                        for side in (0, 1)
                    )
                )
            return cls(tuple(filter(None, map(_foreign, model.tables(1)))), signatures)
        except struct.error as error:
            raise ValueError(f"a table points outside the file ({error})") from None


def graph_of(file: bytes, signature: str) -> Graph:
    """The graph of a signature of a model that `TFLiteFile.parse` has read.

    Raises:
        ValueError: there is no such signature, or a table points outside the file.
    """
    try:
        model = _Table(file, int(struct.unpack_from("<I", file)[0]))
        names = [_operator(code)[0] for code in model.tables(1)]
        for definition in model.tables(7):
            if definition.text(2) == signature:
                number = definition.number(4, "<I")
                steps = tuple(
                    Step(
                        names[step.number(0, "<I")],
                        *(step.integers(side, MOST_ENTRIES, "tensors") for side in (1, 2)),
                    )
                    for step in model.table(2, number).tables(3, _MOST_STEPS)
                )
                outputs = {each.text(0): each.number(1, "<I") for each in definition.tables(1)}
                return Graph(number, steps, outputs)
    except (struct.error, IndexError) as error:
        raise ValueError(f"a table points outside the file ({error})") from None
    raise ValueError(f"it has no signature {signature}")


def _operator(code: _Table) -> tuple[str, int]:
    """Name in `OPERATORS`, or empty, and number of an operator."""
    # The first byte-sized number of an operator is kept for those below 127 (schema.fbs).
    number = max(code.number(0, "<b"), code.number(3, "<i"))
    return OPERATORS.get(number, ("", 0))[0], number


def _foreign(code: _Table) -> str:
    number = _operator(code)[1]
    version = code.number(2, "<i") if code.has(2) else 1
    if code.has(1):
        return f"custom {code.text(1)!r}"
    name, highest = OPERATORS.get(number, (f"number {number}", 0))
    return "" if version <= highest else f"{name} version {version}"


def _tensor(graph: _Table, entry: _Table) -> Tensor:
    tensor = graph.table(0, entry.number(1, "<I"))
    return Tensor(tensor.number(1, "<b"), tensor.integers(7) or tensor.integers(0))
