"""Which table a schema has, and that both kinds have what lanes ask for."""

import pytest

from sensor.flows.ends import NO_ENDS
from sensor.flows.table import FlowTable
from sensor.latency.latency_table import LatencyTable
from sensor.model.schema import KEYS, PEER_LATENCY, FeatureSchema
from sensor.tables import Table, table_of

MEASURED = FeatureSchema(lengths=(64,), fields=("rtt", "valid"), context=(), key=PEER_LATENCY)


@pytest.mark.parametrize("key", KEYS)
def test_flows_have_a_flow_table(key):
    table = table_of(FeatureSchema(key=key), 70_000)
    assert isinstance(table, FlowTable)
    assert table.capacity == 70_000


def test_measurements_have_their_own():
    table = table_of(MEASURED)
    assert isinstance(table, LatencyTable)
    assert table.schema == MEASURED
    names = [name for name in vars(Table) if not name.startswith("_")] + list(Table.__annotations__)
    assert len(names) > 15
    for other in (table, table_of(FeatureSchema())):
        assert [name for name in names if not hasattr(other, name)] == []
    table.keep_ends()
    assert not table.keeps_ends
    assert table.take_ends() is NO_ENDS
