"""Windows that others announce: calendars, change requests, known incidents. See docs/change-management.md."""
