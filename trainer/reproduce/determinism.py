"""Whether TensorFlow adds in one order, so that a training gives the same weights bit by bit.

Seeds decide what is drawn, and not the order in which the threads of an operator add. TensorFlow
reads the variable on its first use, in this process and in every worker that is begun afterwards,
and it means what `tf.config.experimental.enable_op_determinism` does.
"""

import os

VARIABLE = "TF_DETERMINISTIC_OPS"


def make_deterministic() -> None:
    """For this process, before it loads TensorFlow, and for all that it starts."""
    os.environ[VARIABLE] = "1"


def determined() -> dict[str, bool]:
    """What this adds to the identity of a kept result: nothing where it is not asked for."""
    return {"deterministic": True} if os.environ.get(VARIABLE) == "1" else {}
