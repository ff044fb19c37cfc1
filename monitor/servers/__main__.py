"""``python -m monitor.servers``: a real Kafka broker and a real MLflow server to try things on, until Ctrl-C.

It prints the variables by which everything else finds them.
"""

from __future__ import annotations

import signal
import sys
import threading

from monitor.servers import KafkaServer, MlflowServer


def main() -> None:
    """Start both, say where they are, wait, and stop them."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def say(sentence: str) -> None:
        sys.stderr.write(f"{sentence}\n")

    with KafkaServer(say=say) as kafka, MlflowServer() as mlflow:
        sys.stdout.write(
            f"export MONITOR_KAFKA__BOOTSTRAP={kafka.bootstrap}\n"
            f"export MONITOR_REGISTRY__URI={mlflow.uri}\n"
            f"export MLFLOW_TRACKING_URI={mlflow.uri}\n"
        )
        sys.stdout.flush()
        say("Their data goes with them. Ctrl-C stops both.")
        stop.wait()


if __name__ == "__main__":
    main()
