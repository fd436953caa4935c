from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModelContext
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from models.registry import files as model_files
from models.registry import serving
from models.scoring.health_model import MODEL_FOLDER
from models.scoring.scorer import Scorer
from tests.features.servers import JAVA

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SECONDS_TO_START = 180
NUMBERS = ("score", "probability", "probability_if_due", "coverage", "baseline_score")
Post = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def rows(frame: pd.DataFrame, result: Any) -> pd.DataFrame:
    """Feature rows as a client has them: unknown values, and a category and a plan never seen."""
    rows = frame.iloc[:40][list(result.model.required_columns)].reset_index(drop=True)
    rows.loc[0, "billing_period"] = "every full moon"
    rows.loc[1, "plan"] = "<script>alert(1)</script>"
    rows.loc[2, ["usage_28d", "tickets_90d", "tenure_days"]] = np.nan
    rows.loc[3] = None
    return rows


@pytest.fixture(scope="module")
def expected(result: Any, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What the health model itself says of the rows."""
    scored = Scorer(result.model).score(rows.assign(account_id="", observation_date=pd.NaT))
    table = scored.table[["segment", "score", "band", *NUMBERS[1:]]]
    return [
        record
        | {
            "reasons": [reason.sentence for reason in found],
            "reason_signals": [reason.signal for reason in found],
            "reason_points": [reason.points for reason in found],
        }
        for record, found in zip(table.to_dict("records"), scored.reasons(), strict=True)
    ]


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys() == serving.OUTPUT.keys()
        for name, value in other.items():
            exact = name not in (*NUMBERS, "reason_points")
            assert one[name] == (value if exact else pytest.approx(value, rel=0, abs=1e-9))


def split(rows: pd.DataFrame, **changed: Any) -> dict[str, Any]:
    """Spell rows as JSON, where what is not known is null."""
    plain = rows.astype(object).where(rows.notna(), None).assign(**changed)
    return {"dataframe_split": {"columns": list(plain), "data": plain.to_numpy().tolist()}}


@pytest.fixture(scope="module")
def served(result: Any, tmp_path_factory: pytest.TempPathFactory) -> serving.ServedHealthModel:
    files = tmp_path_factory.mktemp("model")
    result.model.save(files)
    made = serving.ServedHealthModel()
    made.load_context(PythonModelContext({MODEL_FOLDER: str(files)}, {}))
    return made


def test_it_says_what_the_health_model_says(served, rows, expected):
    found = served.predict(PythonModelContext({}, {}), rows)
    assert_same(found.to_dict("records"), expected)


def test_no_rows_are_no_answers(served, rows):
    found = served.predict(PythonModelContext({}, {}), rows.iloc[:0])
    assert list(found) == list(serving.OUTPUT)
    assert found.empty


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        (
            "tickets_90d",
            math.inf,
            "Signal 'tickets_90d' must hold finite numbers, or nothing where it is not known, but "
            "holds 'inf'; correct the column it is built from.",
        ),
        (
            "billing_period",
            ["annual"],
            "Column 'billing_period' must hold text, or nothing where it is not known, but holds "
            "\"['annual']\"; send one value per row.",
        ),
        (
            "plan",
            {"name": "growth" * 100},
            "Column 'plan' must hold text, or nothing where it is not known, but holds "
            f"\"{{'name': '{'growth' * 100}\"; send one value per row."[:159],
        ),
    ],
)
def test_a_value_of_another_type_is_a_bad_request(served, rows, column, value, sentence):
    changed = rows.astype({column: object})
    changed.at[5, column] = value
    with pytest.raises(MlflowException) as refused:
        served.predict(PythonModelContext({}, {}), changed)
    assert refused.value.get_http_status_code() == 400
    assert refused.value.message.startswith(sentence[:120])
    assert len(refused.value.message) < 250


def test_the_signature_asks_for_what_the_model_reads_and_nothing_else(result):
    signature = serving.signature(result.model)
    asked = {spec.name: (spec.type.name, spec.required) for spec in signature.inputs}
    texts = {"billing_period", "plan"}
    assert asked == {
        name: ("string" if name in texts else "double", True)
        for name in result.model.required_columns
    }
    assert signature.outputs.input_names() == list(serving.OUTPUT)


def closure(packages: tuple[str, ...]) -> set[str]:
    """Name what pip would install for some packages."""
    found: set[str] = set()
    left = [Requirement(package) for package in packages]
    while left:
        asked = left.pop()
        name = canonicalize_name(asked.name)
        if name in found or not (asked.marker is None or asked.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        with suppress(PackageNotFoundError):
            left += [Requirement(text) for text in requires(name) or ()]
    return found


ONLY_WHAT_IS_ASKED_FOR = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""


@pytest.fixture(scope="module")
def surroundings(
    result: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """A registered champion, a folder far from the project, and the environment to serve it in."""
    folder = tmp_path_factory.mktemp("mlruns")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        model_files.log_champion(
            result, folder=folder, name="health", params={}, files={}, figures={}
        )
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    # Packages of the same names in the folder of whoever serves must not be taken for ours.
    for package in ("features", "models"):
        (elsewhere / package).mkdir()
        text = f"raise RuntimeError('this is another {package}')\n"
        (elsewhere / package / "__init__.py").write_text(text, encoding="utf-8")
    # Nor may a package be there by luck: what the model's own requirements lack cannot be imported.
    given = closure(("mlflow", *model_files.REQUIREMENTS, "pyspark"))
    hidden = {
        name
        for name, homes in packages_distributions().items()
        if not given & {canonicalize_name(home) for home in homes}
    }
    assert {"pytest", "ruff"} <= hidden
    assert not hidden & {"mlflow", "lightgbm", "pandas"}
    site = tmp_path_factory.mktemp("site")
    text = f"HIDDEN = {hidden!r}\n{ONLY_WHAT_IS_ASKED_FOR}"
    (site / "sitecustomize.py").write_text(text, encoding="utf-8")
    return elsewhere, os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(site),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def post(surroundings: tuple[Path, dict[str, str]]) -> Iterator[Post]:
    """Start ``mlflow models serve`` and give a way to ask it."""
    folder, environment = surroundings
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--workers", "1"]
    command += ["-m", "models:/health@champion", "--env-manager", "local"]
    address = f"http://127.0.0.1:{port}"
    log = folder / "log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = monotonic() + SECONDS_TO_START

    def is_ready() -> bool:
        with suppress(URLError, ConnectionError), urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def ask(body: object, kind: str = "application/json") -> tuple[int, str]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(f"{address}/invocations", data, {"Content-Type": kind})
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    try:
        while not is_ready():
            with suppress(subprocess.TimeoutExpired):
                server.wait(timeout=0.2)
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert monotonic() < deadline, log.read_text(encoding="utf-8")
        yield ask
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
class TestServer:
    def test_answers_what_the_health_model_says(self, post, rows, expected):
        status, answer = post(split(rows))
        assert status == 200
        assert_same(json.loads(answer)["predictions"], expected)

    def test_order_and_further_columns_do_not_matter(self, post, rows, expected):
        turned = rows[rows.columns[::-1]].assign(account_id="A", observation_date="2025-01-01")
        status, answer = post(split(turned))
        assert status == 200
        assert_same(json.loads(answer)["predictions"], expected)

    def test_reads_records_csv_and_parquet(self, post, rows, expected, tmp_path):
        records = split(rows)["dataframe_split"]
        named = [dict(zip(records["columns"], row, strict=True)) for row in records["data"]]
        rows.to_parquet(tmp_path / "rows.parquet")
        for body, kind in (
            ({"dataframe_records": named}, "application/json"),
            (rows.to_csv(index=False).encode(), "text/csv"),
            ((tmp_path / "rows.parquet").read_bytes(), "application/vnd.apache.parquet"),
        ):
            status, answer = post(body, kind)
            assert status == 200, answer
            assert_same(json.loads(answer)["predictions"], expected)

    def test_no_rows(self, post, rows):
        assert post(split(rows.iloc[:0])) == (200, '{"predictions": []}')

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda rows: split(rows.drop(columns="plan")), "Model is missing inputs ['plan']."),
            (
                lambda rows: split(rows, tickets_90d="many"),
                "Failed to convert column tickets_90d to type 'float64'. Error: "
                "'ValueError(\"could not convert string to float: 'many'\")'",
            ),
            (
                lambda rows: split(rows, tickets_90d=math.inf),
                "Signal 'tickets_90d' must hold finite numbers, or nothing where it is not known, "
                "but holds 'inf'; correct the column it is built from.",
            ),
            (
                lambda rows: split(rows, plan=[["growth"]] * len(rows)),
                "Column 'plan' must hold text, or nothing where it is not known, but holds ",
            ),
            (lambda _: b"{", "Ensure that input is a valid JSON formatted string."),
            (lambda _: {"rows": []}, "exactly one of the input fields"),
        ],
        ids=["missing", "text", "infinite", "nested", "no JSON", "no rows"],
    )
    def test_a_bad_request_is_a_sentence_with_status_400(self, post, rows, change, said):
        status, answer = post(change(rows))
        assert status == 400
        message = json.loads(answer)
        assert said in message["message"]
        assert "Traceback" not in answer
        assert "stack_trace" not in message


SPARK = """
import sys
import mlflow
from pyspark.sql import SparkSession
session = SparkSession.builder.master("local[1]").getOrCreate()
health = mlflow.pyfunc.spark_udf(session, "models:/health@champion", env_manager="local")
rows = session.read.parquet("rows.parquet")
rows.withColumn("health", health()).select("account_id", "health.*").write.parquet("scores")
session.stop()
"""


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.xdist_group("spark")
def test_spark_scores_the_same(surroundings, rows, expected):
    pytest.importorskip("pyspark", reason="the spark extra is not installed")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("no Java is installed")
    folder, environment = surroundings
    texts = dict.fromkeys(rows.select_dtypes(["object", "str"]), object)
    named = rows.astype(texts).assign(account_id=[f"A{n:03}" for n in range(len(rows))])
    named.to_parquet(folder / "rows.parquet")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder / "local"),
    }
    arguments = " ".join(f"--conf {name}={value}" for name, value in settings.items())
    environment = environment | {
        "PYSPARK_SUBMIT_ARGS": f"{arguments} pyspark-shell",
        "PYSPARK_PYTHON": sys.executable,
        "JDK_JAVA_OPTIONS": JAVA,
    }
    ran = subprocess.run(
        [sys.executable, "-c", SPARK],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    found = pd.read_parquet(folder / "scores").sort_values("account_id")
    lists = {name: found[name].map(list) for name in found if name.startswith("reason")}
    assert_same(found.assign(**lists).drop(columns="account_id").to_dict("records"), expected)
