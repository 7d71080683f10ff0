"""A cable between browser and lab, which a test cuts, stalls and mends."""

import contextlib
import socket
import threading


class Cable:
    """Passes TCP connections on to a port of this machine, and counts the streams asked for."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._flows = threading.Event()
        self._flows.set()
        self._is_cut = False
        self._ends: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.streams = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and each new one at once."""
        self._is_cut = True
        self._close_all()

    def stall(self) -> None:
        """Keep all connections open and pass nothing on, as a machine that is asleep does."""
        self._flows.clear()

    def mend(self) -> None:
        """Pass everything on again, what was stalled included."""
        self._is_cut = False
        self._flows.set()

    def close(self) -> None:
        """End for good."""
        self._listener.close()
        self.cut()
        self._flows.set()

    def _close_all(self) -> None:
        for end in list(self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                if self._is_cut:
                    browser.close()
                    continue
                lab = socket.create_connection(("127.0.0.1", self._port))
                self._ends |= {browser, lab}
                for source, target in ((browser, lab), (lab, browser)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.streams += data.startswith(b"GET /api/stream")
                self._flows.wait()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
