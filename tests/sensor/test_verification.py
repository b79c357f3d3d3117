import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forged import with_file
from signing import made_key, sign

from sensor.errors import BundleError, HostError, MissingInputError
from sensor.model import verification
from sensor.model.bundle import Bundle
from sensor.model.golden import GoldenVectors
from sensor.model.trust import Trust
from sensor.model.verification import answer, read_proved, verify

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(random_bundle, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(random_bundle, tmp_path / "copy"))


def test_a_good_bundle_answers(random_bundle):
    bundle = Bundle.read(random_bundle)
    result = verify(bundle)
    assert result.manifest_sha256 == bundle.manifest_sha256
    assert result.rows == 64
    assert result.max_difference <= 1e-3
    assert result == answer(bundle)


def test_a_relative_path_works_from_any_folder(random_bundle, monkeypatch):
    monkeypatch.chdir(random_bundle.parent)
    assert verify(Bundle.read(Path(random_bundle.name))).rows == 64


def changed(folder: Path, change) -> Bundle:
    """The bundle with other golden vectors and forged hashes."""
    golden = Bundle.read(folder).golden
    return Bundle.read(with_file(folder, "golden.npz", change(golden).to_npz()))


def moved(golden: GoldenVectors, by: float) -> GoldenVectors:
    scores = golden.scores.copy()
    scores[3, 1] += np.float32(by)
    return replace(golden, scores=scores)


def test_a_score_beyond_the_tolerance_is_refused(folder):
    bundle = changed(folder, lambda golden: moved(golden, 0.00103))
    with pytest.raises(BundleError, match=r"golden row 3 scores .* for ssdp_flood") as caught:
        verify(bundle)
    assert "\n" not in str(caught.value)


def test_a_score_within_the_tolerance_passes(folder):
    result = verify(changed(folder, lambda golden: moved(golden, 0.00097)))
    assert 0.00095 < result.max_difference < 0.001


def test_a_score_that_is_no_number_is_refused(folder):
    with pytest.raises(BundleError, match="expected nan"):
        verify(changed(folder, lambda golden: moved(golden, np.nan)))


def test_the_other_side_of_a_threshold_is_refused(folder):
    """The scores agree within the tolerance, but a threshold lies between them."""
    bundle = changed(folder, lambda golden: moved(golden, 0.0005))
    raw = bundle.golden.scores[3, 1] - 0.00025
    between = 1 / (1 + np.exp(1 - 1.5 * np.log(raw / (1 - raw))))
    tasks = list(bundle.tasks)
    tasks[1] = replace(tasks[1], threshold=float(between))
    with pytest.raises(BundleError, match="golden row 3"):
        answer(replace(bundle, tasks=tuple(tasks)))


def test_another_encoding_is_refused(folder):
    def shifted(golden: GoldenVectors) -> GoldenVectors:
        golden.rows.ip_length[0, 0] ^= 0x4000
        return golden

    with pytest.raises(BundleError, match="encodes the golden rows differently"):
        verify(changed(folder, shifted))


def test_a_bundle_replaced_after_reading_is_noticed(folder):
    bundle = Bundle.read(folder)
    with_file(folder, "README.md", b"another card\n")
    with pytest.raises(BundleError, match="was replaced while it was read"):
        verify(bundle)


def test_a_model_that_kills_the_runtime_is_refused(folder, monkeypatch, tmp_path):
    """The child is a real process that dies of SIGSEGV, as some damaged models make it do."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(BundleError, match=r"crashed the TFLite runtime \(SIGSEGV\)"):
        verify(Bundle.read(folder))


@pytest.mark.parametrize(("status", "kind"), [(71, HostError), (82, BundleError), (1, BundleError)])
def test_the_childs_line_is_told_as_its_kind_of_error(folder, monkeypatch, tmp_path, status, kind):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho noise >&2\necho what is wrong >&2\nexit {status}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(kind, match=r"^what is wrong$"):
        verify(Bundle.read(folder))


def greedy(model: bytes) -> bytes:
    """The model with one more operator, which pads an input to 3.5 GB."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    root = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = root.subgraphs[root.signatureDefs[0].subgraphIndex]
    (x,) = (entry for entry in root.signatureDefs[0].inputs if entry.name == b"x")
    code, buffer = schema.OperatorCodeT(), schema.BufferT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.PAD
    buffer.data = np.array([[0, 0], [0, 1 << 21], [0, 0]], "<i4").view(np.uint8).reshape(-1)
    root.operatorCodes.append(code)
    root.buffers.append(buffer)
    paddings, padded, operator = schema.TensorT(), schema.TensorT(), schema.OperatorT()
    paddings.name, paddings.shape, paddings.type = b"paddings", [3, 2], schema.TensorType.INT32
    paddings.buffer = len(root.buffers) - 1
    padded.name, padded.shape, padded.type = b"padded", [1, 1, 1], schema.TensorType.FLOAT32
    padded.shapeSignature = [-1, -1, -1]
    graph.tensors += [paddings, padded]
    operator.opcodeIndex = len(root.operatorCodes) - 1
    operator.inputs = [x.tensorIndex, len(graph.tensors) - 2]
    operator.outputs = [len(graph.tensors) - 1]
    operator.builtinOptionsType = schema.BuiltinOptions.PadOptions
    operator.builtinOptions = schema.PadOptionsT()
    graph.operators.append(operator)
    graph.outputs = [*graph.outputs, len(graph.tensors) - 1]
    builder = flatbuffers.Builder(1 << 17)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_model_that_wants_all_memory_is_refused(folder):
    model = (folder / "model.tflite").read_bytes()
    with pytest.raises(BundleError, match=r"can't run the model|crashed the TFLite runtime"):
        verify(Bundle.read(with_file(folder, "model.tflite", greedy(model))))


def test_a_model_that_never_answers_is_refused(folder, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(verification, "TIMEOUT_S", 0.1)
    with pytest.raises(BundleError, match="were not answered within"):
        verify(Bundle.read(folder))


def test_weights_that_were_tampered_with_do_not_pass_unseen(folder):
    """A forger who gets every hash right still has to answer the vectors."""
    model = bytearray((folder / "model.tflite").read_bytes())
    bundle = Bundle.read(folder)
    # The experts' matrix, in float16, behind its size.
    kernel = 2 * (13 + 24) * 4 * 24
    place = next(
        start
        for start in range(0, len(model) - kernel, 4)
        if int.from_bytes(model[start : start + 4], "little") == kernel
    )
    model[place + 4 : place + 4 + kernel // 2] = bytes(kernel // 2)
    with_file(folder, "model.tflite", bytes(model))
    assert Bundle.read(folder).schema == bundle.schema
    with pytest.raises(BundleError, match="golden row"):
        verify(Bundle.read(folder))


def test_the_child_says_one_line_and_uses_the_exit_status(tmp_path):
    child = subprocess.run(
        [sys.executable, "-m", "sensor.model.verification", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 66
    assert child.stdout == ""
    assert len(child.stderr.splitlines()) == 1


def test_the_answer_is_one_json_object(random_bundle):
    child = subprocess.run(
        [sys.executable, "-m", "sensor.model.verification", str(random_bundle)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stderr == ""
    digest = hashlib.sha256((random_bundle / "model.tflite").read_bytes()).hexdigest()
    assert json.loads(child.stdout)["rows"] == 64
    assert digest == Bundle.read(random_bundle).model_sha256


@pytest.fixture
def signed(folder, tmp_path):
    """A bundle with a signature, and the public key."""
    private, public = made_key(tmp_path)
    sign(folder, private)
    return folder, public


def test_a_signed_bundle_answers(signed):
    folder, public = signed
    bundle, proof = read_proved(folder, Trust(keys=(public,)))
    assert proof == verify(bundle)
    assert proof.rows == 64


def test_a_relative_key_is_one_of_the_working_folder(signed, monkeypatch):
    folder, public = signed
    monkeypatch.chdir(public.parent)
    assert read_proved(folder, Trust(keys=(Path(public.name),)))[1].rows == 64


def test_an_unsigned_bundle_is_refused_where_keys_are_configured(signed):
    folder, public = signed
    bundle = Bundle.read(folder)
    (folder / "manifest.json.sig").unlink()
    assert verify(bundle).rows == 64
    with pytest.raises(BundleError, match=r"manifest.json.sig: is missing, and only signed"):
        verify(bundle, Trust(keys=(public,)))


def test_a_bundle_that_was_changed_after_it_was_signed_is_refused(signed):
    folder, public = signed
    with_file(folder, "README.md", b"another card\n")
    bundle = Bundle.read(folder)
    assert verify(bundle).rows == 64
    with pytest.raises(BundleError, match=r"manifest.json.sig: is no signature of manifest.json"):
        verify(bundle, Trust(keys=(public,)))


def test_a_signature_of_the_same_content_laid_out_otherwise_is_refused(signed):
    """The signature is of bytes: whoever wrote these was not the signer."""
    folder, public = signed
    place = folder / "manifest.json"
    place.write_text(json.dumps(json.loads(place.read_text())))
    with pytest.raises(BundleError, match="is no signature"):
        verify(Bundle.read(folder), Trust(keys=(public,)))


def test_a_bundle_that_takes_the_place_of_the_signed_one_is_refused(
    signed, tmp_path, monkeypatch, capsys
):
    """The child has seen a right signature, and then reads another bundle in the same folder."""
    folder, public = signed
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    with_file(other, "README.md", b"another card\n")
    read = Bundle.read
    monkeypatch.setattr(Bundle, "read", lambda _: read(other))
    monkeypatch.setattr(verification.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["verification", str(folder), str(public)])
    with pytest.raises(SystemExit) as ended:
        verification.main()
    assert ended.value.code == 82
    assert "was replaced while it was read" in capsys.readouterr().err


def test_a_huge_signature_and_one_that_is_no_file_are_refused(signed):
    folder, public = signed
    signature = folder / "manifest.json.sig"
    signature.write_bytes(bytes(1 << 20))
    with pytest.raises(BundleError, match=r"manifest.json.sig: is larger than 1 KiB"):
        verify(Bundle.read(folder), Trust(keys=(public,)))
    signature.unlink()
    os.mkfifo(signature)
    with pytest.raises(BundleError, match=r"manifest.json.sig: is no regular file"):
        verify(Bundle.read(folder), Trust(keys=(public,)))


def test_a_model_without_the_right_signature_never_reaches_the_runtime(signed, tmp_path):
    """Golden vectors that it could not answer are not what it is refused for."""
    folder, _ = signed
    _, other = made_key(tmp_path, "other")
    bundle = changed(folder, lambda golden: moved(golden, 0.5))
    with pytest.raises(BundleError, match="golden row"):
        verify(bundle)
    with pytest.raises(BundleError, match="is no signature"):
        verify(bundle, Trust(keys=(other,)))


def test_a_missing_key_and_a_missing_library_keep_their_kinds(signed, monkeypatch, tmp_path):
    folder, public = signed
    with pytest.raises(MissingInputError, match=r"none.pem: no such file"):
        verify(Bundle.read(folder), Trust(keys=(tmp_path / "none.pem",)))
    (tmp_path / "cryptography").mkdir()
    (tmp_path / "cryptography" / "__init__.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(HostError, match="extra `signatures`"):
        verify(Bundle.read(folder), Trust(keys=(public,)))
    assert verify(Bundle.read(folder)).rows == 64


def test_a_child_that_never_answers_ends_with_whoever_asked():
    child = (
        "from sensor.model.verification import end_with_parent; import time; end_with_parent(); "
        "print('asked', flush=True); time.sleep(600)"
    )
    parent = (
        "import subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE
    ) as asking:
        assert asking.stdout
        assert asking.stdout.readline() == b"asked\n"
        asking.kill()
        # the pipe ends with the last one who could write to it
        assert asking.stdout.read() == b""
