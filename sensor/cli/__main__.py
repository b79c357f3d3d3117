"""``python -m sensor.cli`` is `multa-sensor`."""

from sensor.cli import main

main()
