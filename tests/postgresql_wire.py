"""The way between a client and PostgreSQL, byte by byte; a test cuts it at a COMMIT, or lets it fall silent."""

import contextlib
import select
import socket
import threading
from enum import Enum, auto
from typing import Self

import sqlalchemy as sa

_COMMIT = b"COMMIT\0"  # as a simple query ends; "READ COMMITTED" is none


class AtCommit(Enum):
    """What happens at the next COMMIT; the client loses its connection in each case."""

    LOST = auto()  # the server never gets it, and loses the connection too
    UNANSWERED = auto()  # the server gets it, the answer is lost
    HELD = auto()  # the server never gets it and waits on; at every COMMIT from now on


class Wire:
    """`url` leads through it. Set `at_commit` or `silent` to have something happen; `cuts` counts."""

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        self._server = (str(parsed.host), int(parsed.port or 0))
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.url = parsed.set(port=port).render_as_string(hide_password=False)
        self.at_commit: AtCommit | None = None
        self.silent = False
        self.cuts = 0
        self._sockets = [self._listening]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            _end(one)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.create_connection(self._server)
        self._sockets += [client, server]
        try:
            while all(self._pass_on(one, client, server) for one in select.select([client, server], [], [])[0]):
                pass
        except OSError:
            _end(client)
            _end(server)

    def _pass_on(self, source: socket.socket, client: socket.socket, server: socket.socket) -> bool:
        """Carry what has come; False when the connection is over."""
        data = source.recv(65536)
        if self.silent:
            return bool(data)
        if source is client and _COMMIT in data and self.at_commit is not None:
            self._cut(data, client, server)
            return False
        if not data:
            _end(client)
            _end(server)
            return False
        (server if source is client else client).sendall(data)
        return True

    def _cut(self, data: bytes, client: socket.socket, server: socket.socket) -> None:
        self.cuts += 1
        if self.at_commit is AtCommit.UNANSWERED:
            server.sendall(data)
            server.recv(65536)
        if self.at_commit is not AtCommit.HELD:
            _end(server)
            self.at_commit = None
        _end(client)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended
        one.shutdown(socket.SHUT_RDWR)
