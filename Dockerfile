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
WORKDIR /data
VOLUME /data
HEALTHCHECK --interval=60s --timeout=45s --start-period=60s --retries=3 \
    CMD ["monitor", "doctor"]
ENTRYPOINT ["monitor"]
CMD ["run"]
