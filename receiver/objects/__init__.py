"""Configuration objects other than flows, of which the bridge keeps the versions itself."""
