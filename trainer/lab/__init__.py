"""A small IoT network of namespaces that records labelled captures."""
