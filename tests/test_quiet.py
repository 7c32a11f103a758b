"""A library that logs to standard output does not reach it, wherever something is trained."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")


def printed(code: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_only_errors_are_said_and_not_on_standard_output():
    out, err = printed(
        "from babyeval.quiet import quiet_deepspeed\nquiet_deepspeed()\nquiet_deepspeed()\n"
        "from deepspeed.utils import logger\nlogger.warning('a warning')\nlogger.error('an error')"
    )
    assert out == ""
    assert err.count("an error") == 1
    assert "a warning" not in err


def test_settings_of_a_fit_keep_it_quiet(tmp_path):
    out, _ = printed(
        "import sys, torch\nfrom types import SimpleNamespace\n"
        "from accelerate.utils.other import extract_model_from_parallel\n"
        "from babyeval.fit.trainer import trainer_settings\n"
        f"trainer_settings({str(tmp_path)!r}, SimpleNamespace(batch_size=2, clip=None), 0, epochs=1, dtype='float32', "
        "device=torch.device('cpu'))\n"
        "extract_model_from_parallel(torch.nn.Linear(1, 1))  # imports the library, as training does\n"
        "print('deepspeed' in sys.modules)"
    )
    assert out == "True\n"
