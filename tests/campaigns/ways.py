"""The network between two programs on this machine: a way for bytes that can be cut, or fall silent, and heals."""

import contextlib
import select
import socket
import threading
from typing import Self

_LOOK_AGAIN_S = 0.1  # how soon a thread that waits sees that its way is no more


class Way:
    """TCP to `to`. Open at first; what is cut ends at once, what is silent is passed on once it is open again."""

    def __init__(self, to: tuple[str, int], *, port: int = 0) -> None:
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listening.getsockname()[1])
        self._passes = threading.Event()
        self._passes.set()
        self._is_cut = False
        self._closed = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self.open()
        _end(self._listening)
        self._end_all()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def open(self) -> None:
        self._is_cut = False
        self._passes.set()

    def cut(self) -> None:
        """Both sides see every connection end; new ones end at once."""
        self._is_cut = True
        self._end_all()

    def fall_silent(self) -> None:
        """Nobody hears anything, nobody is told so: as behind a firewall that drops what it sees."""
        self._passes.clear()

    def _end_all(self) -> None:
        for pair in list(self._pairs):
            for one in pair:
                _end(one)

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
        with client, contextlib.suppress(OSError):
            self._wait()
            if self._is_cut or self._closed.is_set():
                return
            with socket.create_connection(self._to) as server:
                pair = (client, server)
                self._pairs.append(pair)
                try:
                    while not self._closed.is_set() and all(self._pass_on(one, pair) for one in _readable(pair)):
                        pass
                finally:
                    self._pairs.remove(pair)
                    for one in pair:
                        _end(one)

    def _pass_on(self, source: socket.socket, pair: tuple[socket.socket, socket.socket]) -> bool:
        """Carry what has come; False when the connection is over."""
        self._wait()
        data = source.recv(65536)
        if data:
            pair[source is pair[0]].sendall(data)
        return bool(data)

    def _wait(self) -> None:
        while not self._closed.is_set() and not self._passes.wait(_LOOK_AGAIN_S):
            pass


class DatagramWay:
    """UDP to `to`, and back to whoever has sent; what is sent while it is cut is lost."""

    def __init__(self, to: tuple[str, int], *, port: int) -> None:
        self._to = to
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind(("127.0.0.1", port))
        self._far: dict[tuple[str, int], socket.socket] = {}  # one for each sender
        self.is_cut = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._carry)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        for one in (self._near, *self._far.values()):
            one.close()

    def _carry(self) -> None:
        while not self._closed.is_set():
            for one in _readable((self._near, *self._far.values())):
                with contextlib.suppress(OSError):  # nobody listens there (any more): a datagram is lost without a word
                    data, sender = one.recvfrom(65536)
                    if not self.is_cut:
                        self._pass_on(one, data, sender)

    def _pass_on(self, source: socket.socket, data: bytes, sender: tuple[str, int]) -> None:
        if source is self._near:
            self._far_of(sender).sendto(data, self._to)
        else:
            back = next(address for address, far in self._far.items() if far is source)
            self._near.sendto(data, back)

    def _far_of(self, sender: tuple[str, int]) -> socket.socket:
        if sender not in self._far:
            self._far[sender] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return self._far[sender]


def _readable(sockets: tuple[socket.socket, ...]) -> list[socket.socket]:
    """Those with something to read; none after a moment, so that whoever waits can look around."""
    return select.select(sockets, [], [], _LOOK_AGAIN_S)[0]


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended
        one.shutdown(socket.SHUT_RDWR)
