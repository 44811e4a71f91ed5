"""Log lines of a process of its own: in both forms, each once, without keys."""

import json
import os
import re
import subprocess
import sys

import pytest

from nexus_pipeline.settings import Settings

KEY = 'sk-planted-Zx81/qv"uokka'


def lines(code, tmp_path, form="json", **environment):
    """What a program says on stderr after it has set its log up as Nexus's programs do."""
    (tmp_path / "program.py").write_text(f"import logging, warnings\n{code}\n")
    env = {
        **os.environ,
        "NEXUS_HOME": str(tmp_path),
        "NEXUS_LOG": form,
        "NEXUS_OPENAI_API_KEY": KEY,
        "NEXUS_CATALOG": "postgresql://nexus:pass%2Fword1@127.0.0.1/nexus",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        **environment,
    }
    argv = [sys.executable, "-m", "nexus_pipeline.logged", "program"]
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


def documents(code, tmp_path, **more):
    return [json.loads(line) for line in lines(code, tmp_path, **more)]


def test_an_event_is_one_document_with_its_facts(tmp_path):
    code = """
log = logging.getLogger("nexus_pipeline.turns")
log.info("landed item_id=%s step=%s seconds=%.2f tries=%d", "abc2", "raw", 1.5, 3)
log.debug("nobody reads this")
"""
    [told] = documents(code, tmp_path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert told == {
        "level": "INFO",
        "logger": "nexus_pipeline.turns",
        "message": "landed item_id=abc2 step=raw seconds=1.50 tries=3",
        "facts": {"item_id": "abc2", "step": "raw", "seconds": 1.5, "tries": 3},
    }


def test_as_text_it_is_one_line(tmp_path):
    [told] = lines("logging.getLogger('nexus_api.app').warning('full code=%s', 'store_full')", tmp_path, "text")
    assert re.fullmatch(r"[-\dT:.]+Z WARNING nexus_api.app full code=store_full", told)


def test_an_exception_is_inside_of_its_document(tmp_path):
    code = """
try:
    1 / 0
except ZeroDivisionError as error:
    logging.getLogger("nexus_pipeline.flow").error("unexpected error=%s", type(error).__name__, exc_info=error)
"""
    [told] = documents(code, tmp_path)
    assert told["message"] == "unexpected error=ZeroDivisionError"
    assert told["exception"].splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_planted_key_or_password_is_in_no_line(tmp_path, form):
    code = f"""
key = {KEY!r}
log = logging.getLogger("nexus_pipeline.engines.openai")
log.warning("refused: the key %s is wrong", key)
logging.getLogger("vendor").error("postgresql://nexus:%s@127.0.0.1", "pass/word1")
try:
    raise ValueError("Authorization: Bearer " + key)
except ValueError:
    log.exception("asked")
"""
    told = "\n".join(lines(code, tmp_path, form))
    assert told.count("[key]") == 3
    for secret in (KEY, json.dumps(KEY)[1:-1], "pass/word1"):
        assert secret not in told


def test_what_others_write_to_the_terminal_by_themselves_is_in_our_form_and_once(tmp_path):
    code = """
import logging.config, sys
from uvicorn.config import LOGGING_CONFIG
logging.config.dictConfig(LOGGING_CONFIG)
logging.getLogger("uvicorn.error").error("cannot bind")
logging.getLogger("uvicorn.access").warning('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", "/x", "1.1", 500)
detached = logging.getLoggerClass()("dagster", level="INFO")
detached.addHandler(logging.StreamHandler(sys.stdout))
detached.info("a run has begun")
logging.getLogger("vendor").info("chatter")
warnings.warn("a vendor's warning", stacklevel=1)
"""
    told = documents(code, tmp_path)
    assert [(one["logger"], one["level"]) for one in told] == [
        ("uvicorn.error", "ERROR"), ("uvicorn.access", "WARNING"), ("dagster", "INFO"), ("py.warnings", "WARNING"),
    ]  # fmt: skip
    assert "a vendor's warning" in told[-1]["message"]


def test_a_log_file_of_the_programs_own_stays_its_own(tmp_path):
    code = """
log = logging.getLogger("vendor")
log.addHandler(logging.FileHandler("own.log"))
log.warning("kept")
"""
    [told] = documents(code, tmp_path)
    assert told["message"] == "kept"
    assert (tmp_path / "own.log").read_text() == "kept\n"


def test_secrets_are_keys_and_passwords_and_nothing_else():
    told = Settings(
        _env_file=None,
        openai_api_key="k-1234567",
        key="n-1234567",
        catalog="postgresql://nexus:p%40ss@host/nexus",
        openai_base_url="http://user:word@host/v1",
        gemini_base_url="http://host:port",
    )
    assert set(told.secrets) == {"k-1234567", "n-1234567", "p@ss", "word"}
    assert Settings(_env_file=None).secrets == ()
