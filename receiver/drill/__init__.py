"""What `rollback-receiver drill` does: an older version of a workflow is made live and taken away again, measured."""
