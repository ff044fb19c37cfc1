"""What serving code adds: hand each prediction over, and go on serving.

    publisher = PredictionPublisher("kafka:9092", spool_directory="/var/spool/model-monitor")
    model = load_monitored_model("models:/credit@champion", publisher, groups=["sex"])
    model.predict(frame)

The plain install carries all of this room; `load_monitored_model` is in `monitor.registry.serving` and
needs MLflow.
"""

from monitor.publish.ledger import Counts
from monitor.publish.middleware import MonitorMiddleware
from monitor.publish.model import MonitoredModel
from monitor.publish.publisher import PredictionPublisher
from monitor.publish.settings import PublisherSettings

__all__ = [
    "Counts",
    "MonitorMiddleware",
    "MonitoredModel",
    "PredictionPublisher",
    "PublisherSettings",
]
