"""`make messages`: every marked text of the sources into the catalogues of app/translations.

Besides gettext's own marks a text is found where it is given to refused(…) or to one of the errors people see,
and in the docstring of such an error, which is its message.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

import app
from app.errors import JunierError
from app.language import FOLDER, Language, catalogue
from recordings.storage.regions import known_places

ROOT = Path(app.__file__).parents[1]
_METHODS = [
    ("app/**/templates/**.html", "jinja2"),
    ("app/**/templates/**.txt", "jinja2"),
    ("app/templates/**.html", "jinja2"),
    ("app/static/js/**.js", "javascript"),
    ("app/static/room/**.js", "javascript"),
    ("app/demo/**", "ignore"),
    ("app/**.py", "python"),
    ("workers/**.py", "python"),
]
_OPTIONS = {"**/templates/**": {"trimmed": "true", "silent": "false"}}
_MARKS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "NN_": (1, 2),
    "refused": None,
}
_WITHOUT_PAGES = {"app.__main__", "app.demo", "app.migrations"}


def marked() -> Catalog:
    """All marked texts as they stand in the sources now."""
    found = Catalog(project="Junier", domain="junier", charset="utf-8")
    errors = dict(_errors())
    marks = _MARKS | dict.fromkeys(errors)
    for folder in ("app", "workers"):
        for file, line, message, comments, context in extract_from_dir(
            ROOT / folder,
            method_map=[(pattern.removeprefix(f"{folder}/"), m) for pattern, m in _METHODS],
            options_map={pattern: dict(values) for pattern, values in _OPTIONS.items()},
            keywords=marks,
            comment_tags=("translators:",),
            strip_comment_tags=True,
        ):
            found.add(message, locations=[(f"{folder}/{file}", line)], auto_comments=comments, context=context)
    for error in errors.values():
        source = Path(inspect.getfile(error)).relative_to(ROOT)
        found.add(" ".join((error.__doc__ or "").split()), locations=[(str(source), 0)])
    for where in known_places():
        found.add(where, locations=[("recordings/storage/regions.py", 0)])
    return found


def update(language: Language) -> Catalog:
    """The language's catalogue with today's texts: new ones untranslated, old ones gone, nothing guessed."""
    known = catalogue(language)
    known.update(marked(), no_fuzzy_matching=True, update_header_comment=False)
    known.obsolete.clear()
    return known


def _errors() -> Iterator[tuple[str, type[JunierError]]]:
    """Every error people may see, by its name."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.startswith(tuple(_WITHOUT_PAGES)):
            importlib.import_module(module.name)
    waiting: list[type[JunierError]] = [JunierError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.__module__.startswith("app."):
            yield error.__name__, error


def write(updated: Catalog, language: Language) -> None:
    updated.fuzzy, updated.project, updated.version = False, "Junier", "1"
    updated.last_translator, updated.language_team, updated.msgid_bugs_address = "Junier", "Junier", "-"
    updated.header_comment = (
        f"# What Junier says, in {language.own_name}. `make messages` adds new texts and drops old ones."
    )
    file = FOLDER / language / "LC_MESSAGES/junier.po"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        write_po(out, updated, width=120, sort_by_file=True, include_lineno=False)


if __name__ == "__main__":
    for language in Language:
        if language is Language.EN:
            continue
        updated = update(language)
        write(updated, language)
        untold = sum(1 for message in updated if message.id and not message.string)
        print(f"{language}: {len(updated)} texts, {untold} without a translation (shown in English)")
