"""MULTA sensor: packets in, alerts out.

The packages stand in the order in which a packet passes through them:
``capture`` → ``packets`` → ``flows`` → ``model`` → ``alerts``; ``pipeline`` shows the
whole chain on one screen, ``service`` and ``cli`` own sockets, signals and files. A package
imports only from those before it and from ``model.schema``; nothing here imports TensorFlow.
"""

__version__ = "0.1.0"
