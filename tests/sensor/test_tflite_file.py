import numpy as np
import pytest

from sensor.model.tflite_file import MOST_ENTRIES, OPERATORS, Signature, Tensor, TFLiteFile

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")


@pytest.fixture(scope="module")
def model(random_bundle) -> bytes:
    return (random_bundle / "model.tflite").read_bytes()


def test_signatures_equal_those_that_the_runtime_sees(model):
    parsed = TFLiteFile.parse(model)
    runtime = interpreter.Interpreter(model_content=model)
    names = runtime.get_signature_list()
    assert set(parsed.signatures) == set(names) == {"n4", "n8", "n16"}
    for name, signature in parsed.signatures.items():
        runner = runtime.get_signature_runner(name)
        for mine, theirs in (
            (signature.inputs, runner.get_input_details()),
            (signature.outputs, runner.get_output_details()),
        ):
            shapes = {key: tuple(entry["shape_signature"]) for key, entry in theirs.items()}
            assert {key: tensor.shape for key, tensor in mine.items()} == shapes
            assert all(entry["dtype"] is np.float32 for entry in theirs.values())
            assert all(tensor.type == 0 for tensor in mine.values())
    assert parsed.signatures["n8"] == Signature(
        {"x": Tensor.float32(8, 13), "c": Tensor.float32(6)},
        {name: Tensor.float32(1) for name in ("ssdp_flood", "ssl_renegotiation", "syn_dos")},
    )


def test_operators_are_those_of_tensorflows_schema(model):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    for number, (name, _) in OPERATORS.items():
        assert getattr(schema.BuiltinOperator, name) == number
    assert TFLiteFile.parse(model).foreign == ()


def operator_offsets(model: bytes) -> dict[str, int]:
    """Byte positions of the version of DEQUANTIZE and of the number of TANH."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    root = schema.Model.GetRootAsModel(model, 0)
    found = {}
    for i in range(root.OperatorCodesLength()):
        table = root.OperatorCodes(i)._tab
        code = root.OperatorCodes(i).BuiltinCode()
        if code == schema.BuiltinOperator.DEQUANTIZE:
            found["version"] = table.Pos + table.Offset(8)
        if code == schema.BuiltinOperator.TANH:
            found["number"] = table.Pos + table.Offset(10)
    return found


def test_a_newer_version_and_another_operator_are_foreign(model):
    places = operator_offsets(model)
    newer = bytearray(model)
    newer[places["version"]] = 12
    assert TFLiteFile.parse(bytes(newer)).foreign == ("DEQUANTIZE version 12",)
    other = bytearray(model)
    other[places["number"]] = 119  # WHILE
    assert TFLiteFile.parse(bytes(other)).foreign == ("number 119 version 1",)


def shared_tables(signatures: int, inputs: int) -> bytes:
    """A file whose signatures, all one table, have a vector of inputs that are one table too."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    entry, tensor = schema.TensorMapT(), schema.TensorT()
    entry.name, entry.tensorIndex = b"x", 0
    tensor.shape, tensor.type = [-1, 4], 0
    graph = schema.SubGraphT()
    graph.tensors = [tensor]
    definition = schema.SignatureDefT()
    definition.signatureKey, definition.subgraphIndex = b"n4", 0
    definition.inputs, definition.outputs = [entry] * inputs, []
    root = schema.ModelT()
    root.version, root.operatorCodes, root.subgraphs = 3, [], [graph]
    root.signatureDefs = [definition] * signatures
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_lists_have_limits_because_tables_can_be_shared():
    """Else a small file could ask for signatures × inputs steps, without end."""
    most = TFLiteFile.parse(shared_tables(1, MOST_ENTRIES))
    assert most.signatures["n4"].inputs == {"x": Tensor(0, (-1, 4))}
    assert set(TFLiteFile.parse(shared_tables(MOST_ENTRIES, 1)).signatures) == {"n4"}
    for signatures, inputs in ((1, MOST_ENTRIES + 1), (MOST_ENTRIES + 1, 1)):
        with pytest.raises(ValueError, match=f"it has {MOST_ENTRIES + 1} .*more than"):
            TFLiteFile.parse(shared_tables(signatures, inputs))


def one_tensor(name: bytes = b"x", shape: tuple[int, ...] = (-1, 4), index: int = 0) -> bytes:
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    root = schema.ModelT.InitFromPackedBuf(shared_tables(1, 1), 0)
    root.signatureDefs[0].inputs[0].name = name
    root.signatureDefs[0].inputs[0].tensorIndex = index
    root.subgraphs[0].tensors[0].shape = list(shape)
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_names_shapes_and_references_have_limits():
    assert list(TFLiteFile.parse(one_tensor(b"x" * 256)).signatures["n4"].inputs) == ["x" * 256]
    eight = TFLiteFile.parse(one_tensor(shape=(1, 2, 3, 4, 5, 6, 7, 8)))
    assert eight.signatures["n4"].inputs["x"].shape == (1, 2, 3, 4, 5, 6, 7, 8)
    for file, words in (
        (one_tensor(b"x" * 257), "257 characters in a name, more than 256"),
        (one_tensor(shape=(1,) * 9), "9 dimensions in a tensor, more than 8"),
        (one_tensor(index=1), "refers to table 1 of 1"),
    ):
        with pytest.raises(ValueError, match=words):
            TFLiteFile.parse(file)


def test_a_custom_operator_is_foreign():
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    code = schema.OperatorCodeT()
    code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, b"FlexLSTM"
    root = schema.ModelT()
    root.version, root.operatorCodes = 3, [code]
    builder = flatbuffers.Builder(64)
    builder.Finish(root.Pack(builder), b"TFL3")
    assert TFLiteFile.parse(bytes(builder.Output())).foreign == ("custom 'FlexLSTM'",)


@pytest.mark.parametrize("file", [b"", b"TFL3", b"\0" * 100, b"\x10\0\0\0TFL3" + b"\xff" * 200])
def test_other_files_are_refused(file):
    with pytest.raises(ValueError, match=r"TFL3|outside|before"):
        TFLiteFile.parse(file)


def test_a_name_that_runs_past_the_file_is_refused():
    file = one_tensor(b"input-name")
    place = file.index(b"input-name") - 4
    assert len(file) - place < 200
    longer = file[:place] + b"\xff\0\0\0" + file[place + 4 :]
    with pytest.raises(ValueError, match="a string runs past the file"):
        TFLiteFile.parse(longer)


def test_an_offset_before_the_file_is_refused():
    """A table whose fields would be described by the last bytes, counted from the end."""
    file = (8).to_bytes(4, "little") + b"TFL3" + (40).to_bytes(4, "little") + bytes(60)
    with pytest.raises(ValueError, match="before the file"):
        TFLiteFile.parse(file)


def test_damage_is_refused_or_read_but_never_runs_away(model):
    generator = np.random.default_rng(11)
    refused = 0
    for _ in range(300):
        damaged = bytearray(model)
        for place in generator.integers(8, len(model), 40):
            damaged[place] = generator.integers(0, 256)
        try:
            TFLiteFile.parse(bytes(damaged[: generator.integers(8, len(model) + 1)]))
        except ValueError:
            refused += 1
    assert refused > 100
