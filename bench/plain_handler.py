"""A webhook handler as most people write it: Flask, SQLite, one commit per alert. What our intake is measured against.

`gunicorn bench.plain_handler:app`, with BENCH_DATABASE in the environment; as durable as ours: WAL, synchronous FULL.
"""

import json
import os
import sqlite3
import threading

from flask import Flask, request

app = Flask(__name__)
_own = threading.local()


def _database() -> sqlite3.Connection:
    """One connection per thread."""
    if not hasattr(_own, "connection"):
        _own.connection = sqlite3.connect(os.environ["BENCH_DATABASE"], timeout=60)
        _own.connection.execute("PRAGMA journal_mode=WAL")
        _own.connection.execute("PRAGMA synchronous=FULL")
        _own.connection.execute(
            "CREATE TABLE IF NOT EXISTS alerts (fingerprint TEXT, starts_at TEXT, status TEXT, labels TEXT,"
            " annotations TEXT, PRIMARY KEY (fingerprint, starts_at))"
        )
        _own.connection.commit()
    connection: sqlite3.Connection = _own.connection
    return connection


@app.post("/api/v1/alerts")
def alerts() -> tuple[str, int]:
    database = _database()
    for alert in request.get_json()["alerts"]:
        row = (alert["fingerprint"], alert["startsAt"], alert["status"], json.dumps(alert["labels"]))
        database.execute(
            "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?)", (*row, json.dumps(alert["annotations"]))
        )
        database.commit()
    return "", 202
