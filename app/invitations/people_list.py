"""A list of people as spreadsheets leave it: text or a file -> rows of first name and address, each with its errors.

CSV (RFC 4180) or pasted cells, separated by ; , or tab, with or without headings. Cells are data: nothing is
computed, and what a spreadsheet would run as a formula is refused as a name.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import BadInput
from app.forms import Form, is_address
from app.invitations.forms import read_invitation

ROWS_AT_ONCE = 500
LIST_LENGTH = 200_000  # characters
SEPARATORS = ("\t", ";", ",")
ENCODINGS = ("cp1252", "latin-1")  # what Excel writes on a western European Windows when it is not Unicode
FORMULA_STARTS = ("=", "+", "-", "@")  # OWASP, "CSV Injection"
NAME_HEADINGS = {"first name", "firstname", "first_name", "given name", "name", "vorname"} | {
    *("prénom", "prenom", "nombre", "nome", "voornaam", "imię", "imie"),
}
EMAIL_HEADINGS = {"e-mail", "email", "mail", "e-mail address", "email address", "e-mail-adresse", "e-mailadresse"} | {
    *("adresse e-mail", "courriel", "correo", "correo electrónico", "indirizzo e-mail", "e-mailadres", "adres e-mail"),
}
LABELS = {"name": "First name", "email": "E-mail"}


class UnreadableList(BadInput):
    """This list cannot be read."""


@dataclass(frozen=True, kw_only=True)
class PersonRow:
    """One person of a list. line: where it begins, counted from 1; errors: in plain words, empty when it fits."""

    line: int
    name: str
    email: str
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PeopleList:
    """rows: in their order; remarks: how the list was understood, where somebody should look."""

    rows: tuple[PersonRow, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FileText:
    """The text of an uploaded file. guessed: it was not Unicode, so letters may have been misread."""

    text: str
    guessed: bool = False


@dataclass(frozen=True, kw_only=True)
class _Columns:
    name: int
    email: int
    named: bool  # by headings: other columns may be there


def read_file(data: bytes) -> FileText:
    """UTF-16 by its mark, else UTF-8 where it fits, else Windows-1252, with Latin-1 for the five bytes that it
    leaves out. No guessing by letters: short lists have too few of them. Raises UnreadableList."""
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):  # ZIP (xlsx, ods, numbers) and OLE (xls)
        raise UnreadableList("This is a spreadsheet file. Please save it as CSV first, or copy the cells here.")
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (b"", "utf-8-sig")):
        try:
            if data.startswith(mark):
                return FileText(text=_without_nul(data.decode(encoding)))
        except UnicodeDecodeError:
            pass
    for encoding in ENCODINGS:
        try:
            return FileText(text=_without_nul(data.decode(encoding)), guessed=True)
        except UnicodeDecodeError:
            pass
    raise AssertionError("Latin-1 has a character for every byte")


def read_people(text: str) -> PeopleList:
    """The rows of a list. Raises UnreadableList when it is empty, too long, or no list of people at all."""
    if len(text) > LIST_LENGTH:
        raise UnreadableList(f"This list is too long. Please use at most {ROWS_AT_ONCE} people at once.")
    text = text.removeprefix("\ufeff")
    first, _, rest = text.partition("\n")
    if first.strip().lower() in {f"sep={separator}" for separator in SEPARATORS}:  # Excel's own first line
        text = "\n" + rest
    lines = _best_split(_without_nul(text))
    if not lines:
        raise UnreadableList("Please paste a list, or choose a file: one person a line, first name and e-mail address.")
    columns, remarks = _columns(lines[0][1], lines)
    if columns.named:
        lines = lines[1:]
    if not lines:
        raise UnreadableList("There are headings, but nobody below them.")
    if len(lines) > ROWS_AT_ONCE:
        raise UnreadableList(f"This list has {len(lines)} people. Please use at most {ROWS_AT_ONCE} at once.")
    return PeopleList(rows=tuple(_row(line, cells, columns) for line, cells in lines), remarks=remarks)


def _best_split(text: str) -> list[tuple[int, list[str]]]:
    """With the separator that leaves most addresses in cells of their own."""

    def score(lines: Sequence[tuple[int, list[str]]]) -> tuple[int, int]:
        addresses = sum(any(is_address(cell) for cell in cells) and len(cells) > 1 for _, cells in lines)
        return addresses, sum(len(cells) > 1 for _, cells in lines)

    return max((_split(text, separator) for separator in SEPARATORS), key=score)


def _split(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Line number and trimmed cells of every row that is not empty; empty cells at its end are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    found: list[tuple[int, list[str]]] = []
    begins = 1
    try:
        for cells in reader:
            trimmed = [cell.strip() for cell in cells]
            while trimmed and not trimmed[-1]:
                trimmed.pop()
            if any(cell.strip(";,") for cell in trimmed):
                found.append((begins, trimmed))
            begins = reader.line_num + 1
    except csv.Error as error:  # a cell above csv.field_size_limit()
        raise UnreadableList(f"Line {begins} is too long to be read as a person.") from error
    return found


def _columns(head: Sequence[str], lines: Sequence[tuple[int, list[str]]]) -> tuple[_Columns, tuple[str, ...]]:
    """Which column is which: by headings, else name before address (or after it, where the addresses stand first)."""
    headings = [cell.casefold() for cell in head]
    email = next((at for at, cell in enumerate(headings) if cell in EMAIL_HEADINGS), None)
    if email is not None:
        name = next((at for at, cell in enumerate(headings) if cell in NAME_HEADINGS), None)
        if name is None:
            raise UnreadableList("There is no column “First name”. Please add one beside “E-mail”.")
        unused = [cell for at, cell in enumerate(head) if at not in (name, email) and cell]
        remarks = (f"Not used: {', '.join(unused)}.",) if unused else ()
        return _Columns(name=name, email=email, named=True), remarks
    first = sum(is_address(cells[0]) for _, cells in lines)
    second = sum(len(cells) > 1 and is_address(cells[1]) for _, cells in lines)
    return _Columns(name=int(first > second), email=int(first <= second), named=False), ()


def _row(line: int, cells: list[str], columns: _Columns) -> PersonRow:
    def cell(at: int) -> str:
        return cells[at] if at < len(cells) else ""

    name, email = cell(columns.name), cell(columns.email)
    if is_address(name) and not email:
        name, email = "", name
    if any("\n" in one or "\r" in one for one in (name, email)):
        error = "A quotation mark is opened here and not closed, or a cell holds a line break."
        return PersonRow(line=line, name=name[:100], email=email[:100], errors=(error,))
    form = Form(values={"name": name, "email": email})
    clean = read_invitation(form)
    errors = [f"{label}: {form.errors[field]}" for field, label in LABELS.items() if field in form.errors]
    if name.startswith(FORMULA_STARTS) or email.startswith(FORMULA_STARTS):
        errors.append("A cell that begins with = + - or @ is a formula for a spreadsheet; it is not taken.")
    if not columns.named and len(cells) > 2:
        errors.append(f"There are {len(cells)} cells instead of two; headings would say which ones count.")
    if clean is not None:
        name, email = clean.name, clean.email
    return PersonRow(line=line, name=name, email=email, errors=tuple(errors))


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise UnreadableList("This file is not text. Please save the list as CSV, or copy the cells here.")
    return text
