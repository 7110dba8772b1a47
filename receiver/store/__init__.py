"""What the receiver remembers. The only place with SQL; `sqlalchemy.*` never leaves it."""
