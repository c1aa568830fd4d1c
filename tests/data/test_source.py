"""Where rows come from: mirror folder, hub, own files, generators; and what is said when they are nowhere."""

from __future__ import annotations

import csv
import json
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from taskloom.data import files, spilled
from taskloom.data.files import read_file, read_files
from taskloom.data.hub import can_reach_hub
from taskloom.data.mirror import read_mirror
from taskloom.data.source import read, read_hub
from taskloom.data.standardize import standardize
from taskloom.errors import SourceError
from taskloom.recipes.recipe import Builtin, Classification, Files, Held, Hub, Splits, Task
from taskloom.recipes.select import get_task, select

FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["no", "yes"], "_type": "ClassLabel"},
}


def write_split(path: Path, texts: list[str]) -> None:
    """A parquet file as `datasets` writes it, features in the metadata."""
    table = pa.table({"text": texts, "label": pa.array([number % 2 for number in range(len(texts))], pa.int64())})
    metadata = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.fixture
def made_mirror(tmp_path: Path) -> Path:
    """A mirror with a repository of two configs and one of a sole config in two shards."""
    header = [
        "---", "configs:",
        "- config_name: first", "  data_files:", "  - split: train", "    path: first/train-*",
        "- config_name: second", "  data_files:", "  - split: train", "    path: second/train-*",
        "  - split: test", "    path: [second/test-*]", "---", "# text --- with dashes",
    ]  # fmt: skip
    two = tmp_path / "mirror" / "owner" / "two"
    for config, split in (("first", "train"), ("second", "train"), ("second", "test")):
        write_split(two / config / f"{split}-00000-of-00001.parquet", [f"{config} {split} {n}" for n in range(3)])
    (two / "README.md").write_text("\n".join(header), encoding="utf-8")
    sole = tmp_path / "mirror" / "owner" / "sole"
    for shard in (0, 1):
        write_split(sole / "data" / f"train-0000{shard}-of-00002.parquet", [f"shard {shard} row {n}" for n in range(2)])
    (sole / "README.md").write_text(
        "---\nconfigs:\n- config_name: whatever\n  data_files:\n  - split: train\n    path: data/train-*\n---\n",
        encoding="utf-8",
    )
    return tmp_path / "mirror"


def task(source: Any, **changes: Any) -> Task:
    """A task over text and label."""
    values = {
        "id": "made/task", "source": source, "kind": Classification(text="text", label="label"),
        "splits": Splits(train="train", test="test"), "family": "topic",
    }  # fmt: skip
    return Task(**(values | changes))


def test_mirror_is_addressed_by_repository_and_config(made_mirror: Path) -> None:
    """Each config gives its own rows; a split that it lacks is not there."""
    first = read(task(Hub("owner/two", "first")), mirror=made_mirror)
    second = read(task(Hub("owner/two", "second", revision="any")), mirror=made_mirror)
    assert first.splits["train"]["text"].to_pylist()[0] == "first train 0" and "test" not in first.splits
    assert set(second.splits) == {"train", "test"}
    assert first.features["label"]["names"] == ["no", "yes"]
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("config", [None, "default", "other"])
def test_a_sole_config_matches_any_name(made_mirror: Path, config: str | None) -> None:
    """Shards are joined in order."""
    found = read(task(Hub("owner/sole", config)), mirror=made_mirror)
    assert found.splits["train"]["text"].to_pylist() == [f"shard {s} row {n}" for s in (0, 1) for n in (0, 1)]


def test_the_mirror_of_the_environment_is_used(made_mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TASKLOOM_MIRROR stands in for the argument."""
    monkeypatch.setenv("TASKLOOM_MIRROR", str(made_mirror))
    assert len(read(task(Hub("owner/sole"))).splits["train"]) == 4


def test_what_the_mirror_lacks_is_told(made_mirror: Path) -> None:
    """An unknown config names those that exist; a missing folder and an offline hub say what to do."""
    with pytest.raises(SourceError, match=r"'frist'.*Did you mean 'first'.*first, second"):
        read_mirror(made_mirror / "owner" / "two", "frist", wanted=("train",))
    with pytest.raises(SourceError, match=r"does not exist"):
        read(task(Hub("owner/two", "first")), mirror=made_mirror / "nothing")
    with pytest.raises(SourceError, match=r"owner/absent.*no mirror.*HF_HUB_OFFLINE is set.*TASKLOOM_MIRROR"):
        read(task(Hub("owner/absent")), mirror=made_mirror)


def test_changed_rows_change_the_fingerprint(made_mirror: Path) -> None:
    """The fingerprint follows the rows themselves."""
    before = read(task(Hub("owner/sole")), mirror=made_mirror).fingerprint
    assert read(task(Hub("owner/sole")), mirror=made_mirror).fingerprint == before
    write_split(made_mirror / "owner" / "sole" / "data" / "train-00000-of-00002.parquet", ["new", "rows"])
    assert read(task(Hub("owner/sole")), mirror=made_mirror).fingerprint != before


class FakeHub:
    """Loads rows after failing some times, as `datasets.load_dataset` would."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.calls: list[tuple[Any, ...]] = []
        self.waits: list[float] = []

    def load(self, repo: str, *, name: str | None = None, **options: Any) -> dict[str, Any]:
        """Fail if failures are left, else give one split."""
        self.calls.append((repo, name, options))
        if self.failures:
            raise self.failures.pop(0)
        self.table = pa.concat_tables([pa.table({"text": ["a"]}), pa.table({"text": ["b"]})])
        return {
            "train": SimpleNamespace(data=SimpleNamespace(table=self.table), features=SimpleNamespace(to_dict=dict))
        }


def test_downloads_are_tried_again_with_growing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two network errors cost two waits, the second longer; the pinned revision is asked for; no remote code."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    hub = FakeHub([ConnectionError("down"), TimeoutError("slow")])
    splits, _ = read_hub(
        Hub("o/n", "c", revision="abc"), ("train",), load=hub.load, sleep=hub.waits.append, reachable=lambda: True
    )
    assert splits["train"]["text"].to_pylist() == ["a", "b"]
    assert splits["train"] is hub.table, "a copy would be in memory, and the table is mapped from disk"
    assert hub.waits == sorted(hub.waits) and len(set(hub.waits)) == 2
    assert hub.calls == [("o/n", "c", {"revision": "abc"})] * 3


def test_plain_files_of_a_repository_are_named() -> None:
    """A source with files asks for these by split, and not for a configuration."""
    hub = FakeHub([])
    files = (("train", "data/part/train.csv"), ("test", "data/part/test.csv"))
    read_hub(Hub("o/n", "part", files=files), ("train",), load=hub.load, sleep=hub.waits.append)
    assert hub.calls == [("o/n", None, {"revision": None, "data_files": dict(files)})]


@pytest.mark.parametrize(
    "error", [KeyError("x"), pa.lib.ArrowCapacityError("too much"), Exception("splits do not fit")]
)
def test_a_broken_data_set_is_one_error(error: Exception) -> None:
    """Whatever the library raises, the others go on; what is not on the hub is not waited for."""
    hub = FakeHub([error])
    with pytest.raises(SourceError, match=rf"o/n.*{type(error).__name__}"):
        read_hub(Hub("o/n"), ("train",), load=hub.load, sleep=hub.waits.append, reachable=lambda: True)
    missing = FakeHub([FileNotFoundError("Dataset 'o/n' doesn't exist")])
    with pytest.raises(SourceError, match="is not on the hub"):
        read_hub(Hub("o/n"), ("train",), load=missing.load, sleep=missing.waits.append, reachable=lambda: True)
    assert not hub.waits and not missing.waits


def test_a_header_that_is_no_yaml_is_told(tmp_path: Path) -> None:
    """A mirror's README may be anything; the message names the file."""
    (tmp_path / "README.md").write_text("---\nconfigs: [\n---\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"README\.md is no YAML"):
        read_mirror(tmp_path, None, wanted=("train",))


def test_downloads_end_after_some_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that stays away is one clear error, and an unknown data set is not asked for twice."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    hub = FakeHub([ConnectionError("down")] * 99)
    with pytest.raises(SourceError, match=r"cannot be reached \(ConnectionError\)"):
        read_hub(Hub("o/n"), ("train",), load=hub.load, sleep=hub.waits.append, reachable=lambda: True)
    assert len(hub.calls) == 4
    unknown = FakeHub([ValueError("BuilderConfig 'c' not found")])
    with pytest.raises(SourceError, match="not found"):
        read_hub(Hub("o/n", "c"), ("train",), load=unknown.load, sleep=unknown.waits.append)
    assert len(unknown.calls) == 1


def test_offline_does_not_wait() -> None:
    """With HF_HUB_OFFLINE set, the first failure is the last."""
    hub = FakeHub([ConnectionError("offline")] * 2)
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE"):
        read_hub(Hub("o/n"), ("train",), load=hub.load, sleep=hub.waits.append)
    assert len(hub.calls) == 1 and not hub.waits


def test_a_hub_out_of_reach_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that refuses connections is told from one that takes them, and is asked once a minute at most."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("urllib.request.getproxies", dict)
    asked: list[object] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        if address[0] == "away.example":
            raise ConnectionRefusedError("nobody there")
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    for host, there in (("here.example", True), ("away.example", False)):
        monkeypatch.setenv("HF_ENDPOINT", f"https://{host}")
        assert [can_reach_hub(), can_reach_hub()] == [there, there]
    assert 2 <= len(asked) <= 4  # a minute may end between two questions
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy.example"})
    assert can_reach_hub(), "a proxy resolves names itself, so nothing can be told from here"


def test_without_a_hub_only_the_caches_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits and nothing is asked twice; afterwards the client may use the network again."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    seen: list[bool] = []

    def load(*_: object, **__: object) -> None:
        seen.append(constants.HF_HUB_OFFLINE)
        raise ConnectionError("not in the cache")

    waits: list[float] = []
    with pytest.raises(SourceError, match="in no mirror folder"):
        read_hub(Hub("o/n"), ("train",), load=load, sleep=waits.append, reachable=lambda: False)
    assert seen == [True] and waits == []
    assert constants.HF_HUB_OFFLINE is False


def test_large_files_stay_on_disk(
    made_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rows, features and order are those of files read into memory; nothing has a name in the temporary folder, and
    the rows take no memory of the process."""
    paths = sorted((made_mirror / "owner" / "sole" / "data").glob("*.parquet"))
    expected = read_mirror(made_mirror / "owner" / "sole", None, wanted=("train",))
    monkeypatch.setattr(spilled, "LARGE", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("spill")))
    tables, features = read_mirror(made_mirror / "owner" / "sole", None, wanted=("train",))
    assert tables["train"].equals(expected[0]["train"]) and features == expected[1]
    assert not any(Path(tempfile.gettempdir()).iterdir())
    before = pa.total_allocated_bytes()
    kept = spilled.read_parquet(paths)
    assert pa.total_allocated_bytes() - before < kept.nbytes
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"text": ["other"]}), other)
    mixed = spilled.read_parquet([*paths, other])
    assert mixed["label"].to_pylist()[-1] is None and len(mixed) == len(kept) + 1


ALIKE = [{"text": f'a, "b"\nc {at} é', "label": f"{at:03}"} for at in range(1000)]
LONG = [*ALIKE, {"text": "z" * 5000, "label": "x"}]
LATE_COLUMN = [*ALIKE, {"text": "z", "label": "x", "more": [1]}]
LATE_TYPE = [{"text": "a", "label": at if at < 500 else at + 0.5} for at in range(1000)]


@pytest.mark.parametrize(
    ("ending", "rows"),
    [("csv", ALIKE), ("csv", LONG), ("jsonl", ALIKE), ("jsonl", LONG), ("jsonl", LATE_COLUMN), ("jsonl", LATE_TYPE)],
)
def test_large_text_files_are_read_in_blocks(
    ending: str, rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is that of the file read at once, also where columns and types show only in later blocks; that of a
    file that is alike all through stays on disk."""
    path = tmp_path / f"rows.{ending}"
    with path.open("w", newline="", encoding="utf-8") as file:
        if ending == "csv":
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
    expected = read_file(path)
    assert expected["text"].to_pylist() == [row["text"] for row in rows]
    monkeypatch.setattr(spilled, "LARGE", 0)
    monkeypatch.setattr(files, "BLOCK", 2000)  # a row of LONG has 5,000
    before = pa.total_allocated_bytes()
    found = read_file(path)
    assert found.equals(expected) and len(found) == len(rows)
    assert (pa.total_allocated_bytes() - before < found.nbytes) == (rows is ALIKE)
    monkeypatch.setattr(spilled, "LARGE", 2**60)
    assert read_file(path).equals(expected)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_own_files_of_each_format_give_the_same_rows(ending: str, tmp_path: Path) -> None:
    """Texts with commas, tabs, quotes, line breaks and leading zeros come through every format."""
    rows = [{"text": 'a, "b"\nc', "label": "007"}, {"text": "tab\there", "label": "x"}]
    path = tmp_path / f"rows.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        mark = "," if ending == "csv" else "\t"
        quoted = [mark.join('"' + value.replace('"', '""') + '"' for value in row.values()) for row in rows]
        path.write_text("\n".join([mark.join(rows[0]), *quoted]) + "\n", encoding="utf-8")
    assert read_file(path).to_pylist() == rows


def test_own_files_may_be_several_or_a_folder(tmp_path: Path) -> None:
    """A list of files is joined, and a folder stands for the files in it."""
    for number in (1, 2):
        (tmp_path / f"part{number}.csv").write_text(f"text,label\nrow {number},x\n", encoding="utf-8")
    listed, _ = read_files(Files((("train", (str(tmp_path / "part1.csv"), str(tmp_path / "part2.csv"))),)))
    folder, features = read_files(Files((("train", (str(tmp_path),)),)))
    assert listed["train"].to_pylist() == folder["train"].to_pylist()
    assert features["text"] == {"dtype": "string", "_type": "Value"}


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("missing.csv", None, "There is no file"),
        ("rows.xls", b"x", "'.xls' is not one of .csv"),
        ("rows.jsonl", b"{broken", "cannot be read as jsonl"),
        ("rows.parquet", b"not parquet", "cannot be read as parquet"),
        ("rows.csv", b"text,label\na,b,c,d\n", "cannot be read as csv"),
        ("latin.csv", "text,label\nd\xe9j\xe0,x\n".encode("latin-1"), "UTF-8"),
    ],
)
def test_unreadable_files_are_named(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    """What is wrong with a file is one message with its path."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        read_file(path)
    assert name in str(error.value)


def test_generators_are_sources() -> None:
    """A built-in task gives all three splits, named labels, and another fingerprint for another seed."""
    made = get_task("builtin/label_nli")
    assert isinstance(made.source, Builtin)
    found = standardize(made, read(made))
    assert set(found.splits) == {"train", "validation", "test"}
    assert found.labels == ("entailment", "neutral", "contradiction") or set(found.labels) <= {
        "entailment",
        "neutral",
        "contradiction",
    }
    assert read(made, seed=1).fingerprint != read(made).fingerprint == read(made).fingerprint


@pytest.mark.mirror
def test_real_tasks_of_each_kind(mirror: Path) -> None:
    """One task of each kind is read from the real mirror and standardized with rows and labels."""
    for name in ("glue/rte", "go_emotions/simplified", "glue/stsb", "codah/codah", "conll2003/ner_tags"):
        found = standardize(get_task(name), read(get_task(name), mirror=mirror))
        assert min(len(table) for table in found.splits.values()) > 50, name


@pytest.mark.mirror
def test_at_least_eighty_real_tasks_are_trainable(mirror: Path) -> None:
    """The catalog gives at least 80 trainable tasks on the mirror, three or more of each kind."""
    tasks = select(("all",), exclude=("role:evaluation", "defect:*", "procedural")).tasks
    kinds: dict[str, int] = {}
    for one in tasks:
        if isinstance(one.source, Hub) and (mirror / one.source.repo).is_dir():
            try:
                found = standardize(one, read(one, mirror=mirror))
            except SourceError:
                continue  # a config that this small mirror does not have
            kinds[one.kind.name] = kinds.get(one.kind.name, 0) + ("train" in found.splits)
    assert sum(kinds.values()) >= 80 and min(kinds.values()) >= 3 and len(kinds) == 5, kinds


def test_held_splits_read_their_source_split(made_mirror: Path) -> None:
    """A part held out of train needs train only."""
    made = task(Hub("owner/two", "first"), splits=Splits(validation=Held(0.5)))
    assert set(read(made, mirror=made_mirror).splits) == {"train"}
