"""Event loops that connect as a `Connector` says."""
