"""Failures that a person can mend, each with its own exit status.

A leaf: every part of the sensor and of the trainer raises these, and only the command line
turns them into one line on standard error. The numbers up to 78 are those of BSD's
``sysexits.h``; those from 80 on are ours (`docs/exit-status.md`).
"""

from typing import ClassVar


class MultaError(Exception):
    """One clear line for a person: what is wrong, where, and what to do about it."""

    exit_status: ClassVar[int]


class UsageError(MultaError):
    """The command line does not make sense."""

    exit_status = 64


class CaptureFormatError(MultaError):
    """A file is not a packet capture that this version reads."""

    exit_status = 65


class MissingInputError(MultaError):
    """An input file or folder does not exist."""

    exit_status = 66


class CaptureUnavailableError(MultaError):
    """A network interface does not exist, is down for good, or can't be captured on."""

    exit_status = 69


class InternalError(MultaError):
    """A defect of the program, which should be reported; `MULTA_TRACEBACK=1` shows more."""

    exit_status = 70


class HostError(MultaError):
    """The operating system lacks something that is needed (a kernel feature, a program)."""

    exit_status = 71


class OutputError(MultaError):
    """An output can't be written."""

    exit_status = 74


class PermissionDeniedError(MultaError):
    """The user may not read the input or open the capture socket."""

    exit_status = 77


class ConfigurationError(MultaError):
    """A configuration file is wrong."""

    exit_status = 78


class TruncatedCaptureError(MultaError):
    """A capture ends inside a record; everything before that was processed."""

    exit_status = 80


class LinkTypeError(MultaError):
    """A capture's link type is not decoded."""

    exit_status = 81


class BundleError(MultaError):
    """A model bundle is corrupt, foreign, or does not answer its golden vectors."""

    exit_status = 82


class LabelError(MultaError):
    """A label file contradicts itself, its format, or its capture; or a labeling function fails."""

    exit_status = 83


class ScenarioError(MultaError):
    """A lab scenario is wrong."""

    exit_status = 84


class LeakError(MultaError):
    """A single input of a network knows the captures that it would learn from, not the attack."""

    exit_status = 85


class ForgettingError(MultaError):
    """An added task would cost an old one more detection than was allowed; nothing is written."""

    exit_status = 86


class EvidenceError(MultaError):
    """A file of evidence is damaged, or of another version."""

    exit_status = 87


class SeriesError(MultaError):
    """A file holds no latency series in a form that is read, or a damaged one."""

    exit_status = 88
