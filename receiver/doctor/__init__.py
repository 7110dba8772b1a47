"""What `rollback-receiver doctor` looks at, one step after the other; it changes nothing at Genesys Cloud."""
