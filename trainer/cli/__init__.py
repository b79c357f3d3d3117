"""The command `multa-trainer`, a file per command group."""
