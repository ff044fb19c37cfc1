"""Serve ``models:/NAME@ALIAS`` over HTTP, publish every prediction, follow the alias when it moves.

python examples/serve.py --model credit --tracking-uri http://localhost:5000 \
        --bootstrap localhost:9092 --groups sex,race --port 8000

POST /predict {"rows": [{"age": 41, "sex": "f"}], "event_times": ["2026-01-02T00:00:00Z"]}
GET  /health
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

from monitor.errors import MonitorError, SettingsError
from monitor.publish import PredictionPublisher
from monitor.registry.serving import FollowingModel, load_monitored_model


class Question(BaseModel):
    """Rows to predict; protected attributes stand in the rows, among the features."""

    rows: Annotated[list[dict[str, float | int | str | bool | None]], Field(min_length=1)]
    event_times: list[dt.datetime] | None = None
    prediction_ids: list[str] | None = None


def make_app(model: FollowingModel, publisher: PredictionPublisher) -> FastAPI:
    """Return the application around a loaded model."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        model.close()
        publisher.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/predict")
    def predict(question: Question) -> dict[str, Any]:
        answering = model.current
        answers = answering.predict(
            pd.DataFrame(question.rows),
            event_times=question.event_times,
            prediction_ids=question.prediction_ids,
        )
        return {"predictions": list(answers), "model_version": answering.version.version}

    @app.get("/health")
    def health() -> dict[str, Any]:
        counts = publisher.counts
        return {
            "model": model.version.model,
            "model_version": model.version.version,
            "published": counts.delivered,
            "pending": counts.pending,
            "dropped": counts.dropped,
            "invalid": counts.invalid,
        }

    return app


def main() -> None:
    """Serve until interrupted; the chosen port is told on the first line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="registered model's name")
    parser.add_argument("--alias", default="champion")
    parser.add_argument("--tracking-uri", help="MLflow; MLFLOW_TRACKING_URI by default")
    parser.add_argument("--bootstrap", help="Kafka; MONITOR_KAFKA__BOOTSTRAP by default")
    parser.add_argument("--topic", default="predictions")
    parser.add_argument("--groups", default="", help="protected columns, with commas between")
    parser.add_argument("--spool-directory", help="where events wait while Kafka is away")
    parser.add_argument("--refresh-seconds", type=float, default=10.0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    given = parser.parse_args()
    try:
        serve(given)
    except MonitorError as error:
        sys.exit(f"serve: {error}")


def serve(given: argparse.Namespace) -> None:
    """Serve until interrupted."""
    publisher = PredictionPublisher(
        given.bootstrap, topic=given.topic, spool_directory=given.spool_directory
    )
    model = load_monitored_model(
        f"models:/{given.model}@{given.alias}",
        publisher,
        groups=[name for name in given.groups.split(",") if name],
        refresh_seconds=given.refresh_seconds,
        tracking_uri=given.tracking_uri,
    )
    listener = listen(given.host, given.port)
    host, port = listener.getsockname()[:2]
    print(f"serving on http://{host}:{port}", flush=True)
    config = uvicorn.Config(make_app(model, publisher), log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Take the port.

    Raises
    ------
    SettingsError
        If it cannot be had.
    """
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise SettingsError(
            f"the port cannot be had ({os.strerror(error.errno or 0)})",
            where=f"{host}:{port}",
            fix="End what listens there, or choose another by --port; 0 takes a free one.",
        ) from error


if __name__ == "__main__":
    main()
