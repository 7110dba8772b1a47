"""docs/settings.md has every setting as the models have it, and each is explained."""

from itertools import chain

import pytest

from dev import settings_page
from dev.settings_page import Row, Section
from genesys.settings import Settings, Text

SECTIONS = tuple(settings_page.sections())
ROWS = tuple(chain.from_iterable(section.rows for section in SECTIONS))


def named(section: Section) -> str:
    return f"{section.file} {section.path}".strip()


def test_the_page_is_what_the_script_makes_of_the_models() -> None:
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page(), "run python dev/settings_page.py"


@pytest.mark.parametrize("section", SECTIONS, ids=named)
def test_every_setting_has_a_comment_that_says_what_it_means(section: Section) -> None:
    assert section.intro
    assert not [row.path for row in section.rows if not row.meaning], "write the comment behind the field, or above it"


@pytest.mark.parametrize("section", SECTIONS, ids=named)
def test_every_setting_that_is_required_has_an_example(section: Section) -> None:
    below = {other.path.removesuffix("[]") for other in SECTIONS if other.file == section.file}
    assert not [row.path for row in section.rows if not row.default and row.example is None and row.path not in below]


def test_the_page_knows_the_ways_to_write_a_setting() -> None:
    def row(path: str) -> Row:
        return next(row for row in ROWS if row.path == path)

    secret = row("tokens[].token")
    assert secret.keys == ("token_file", "token_env")
    assert (secret.kind, secret.default, secret.example) == ("text", "", "token_file: rollback-receiver.token")
    assert (row("timing.tick_s").kind, row("timing.tick_s").default) == ("seconds, above 0", "`2`")
    assert row("timing.retention_s").default == "`7776000` (90 d)"
    assert row("listen").kind == "HOST:PORT"
    assert row("flows[].mode").kind == "`ignore`, `observe`, `approve` or `auto`"
    assert row("organizations[].flows[].id").example == "ce677f29-f403-470c-adb0-8bfa6bf81d69", "from a comment"


class Commented(Settings):
    """Comments in all the places where they may stand."""

    behind: Text = ""  # said behind
    # said above,
    # in two lines
    above: Text = ""
    # first above
    both: Text = ""  # then behind
    none: Text = ""


def test_the_meaning_of_a_setting_is_its_comment_above_or_behind() -> None:
    assert settings_page.meanings(Commented) == {
        "behind": "said behind",
        "above": "said above, in two lines",
        "both": "first above then behind",
        "none": "",
    }
