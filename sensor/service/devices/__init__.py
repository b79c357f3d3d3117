"""Names of devices, from leases and from the configuration."""
