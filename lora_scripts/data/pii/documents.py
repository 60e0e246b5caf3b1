"""Word documents without personal data: run by run, so that fonts, lists, tables and everything else stay."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from lora_scripts.data.pii.desensitize import edit_runs
from lora_scripts.data.pii.file_pass import Pass
from lora_scripts.data.pii.table_files import header_of
from lora_scripts.data.pii.workbooks import rewrite_properties
from lora_scripts.data.reading.archives import broken_as_error, refuse_bomb
from lora_scripts.errors import DataError

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PROPERTIES = ("author", "last_modified_by", "title", "subject", "comments", "keywords", "category")
_WORD_XML = "wordprocessingml"
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
# Text as it reads, deleted text and fields are separate texts of one paragraph.
_TEXTS = (
    frozenset((f"{_W}t", f"{_W}tab", f"{_W}br", f"{_W}cr")),
    frozenset((f"{_W}delText",)),
    frozenset((f"{_W}instrText",)),  # the instruction of a field, as the address of a link
)
_HOLDS_TEXT = frozenset((f"{_W}t", f"{_W}delText", f"{_W}instrText"))


def document(path: Path, job: Pass) -> bytes:
    """A Word document; in mode ``drop`` rows of its tables are left out, and running text is refused if it holds any.

    Raises:
        DataError: No document, or mode ``drop`` and personal data outside of a table.
    """
    import docx
    from docx.opc.oxml import parse_xml, serialize_part_xml
    from docx.opc.part import XmlPart

    refuse_bomb(path, job.file, "Word")
    with broken_as_error(job.file, "Word"):
        whole = docx.Document(str(path))
        _body(whole.element.body, job)
        _authors(whole.element, job)
        kept_as_they_are = 0
        for part in whole.part.package.iter_parts():
            name = str(part.partname).rsplit("/", 1)[-1]
            if part is not whole.part and _WORD_XML in part.content_type:
                root = part.element if isinstance(part, XmlPart) else parse_xml(part.blob)
                for paragraph in root.iter(f"{_W}p"):
                    _paragraph(paragraph, job, place=name, keep=True)
                _authors(root, job)
                if not isinstance(part, XmlPart):
                    part._blob = serialize_part_xml(root)
            elif name in ("app.xml", "custom.xml"):
                part._blob = _properties(part.blob, job, name)
            elif "/media/" in str(part.partname) or "/embeddings/" in str(part.partname):
                kept_as_they_are += 1
            _links(part, job, name)
        rewrite_properties(whole.core_properties, _PROPERTIES, job, nobody=("python-docx",))
        if kept_as_they_are:
            job.remark("warning", "document_parts", count=kept_as_they_are)
        out = BytesIO()
        whole.save(out)
    return out.getvalue()


def _authors(root: Any, job: Pass) -> None:
    """Who commented or changed something stands in attributes, by name alone."""
    if "name" not in job.types:
        return
    for element in root.iter("*"):
        for attribute in element.attrib:
            if attribute.endswith(("}author", "}initials")) and element.get(attribute):
                element.set(attribute, job.marks["name"])


def _properties(blob: bytes, job: Pass, name: str) -> bytes:
    """Company, manager and the user's own properties."""
    from docx.opc.oxml import parse_xml, serialize_part_xml

    root = parse_xml(blob)
    for element in root.iter("*"):
        if element.text and element.text.strip():
            label = "姓名" if element.tag.endswith("}Manager") else ""
            element.text = job.rewrite(element.text, label=label, place=name, keep=True)
    return bytes(serialize_part_xml(root))


def _body(body: Any, job: Pass) -> None:
    """Paragraphs by their number, tables by number and row, as reading names them."""
    table_number = 0
    for number, (paragraph, table) in enumerate(_blocks(body), 1):
        if table is not None:
            table_number += 1
            _table(table, job, f"[{table_number}]")
            continue
        count = len(job.hits)
        for inner in paragraph.iter(f"{_W}p"):  # a text box stands inside its paragraph
            _paragraph(inner, job, place=str(number))
        if job.mode == "drop" and len(job.hits) > count:
            raise DataError("desensitize.no_drop_in_text", where=job.hits[count].place)


def _blocks(element: Any) -> Iterator[tuple[Any, Any]]:
    """``(paragraph, None)`` or ``(None, table)`` in order, those in content controls and insertions too."""
    for child in element.iterchildren():
        if child.tag == f"{_W}p":
            yield child, None
        elif child.tag == f"{_W}tbl":
            yield None, child
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}customXml", f"{_W}ins"):
            yield from _blocks(child)


def _table(table: Any, job: Pass, part: str) -> None:
    rows = list(table.iterchildren(f"{_W}tr"))
    cells = [list(row.iter(f"{_W}tc")) for row in rows]
    header, names = header_of([["".join(t.text or "" for t in c.iter(f"{_W}t")) for c in row] for row in cells])
    for number, (row, row_cells) in enumerate(zip(rows, cells, strict=True)):
        count = len(job.hits)
        for column, cell in enumerate(row_cells):
            label = names[column] if column < len(names) and number > header else ""
            for paragraph in cell.iter(f"{_W}p"):
                if next(paragraph.iterancestors(f"{_W}tc")) is cell:
                    _paragraph(paragraph, job, label, f"{part}:{number + 1}", keep=number <= header)
        if job.mode == "drop" and number > header and len(job.hits) > count:
            table.remove(row)


def _paragraph(paragraph: Any, job: Pass, label: str = "", place: str = "", *, keep: bool = False) -> None:
    """Change a paragraph's texts where they stand; a value in several runs is replaced in the first of them."""
    for tags in _TEXTS:
        nodes = [n for n in paragraph.iter(*tags) if next(n.iterancestors(f"{_W}p")) is paragraph]
        runs = [(n.text or "") if n.tag in _HOLDS_TEXT else "\n" for n in nodes]
        edits = job.edits("".join(runs), label=label, place=place, keep=keep) if any(map(str.strip, runs)) else []
        for node, old, new in zip(nodes, runs, edit_runs(runs, edits), strict=True) if edits else ():
            if new != old and node.tag in _HOLDS_TEXT:
                node.text = new
                node.set(_SPACE, "preserve")


def _links(part: Any, job: Pass, name: str) -> None:
    """Addresses of links (mailto:) lie beside the text."""
    for relation in part.rels.values():
        if relation.is_external:
            new = job.rewrite(relation.target_ref, place=name, keep=True)
            if new != relation.target_ref:
                relation._target = "about:blank"
