"""Make the facts that the catalog comes with: facts.jsonl and citations/recorded.bib.

python docs/make_facts.py CATALOG_FOLDER MIRROR_FOLDER

facts.jsonl has rows by split, the labels of sources that name their own, and who states the license of what.
CATALOG_FOLDER has tasks420.jsonl, english2026.jsonl, multilingual2026.jsonl and schemas.json (rows, licenses and BibTeX
that the hub's library stated in September 2022, and cards as recorded in 2026); MIRROR_FOLDER has small copies whose
README.md say how many rows the whole set has, what its license is and what to cite. The recipes only say for which
tasks and citation keys facts are wanted: nothing here is taken from them, so a recipe can be checked against it.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from taskloom.recipes.catalog import catalog
from taskloom.recipes.recipe import Hub, Task

HOME = Path(__file__).parents[1] / "src" / "taskloom" / "recipes" / "catalog"
NO_LICENSE = ("", "unknown", "none", "unspecified")

Json = dict[str, Any]


def json_lines(path: Path) -> dict[str, Json]:
    """Return the objects of a file by their id."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {row["id"]: row for row in rows}


def readme(mirror: Path, task: Task) -> str:
    """Return the page of a task's set in the mirror, "" if it is not there."""
    path = mirror / task.source.repo / "README.md" if isinstance(task.source, Hub) else mirror / "none"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def mirror_rows(page: str, config: str | None) -> dict[str, int]:
    """Return the rows of the whole set by split, as a mirror page counts them for a config."""
    name = re.escape(config or "default")
    in_dict = re.search(rf"`{name}`:?.*?upstream rows (\{{[^}}]*\}})", page, re.IGNORECASE)
    if in_dict:
        counts = ast.literal_eval(in_dict.group(1))
        return {split: rows for split, rows in counts.items() if isinstance(rows, int)}
    in_words = re.search(rf"Rows \({name}\), upstream -> kept: (.*)", page)
    found = re.findall(r"(\S+) (\d+) -> \d+", in_words.group(1)) if in_words else []
    found += re.findall(rf"^\| {name} \| (\S+) \| (\d+) \|", page, re.MULTILINE)
    return {split: int(rows) for split, rows in found}


def source_labels(task: Task, listed: Json | None, mirror: Path) -> list[str]:
    """Return the source's own label names in order, for a recipe that takes them as they are."""
    if getattr(task.kind, "names", ()) is not None or not isinstance(task.source, Hub):
        return []
    label = (listed or {}).get("label", {})
    if label.get("source_names") or label.get("names"):
        return list(label.get("source_names") or label["names"])
    for line in (mirror / "INDEX.jsonl").read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        if (one["id"], one["config"]) == (task.source.repo, task.source.config or "default"):
            return list(one["labels"] or [])
    return []


def statements(listed: Json | None, later: Json | None, page: str) -> list[str]:
    """Return who says what about the license, the most direct first."""
    found = []
    detail = (listed or {}).get("license_detail") or {}
    found += [f"hub card of {repo}: {', '.join(names)}" for repo, names in (detail.get("hub_cards") or {}).items()]
    if detail.get("readme_2022"):
        found.append(f"hub card of 2022: {', '.join(detail['readme_2022'])}")
    if detail.get("reviewed_source_terms"):
        found.append(f"terms of the source, as reviewed in tasksource 0.1.1: {detail['reviewed_source_terms']}")
    if detail.get("dpi"):
        found.append(f"Data Provenance Initiative: {', '.join(detail['dpi'])}")
    if later and not listed and (later.get("license") or "").casefold() not in NO_LICENSE:
        found.append(f"hub card as recorded in tasksource 0.1.1: {later['license']}")
    upstream = re.search(r"^[-* ]*Licen[cs]e[^:\n]*: *(.+)$", page, re.MULTILINE)
    if upstream and not listed:
        found.append(f"README of the mirror's copy: {upstream.group(1).strip()}")
    return found


def facts(task: Task, listed: Json | None, later: Json | None, mirror: Path) -> Json:
    """Return the line of a task in facts.jsonl; what nobody states is left out."""
    assert isinstance(task.source, Hub)
    page = readme(mirror, task)
    counted = ((listed or {}).get("rows") or {}).items()
    named = {split: count for split, count in counted if count is not None and not split.startswith("(")}
    rows = mirror_rows(page, task.source.config) | named  # "(all splits)" is a sum, and a copy may lack splits
    use = (listed or later or {}).get("license_use")
    parts = {
        "rows": rows,
        "labels": source_labels(task, listed, mirror),
        "license_use": use,
        "stated_by": statements(listed, later, page),
    }
    return {"id": task.id} | {name: part for name, part in parts.items() if part}


def bibtex_entries(text: str) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Yield kind, key and fields of each entry: braces and quotes are read, values keep their inner braces."""
    for start in re.finditer(r"@(\w+)\s*\{\s*([^,]+?)\s*,", text):
        fields, at = [], start.end()
        while (name := re.match(r"[\s,]*([\w-]+)\s*=\s*", text[at:])) is not None:
            value, at = bibtex_value(text, at + name.end())
            fields.append((name.group(1).lower(), " ".join(value.split())))
        yield start.group(1).lower(), start.group(2), fields


def bibtex_value(text: str, at: int) -> tuple[str, int]:
    """Return the value that begins at a place, and where it ends."""
    if text[at] not in '{"':
        bare = re.match(r"[^,}\n]*", text[at:])
        assert bare is not None
        return bare.group(), at + bare.end()
    depth, end = 0, at + 1
    closing = "}" if text[at] == "{" else '"'
    while end < len(text) and (depth or text[end] != closing):
        depth += (text[end] == "{") - (text[end] == "}")
        end += 1
    return text[at + 1 : end], end + 1


def plain(text: str) -> str:
    """Return letters in lower case without accents and TeX, to find a surname in."""
    bare = unicodedata.normalize("NFKD", re.sub(r"\\.|[{}\"']", "", text))
    return re.sub(r"[^a-z ]", "", bare.casefold())


def of_key(key: str) -> tuple[str, str, str]:
    """Return surname, year and word of a citation key such as clark2019boolq."""
    found = re.fullmatch(r"([a-z]+)(\d{4})(\w+)", key)
    assert found is not None, f"citation key {key!r} is not SURNAME, YEAR and WORD in lower case"
    return found.group(1), found.group(2), found.group(3)


def fit(key: str, fields: Mapping[str, str]) -> int:
    """Return how well an entry fits a key: 0 unless its first author has the surname, and its title or year fits."""
    surname, year, word = of_key(key)
    first = plain(fields.get("author", "")).split(" and ")[0].replace(" ", "")
    about = plain(fields.get("title", "")).replace(" ", "")
    near = abs(int(year) - int(re.sub(r"\D", "", fields.get("year", "0"))[:4] or 0)) <= 1
    return (surname in first) * (2 * (word in about) + near)


def recorded_2022(key: str, tasks: list[Task], listed: Mapping[str, Json], schemas: Json) -> str | None:
    """Return the entry that a set stated in 2022 and that fits a key best, under that key."""
    best: tuple[int, str] | None = None
    for task in tasks:
        old = listed.get(task.id, {}).get("hub_2022") or {}
        for config, schema in schemas.get(old.get("dataset"), {}).items():
            if old.get("config") not in (None, config):
                continue
            for kind, _, pairs in bibtex_entries(schema["citation_bibtex"] or ""):
                score = fit(key, dict(pairs))
                if score and (best is None or score > best[0]):
                    best = score, entry(kind, key, pairs)
    return best[1] if best else None


def recorded_in_mirror(key: str, tasks: list[Task], mirror: Path) -> str | None:
    """Return an entry made of a mirror page's line "Citation: AUTHORS YEAR, TITLE" that fits a key."""
    for task in tasks:
        for line in re.findall(r"^[-* ]*Citation: *(.+)$", readme(mirror, task), re.MULTILINE):
            for part in line.split("; "):
                found = re.fullmatch(r"(.+?),? (\d{4})(?:/\d{4})?, (.+)", part.strip())
                if found is None:
                    continue
                authors = re.sub(r",? et al\.?", " and others", found.group(1))
                names = [name for name in re.split(r",| & | and ", authors) if name.strip()]
                title, venue = re.fullmatch(r"(.*?)(?: \(([^()]+)\))?", found.group(3)).groups()  # type: ignore[union-attr]
                fields = {
                    "author": " and ".join(name.strip() for name in names),
                    "title": title,
                    "year": found.group(2),
                }
                if fit(key, fields):
                    return entry("misc", key, [*fields.items(), *([("note", venue)] if venue else [])])
    return None


def entry(kind: str, key: str, fields: list[tuple[str, str]]) -> str:
    """Return a BibTeX entry, a field a line; abstracts and addresses of files are left out."""
    kept = [
        (name, value) for name, value in fields if value and name not in ("abstract", "keywords", "bibsource", "biburl")
    ]
    return "\n".join([f"@{kind}{{{key},", *(f"  {name} = {{{value}}}," for name, value in kept), "}"])


def main(catalog_folder: Path, mirror: Path) -> None:
    listed = json_lines(catalog_folder / "tasks420.jsonl")
    later = json_lines(catalog_folder / "english2026.jsonl") | json_lines(catalog_folder / "multilingual2026.jsonl")
    schemas = json.loads((catalog_folder / "schemas.json").read_text(encoding="utf-8"))
    tasks = sorted((task for task in catalog() if isinstance(task.source, Hub)), key=lambda task: task.id)
    found = [facts(task, listed.get(task.id), later.get(task.id), mirror) for task in tasks]
    lines = [json.dumps(one, ensure_ascii=False) for one in found if len(one) > 1]
    (HOME / "facts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    by_key: dict[str, list[Task]] = {}
    for task in tasks:
        by_key.setdefault(task.citation or "", []).append(task)
    del by_key[""]
    for key in re.findall(
        r"^@\w+\{(\w+),", (HOME / "citations" / "written.bib").read_text(encoding="utf-8"), re.MULTILINE
    ):
        by_key.pop(key, None)  # written by hand where nothing fitting is recorded
    entries = [
        recorded_2022(key, by_key[key], listed, schemas) or recorded_in_mirror(key, by_key[key], mirror)
        for key in sorted(by_key)
    ]
    (HOME / "citations" / "recorded.bib").write_text("\n\n".join(filter(None, entries)) + "\n", encoding="utf-8")
    missing = [key for key, one in zip(sorted(by_key), entries, strict=True) if one is None]
    print(f"{len(lines)} tasks with facts, {len(entries) - len(missing)} entries recorded")
    print(f"to be written by hand in written.bib: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
