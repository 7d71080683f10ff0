"""A real server on a loopback port: streams end with it, workers are answered till then."""

import httpx
import pytest

from backend.app import PortInUseError, listen


def test_a_port_in_use_is_named():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} of 127.0.0.1 is in use.*--port"):
            listen("127.0.0.1", port)


def test_a_stop_ends_streams_promptly_and_answers_workers_first(served, app, fake, store):
    server, thread, url = served
    heard = []
    token = app.state.lab.home.token
    run = store.create_run({"name": "", "steps": 5}, {"driver": "b", "shadows": []})
    _, worker = store.begin_attempt(run.id)

    def asked():
        if heard:
            return
        # As the supervisor does: the workers learn of the stop by the answer to a report.
        body = {"run": run.id, "attempt": 1, "sequence": 0, "status": "stopped"}
        headers = {"authorization": f"Bearer {worker}"}
        heard.append(httpx.post(f"{url}/api/worker/report", json=body, headers=headers).status_code)

    fake.shutdown = asked
    headers = {"authorization": f"Bearer {token}"}
    with httpx.stream("GET", f"{url}/api/stream", headers=headers, timeout=10) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        server.should_exit = True
        assert list(lines)[-1:] != ["unreachable"]
    thread.join(10)
    assert not thread.is_alive()
    assert heard[0] == 200
