"""GenesysFlowFailing fires when it must, only then, and ends when it must: `promtool` on modelled exporters."""

from pathlib import Path

import pytest
import yaml

from tests.rules.conftest import Run
from tests.rules.flow_cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_alert_fires_exactly_when_the_case_says(case: Case, promtool: Run, tmp_path: Path) -> None:
    file = tmp_path / "case.yml"
    file.write_text(yaml.safe_dump(case.document(), sort_keys=False))
    promtool("test", "rules", file)
