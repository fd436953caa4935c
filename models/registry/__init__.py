"""The registry: versions of a model in MLflow, champions, promotions and their records."""

import os

# Whatever of this room is imported first: MLflow reads these once, when it is loaded itself. A
# score job has nothing to report home.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# By default a server that is not there is asked for two minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
