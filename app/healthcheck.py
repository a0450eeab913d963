"""`python -m app.healthcheck PORT`: exit status 0 when the process with this private port is ready. For containers; it
imports next to nothing, because it runs every few seconds."""

from __future__ import annotations

import http.client
import sys


def ready(port: int) -> bool:
    """What /health/ready of this machine's process says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if ready(int(sys.argv[1])) else 1)
