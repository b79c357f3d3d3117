"""A set of toy recordings in parts, and an executor that works at once."""

from concurrent.futures import Executor, Future

from toy_recordings import toy_recording

PARTS = {1: "train", 2: "train", 3: "test", 4: "validation"}
"""Part of the toy of each seed."""


class Here(Executor):
    """Runs what is asked for when it is asked for."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def toy_set(folder):
    """Writes ``toys.toml``, and recordings of all its parts but validation's."""
    lines = [
        f'{{ part = "{part}", scenario = "toy", seed = {seed}, duration_s = 120 }},'
        for seed, part in PARTS.items()
    ]
    text = 'version = "7"\ndescription = "Toys."\nrecordings = [\n' + "\n".join(lines) + "\n]\n"
    (folder / "toys.toml").write_text(text)
    for seed, part in PARTS.items():
        if part != "validation":
            toy_recording(folder / "recordings" / f"toy-{seed}", seed)
    return folder
