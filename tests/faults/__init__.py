"""Proofs that the sensor survives what goes wrong around it; ``make verify TARGET=faults``.

Each module does one kind of harm to real processes in network namespaces and gives a `Result`
(`faults.result`); `faults.__main__` runs them one after the other and writes the page. The tests
run a few rounds of each (`tests/sensor/test_faults.py`).
"""
