"""The command `multa-sensor`, a file per command group."""
