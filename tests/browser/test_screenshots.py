"""The pictures of docs/console.md: taken anew with `--screenshots`, else only whether they are there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.browser.office import Office
from tests.browser.pages import PAGES
from tests.browser.world import World

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "console"
MAX_BYTES = 150_000


class Shot(NamedTuple):
    """One picture: of which page, on what screen, and how much of it."""

    path: Callable[[World], str]
    width: int
    height: int
    scheme: str = "light"


SHOTS = {
    "now": Shot(PAGES["now"], 1180, 1000),
    "record": Shot(PAGES["rollback that runs"], 1180, 1250),
    "phone": Shot(PAGES["now"], 360, 760),
    "phone-dark": Shot(PAGES["approvals"], 360, 760, "dark"),
    "dark": Shot(PAGES["flow in quarantine"], 1180, 900, "dark"),
}


@pytest.mark.parametrize("name", SHOTS)
def test_the_picture_is_there_and_small(
    name: str, busy: Office, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shot = SHOTS[name]
    screen: dict[str, Any] = {"viewport": {"width": shot.width, "height": shot.height}, "color_scheme": shot.scheme}
    page = busy.open(shot.path(busy.world), **screen)
    taken = tmp_path / f"{name}.png"
    page.screenshot(path=taken, animations="disabled")
    page.context.close()
    assert taken.stat().st_size < MAX_BYTES
    kept = FOLDER / taken.name
    if request.config.getoption("--screenshots"):
        FOLDER.mkdir(exist_ok=True)
        kept.write_bytes(taken.read_bytes())
    assert kept.stat().st_size < MAX_BYTES
    assert _size(kept) == _size(taken) == (shot.width, shot.height)


def test_the_page_shows_every_picture_and_no_other() -> None:
    text = (FOLDER.parent / "console.md").read_text(encoding="utf-8")
    assert {path.stem for path in FOLDER.glob("*.png")} == SHOTS.keys()
    assert all(f"](console/{name}.png)" in text for name in SHOTS)


def _size(png: Path) -> tuple[int, int]:
    """Width and height, of the first chunk of every PNG."""
    header = png.read_bytes()[16:24]
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")
