# The monitor, and the MLflow server that docker-compose.yml puts beside it.
FROM python:3.12.12-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 10001 app && install -d -o app -g app /data /log /keys

FROM base AS mlflow
RUN pip install 'mlflow==3.17.2' 'psycopg2-binary>=2.9,<3'
USER app
WORKDIR /data

FROM base AS monitor
WORKDIR /src
COPY pyproject.toml README.md ./
COPY monitor ./monitor
RUN pip install '.[worker,log,web]' && rm -rf /src/*
USER app
RUN python -m monitor.kernels
WORKDIR /data
VOLUME /data
ENV MONITOR_HEALTH__HOST=0.0.0.0 MONITOR_HEALTH__PORT=9464
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:9464/readyz', timeout=5)"]
ENTRYPOINT ["monitor"]
CMD ["run"]
