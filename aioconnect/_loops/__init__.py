"""Event loops whose connections a `Connector` makes."""
