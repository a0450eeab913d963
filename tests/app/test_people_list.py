"""A list of people as spreadsheets leave it: what is read, what is told, and that it stays data."""

from __future__ import annotations

import csv
import io

import pytest

from app.invitations.people_list import ROWS_AT_ONCE, PersonRow, UnreadableList, read_file, read_people


def pairs(text: str) -> list[tuple[str, str]]:
    rows = read_people(text).rows
    assert [row.errors for row in rows] == [()] * len(rows)
    return [(row.name, row.email) for row in rows]


def only(text: str) -> PersonRow:
    [row] = read_people(text).rows
    return row


TWO = [("Anna", "anna@home.example"), ("Jürgen", "j@home.example")]


@pytest.mark.parametrize(
    "text",
    [
        "Anna;anna@home.example\nJürgen;j@home.example",
        "Anna,anna@home.example\r\nJürgen,j@home.example\r\n",
        "Anna\tanna@home.example\rJürgen\tj@home.example",
        "\n\n  Anna ; anna@home.example \n;;\nJürgen; j@home.example;;\n\n",
        '"Anna";"anna@home.example"\n"Jürgen";"j@home.example"',
        "sep=;\r\nFirst name;E-mail\r\nAnna;anna@home.example\r\nJürgen;j@home.example",
        "Vorname;E-Mail-Adresse\nAnna;anna@home.example\nJürgen;j@home.example",
        "E-mail,First name\nanna@home.example,Anna\nj@home.example,Jürgen",
        "anna@home.example,Anna\nj@home.example,Jürgen",
        "\ufeffFIRST NAME,EMAIL\nAnna,anna@home.example\nJu\u0308rgen,j@home.example",
        "Phone;First name;Last name;E-mail\n1;Anna;A;anna@home.example\n2;Jürgen;B;j@home.example",
    ],
)
def test_separators_headings_and_order_are_found(text: str) -> None:
    assert pairs(text) == TWO


def test_columns_that_are_not_used_are_told() -> None:
    assert read_people("Phone;First name;E-mail\n1;Anna;a@b.example").remarks == ("Not used: Phone.",)


def test_a_comma_in_a_name_does_not_split_it() -> None:
    assert pairs("Anna, the first;anna@home.example") == [("Anna, the first", "anna@home.example")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Anna", "E-mail: Please fill this in"),
        ("anna@home.example", "First name: Please fill this in"),
        (";anna@home.example", "First name: Please fill this in"),
        ("Anna;anna at home", "does not look like an e-mail address"),
        ("Anna;anna@home.example;1;2", "4 cells instead of two"),
        ("A" * 101 + ";a@home.example", "at most 100"),
        ("Anna\u202e;a@home.example", "direction marks"),
        ("Anna\x07;a@home.example", "control characters"),
        ('"Anna;a@home.example\nBen;b@home.example', "quotation mark"),
        ("=HYPERLINK(1);a@home.example", "formula"),
        ("+Anna;a@home.example", "formula"),
        ("-2+3;a@home.example", "formula"),
        ("@SUM(A1);a@home.example", "formula"),
        ("\t=1+1;a@home.example", "formula"),
        ("Anna;=1+1@home.example", "formula"),
        ("Anna;a@home.example, b@home.example", "does not look like an e-mail address"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(text: str, told: str) -> None:
    rows = read_people("Zoe;z@home.example\n\n" + text).rows
    assert rows[0].errors == ()
    assert told in " ".join(rows[1].errors)
    assert rows[1].line == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "paste a list"),
        (" \n;;\n", "paste a list"),
        ("First name;E-mail\n", "nobody below"),
        ("Phone;E-mail\n1;a@b.example", "no column “First name”"),
        ("Anna\0;a@b.example", "not text"),
        ("x" * 200_001, "too long"),
        ("\n".join(f"P{n};p{n}@home.example" for n in range(ROWS_AT_ONCE + 1)), "501 people"),
        ('"' + "x" * 140_000, "too long to be read"),
    ],
)
def test_a_list_that_is_none_is_refused_as_a_whole(text: str, told: str) -> None:
    with pytest.raises(UnreadableList, match=told):
        read_people(text)


def test_exactly_500_are_read() -> None:
    text = "First name;E-mail\n" + "\n".join(f"P{n};p{n}@home.example" for n in range(ROWS_AT_ONCE))
    assert len(read_people(text).rows) == ROWS_AT_ONCE


@pytest.mark.parametrize(
    ("encoding", "guessed"), [("utf-8", False), ("utf-8-sig", False), ("utf-16", False), ("cp1252", True)]
)
def test_a_file_in_another_encoding_is_read(encoding: str, guessed: bool) -> None:
    text = "Vorname;E-Mail\r\nJürgen;juergen@home.example\r\nBjörn;b@home.example\r\nSören;s@home.example\r\n"
    read = read_file(text.encode(encoding))
    assert read.guessed is guessed
    assert [row.name for row in read_people(read.text).rows] == ["Jürgen", "Björn", "Sören"]


@pytest.mark.parametrize(
    "name", ["Jürgen", "Zoë", "Françoise", "Søren", "Åsa", "Ñuño", "Renée", "Straßer", "Œdipe", "Žofie", "Ærø"]
)
def test_a_single_line_of_excel_keeps_its_letters(name: str) -> None:
    read = read_file(f"{name};a@home.example\r\n".encode("cp1252"))
    assert read.guessed and pairs(read.text) == [(name, "a@home.example")]


def test_a_byte_that_windows_1252_leaves_out_does_not_lose_the_list() -> None:
    rows = read_people(read_file("Jürgen;j@home.example\nA\x81;a@home.example".encode("latin-1")).text).rows
    assert rows[0].name == "Jürgen" and rows[0].errors == ()
    assert rows[1].line == 2 and "ontrol characters" in rows[1].errors[0]


@pytest.mark.parametrize("data", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0rest", b"\0\1\2\xff\xfe\xfd" * 50])
def test_a_file_that_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableList, match="CSV"):
        read_file(data)


def test_what_python_writes_is_read_back() -> None:
    people = [("O'Neil; “Pat”", "pat@home.example"), ('An "na"', "anna@home.example")]
    for separator in ";,\t":
        written = io.StringIO()
        csv.writer(written, delimiter=separator).writerows([("First name", "E-mail"), *people])
        assert pairs(written.getvalue()) == people


def test_a_line_in_the_middle_knows_its_number() -> None:
    assert only('\n\n"Anna";a@home.example').line == 3
