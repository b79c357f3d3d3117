"""Round-trip times of peers, measured from packets that pass the sensor, and windows of them."""
