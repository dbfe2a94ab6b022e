"""What is installed against the lock, on folders of distributions that each test lays out."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from dataclasses import replace
from importlib import machinery, metadata
from pathlib import Path
from typing import Any, Callable, Sequence, Tuple

import pytest

from runner.bench.facts import inventory, provenance
from runner.contract.errors import InputError, Unsupported
from runner.contract.files import sha256_of_file
from runner.contract.request import Stack
from runner.contract.words import DeviceKind
from tests.support import samples

Install = Callable[..., Path]
# The root of a kit with a locked stack, and the function that installs a distribution.
House = Tuple[Path, Install]

LOCKED = r"""# a comment
alpha==1.0 \
    --hash=sha256:aa
beta-x==2.0 ; python_version >= '3.8' \
    --hash=sha256:bb
old==1 ; python_version < '3.0'
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Return a root with a locked stack, whose packages are the only ones installed, and a function that installs one."""
    site = tmp_path / "site"
    site.mkdir()

    def install(name: str, version: str, needs: Sequence[str] = (), text: str = "x = 1\n") -> Path:
        folder, info = site / name, site / f"{name}-{version}.dist-info"
        folder.mkdir()
        info.mkdir()
        (folder / "__init__.py").write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {n}\n" for n in needs)
        )
        (info / "RECORD").write_text(f"{name}/__init__.py,sha256={digest},{len(text)}\n{info.name}/RECORD,,\n")
        return folder / "__init__.py"

    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(provenance, "own_folders", lambda: {str(site)})
    for variable in [name for name in os.environ if name.startswith(("PYTHON", "LD_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(
        metadata, "distributions", lambda: metadata.MetadataPathFinder.find_distributions(metadata_context(site))
    )
    folder = tmp_path / "root" / "images" / "cpu"
    folder.mkdir(parents=True)
    (folder / "requirements-tiny.txt").write_text(LOCKED)
    return tmp_path / "root", install


def metadata_context(site: Path) -> metadata.DistributionFinder.Context:
    return metadata.DistributionFinder.Context(path=[str(site)])


def stack(root: Path | None = None, **changes: Any) -> Stack:
    sha256 = None if root is None else sha256_of_file(root / "images" / "cpu" / "requirements-tiny.txt")
    values = {"name": "tiny", "device": "cpu", "python": "3.8", "launcher": "deepspeed", "packages": {"torch": "2.0.1"}}
    return Stack(**{**values, "requirements_sha256": sha256, "image": None, **changes})


def install_all(install: Install) -> Path:
    install("torch", "2.0.1a0+git7", needs=["nvidia-something (==1)", "sympy; extra == 'x'"])
    install("nvidia_something", "1")
    install("alpha", "1.0")
    return install("Beta.X", "2.0")


def test_a_stack_as_locked_has_nothing_to_tell(house: House) -> None:
    root, install = house
    install_all(install)
    record = inventory.describe(stack(root), root)
    assert record == {
        "requirements": "requirements-tiny.txt",
        "compared": 3,
        "missing": {},
        "changed": {},
        "altered_files": [],
        "added": {},
        "shadowed": {},
        "unrecorded": [],
        "injected": [],
        "interpreter": {},
        "variables": {},
    }
    inventory.refuse_drift(record, stack(root))


def test_what_is_missing_changed_altered_or_added_is_named(house: House) -> None:
    root, install = house
    install("torch", "2.1.0")
    altered = install("alpha", "1.1")
    altered.write_text("x = 2\n")
    install("foreign", "3")
    record = inventory.describe(stack(root), root)
    assert record["missing"] == {"beta-x": "2.0"}
    assert record["changed"] == {"torch": ["2.0.1", "2.1.0"], "alpha": ["1.0", "1.1"]}
    assert record["altered_files"] == ["alpha/__init__.py"]
    assert record["added"] == {"foreign": "3"}
    with pytest.raises(
        Unsupported, match="beta-x 2.0 is not here; alpha 1.0 is 1.1 here; torch 2.0.1 is 2.1.0 here. Run"
    ):
        inventory.refuse_drift(record, stack(root))


def test_a_file_that_was_patched_or_lost_after_the_install_is_refused(house: House) -> None:
    root, install = house
    path = install_all(install)
    for damage in (lambda: path.write_text("x = 2\n"), path.unlink):
        damage()
        record = inventory.describe(stack(root), root)
        with pytest.raises(Unsupported, match=r"Beta\.X/__init__\.py was changed or lost \(1 such files\)"):
            inventory.refuse_drift(record, stack(root))


@pytest.mark.parametrize(
    "device, image, missing, damaged",
    [
        ("cpu", None, "Run `make setup`, or use the stack's image.", "Install it again: `make clean setup`."),
        (
            "cuda",
            None,
            "Run `make bench`, which makes the stack's own environment.",
            f"Install it again: remove {sys.prefix}, and run `make bench`.",
        ),
        ("hpu", "x@sha256:1", "Use the stack's image.", "Install it again: use the stack's image."),
    ],
    ids=["cpu", "host", "image"],
)
def test_the_remedy_is_that_of_the_stack(
    house: House, device: DeviceKind, image: str | None, missing: str, damaged: str
) -> None:
    root, install = house
    path = install_all(install)
    path.write_text("x = 2\n")
    asked = stack(root, device=device, image=image)
    with pytest.raises(Unsupported) as caught:
        inventory.refuse_drift(inventory.describe(asked, root), asked)
    assert str(caught.value).endswith(damaged)
    lacking = replace(asked, packages={"torch": "2.0.1", "gone": "1"})
    with pytest.raises(Unsupported) as caught:
        inventory.refuse_drift(inventory.describe(lacking, root), lacking)
    assert str(caught.value).endswith(missing)


def test_what_the_kit_s_other_requirements_name_is_not_foreign(house: House) -> None:
    root, install = house
    install_all(install)
    install("linter", "1")
    assert inventory.describe(stack(root), root)["added"] == {"linter": "1"}
    (root / "requirements").mkdir()
    (root / "requirements" / "dev.txt").write_text("linter==1 ; python_version < '3.0'\n")
    assert inventory.describe(stack(root), root)["added"] == {}


@pytest.mark.parametrize("build", ["2.0.1+cpu", "2.0.1a0+git7", "2.0.1.dev5"])
def test_a_local_build_is_the_release_for_named_packages_only(house: House, build: str) -> None:
    root, install = house
    install("torch", build)
    install("alpha", "1.0+local")
    install("Beta.X", "2.0")
    assert inventory.describe(stack(root), root)["changed"] == {"alpha": ["1.0", "1.0+local"]}


def test_without_the_requirements_here_only_the_named_packages_are_held(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, install = house
    install("torch", "2.0.1")
    record = inventory.describe(stack(None), root)
    assert (record["requirements"], record["compared"], record["missing"]) == (None, 1, {})


def test_other_requirements_than_the_request_s_are_refused(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = house
    asked = stack(root)
    other = tmp_path / "other.txt"
    other.write_text("alpha==2.0\n")
    monkeypatch.setenv("BLOOMZ_BENCH_REQUIREMENTS", str(other))
    with pytest.raises(InputError, match="is not the one that the request was made with"):
        inventory.describe(asked, root)


def test_markers_and_names_are_read_as_pip_reads_them() -> None:
    assert inventory.pins(LOCKED) == {"alpha": "1.0", "beta-x": "2.0"}
    assert inventory.pins(LOCKED, everywhere=True) == {"alpha": "1.0", "beta-x": "2.0", "old": "1"}
    assert inventory.pins("Name_With.Dots[extra]==1.2.3 \\\n") == {"name-with-dots": "1.2.3"}


@pytest.mark.skipif(sys.version_info < (3, 9), reason="the test environment of 3.8 holds no stack")
def test_this_interpreter_s_own_packages_are_whole() -> None:
    pytest_itself = metadata.distribution("pytest")
    assert list(inventory.altered_files(pytest_itself)) == []
    assert sum(file.hash is not None for file in pytest_itself.files) > 50


@pytest.mark.parametrize(
    "lost, message",
    [
        (2, "p0 1 is not here; p1 1 is not here. Run"),
        (3, "p0 1 is not here; p1 1 is not here; p2 1 is not here. Run"),
        (4, "p0 1 is not here; p1 1 is not here; p2 1 is not here and 1 more. Run"),
        (6, "p0 1 is not here; p1 1 is not here; p2 1 is not here and 3 more. Run"),
    ],
)
def test_three_of_the_packages_that_drifted_are_named_and_the_rest_counted(lost: int, message: str) -> None:
    record = samples.inventory(missing={f"p{number}": "1" for number in range(lost)})
    with pytest.raises(Unsupported) as caught:
        inventory.refuse_drift(record, stack())
    assert message in str(caught.value)


def test_bytecode_that_a_wheel_brings_is_written_anew_and_no_alteration(house: House) -> None:
    root, install = house
    source = install("alpha", "1.0")
    record = source.parents[1] / "alpha-1.0.dist-info" / "RECORD"
    kept = record.read_text()
    compiled = source.parent / "__pycache__" / "x.cpython-310.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"compiled here")
    for file, altered in ((compiled, []), (source.parent / "x.so", ["alpha/x.so"])):
        file.write_bytes(b"compiled here")
        record.write_text(kept + f"{file.relative_to(source.parents[1])},sha256={'A' * 43},9\n")
        assert inventory.describe(stack(root), root)["altered_files"] == altered


def test_a_lost_file_hides_no_altered_one(house: House) -> None:
    root, install = house
    lost = install_all(install)
    (record,) = lost.parent.parent.glob("Beta.X-*/RECORD")
    record.write_text(record.read_text() + "Beta.X/z.py,sha256=AA,1\n")
    (lost.parent / "z.py").write_text("altered")
    lost.unlink()
    assert inventory.describe(stack(root), root)["altered_files"] == ["Beta.X/__init__.py", "Beta.X/z.py"]


def test_what_torch_needs_is_not_foreign_however_it_is_written(house: House) -> None:
    root, install = house
    install("torch", "2.0.1", needs=["Sym.Py>=1", "Other[extra]"])
    install("Sym.Py", "1")
    install("Other", "1")
    assert inventory.describe(stack(root), root)["added"] == {}


def test_the_installers_are_not_foreign(house: House) -> None:
    root, install = house
    install_all(install)
    for name in ("pip", "setuptools", "wheel"):
        install(name, "1")
    assert inventory.describe(stack(root), root)["added"] == {}


def test_twenty_altered_files_are_named_and_no_more(house: House) -> None:
    root, install = house
    path = install_all(install)
    (record,) = path.parent.parent.glob("Beta.X-*/RECORD")
    record.write_text("".join(f"Beta.X/{number:02}.py,sha256=AA,1\n" for number in range(25)))
    altered = inventory.describe(stack(root), root)["altered_files"]
    assert altered == [f"Beta.X/{number:02}.py" for number in range(20)]


def test_the_requirements_are_looked_for_where_the_kit_lies() -> None:
    assert (inventory.ROOT / "runner" / "bench" / "facts" / "inventory.py").samefile(inventory.__file__)


def test_requirements_may_lie_anywhere_and_are_named_when_they_are_not_there(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, install = house
    install_all(install)
    asked, moved = stack(root), tmp_path / "moved.txt"
    monkeypatch.setenv("BLOOMZ_BENCH_REQUIREMENTS", str(moved))
    with pytest.raises(InputError, match=r"moved.txt cannot be read: No such file.*Check BLOOMZ_BENCH_REQUIREMENTS"):
        inventory.describe(asked, root)
    moved.write_text(LOCKED)
    record = inventory.describe(asked, root)
    assert (record["requirements"], record["compared"], record["missing"]) == ("moved.txt", 3, {})


def shadow(folder: Path, name: str, text: str = "x = 2\n") -> Path:
    """Lay a module out in another folder than the installed packages."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def installed_in(folder: Path, name: str, version: str) -> None:
    """Lay out a distribution that is whole, with a RECORD of its own, in another folder."""
    path = shadow(folder, f"{name}/__init__.py")
    digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,sha256={digest},6\n")


@pytest.mark.parametrize("how", ["PYTHONPATH", "the folder that Python is started in"])
@pytest.mark.parametrize(
    "lay, module",
    [
        (lambda folder: shadow(folder, "alpha/__init__.py"), "alpha"),
        (lambda folder: shadow(folder, "alpha.py"), "alpha"),
        (lambda folder: shadow(folder, "colorsys.py"), "colorsys"),
        (lambda folder: installed_in(folder, "alpha", "1.0"), "alpha"),
    ],
    ids=["package", "module", "Python's own library", "with a record of its own"],
)
def test_a_module_that_python_takes_from_elsewhere_is_another_stack(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay: Callable[[Path], object], module: str, how: str
) -> None:
    root, install = house
    install_all(install)
    lay(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend("" if how != "PYTHONPATH" else str(tmp_path / "elsewhere"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    record = inventory.describe(stack(root), root)
    assert record["shadowed"][module].startswith(str(tmp_path / "elsewhere"))
    with pytest.raises(Unsupported, match=rf"Python takes {module} from {tmp_path}/elsewhere/"):
        inventory.refuse_drift(record, stack(root))


def test_a_locked_package_outside_the_interpreter_s_own_folders_is_another_stack(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root, install = house
    install_all(install)
    monkeypatch.setattr(provenance, "own_folders", lambda: {str(tmp_path / "another")})
    assert inventory.describe(stack(root), root)["shadowed"]["beta-x"] == str(tmp_path / "site")


def test_a_file_beside_the_listed_one_that_an_import_prefers_is_another_stack(house: House, tmp_path: Path) -> None:
    """An extension comes before source; RECORD knows nothing of a file that was laid beside a package's own."""
    root, install = house
    install_all(install)
    planted = tmp_path / "site" / "alpha" / f"__init__{machinery.EXTENSION_SUFFIXES[0]}"
    planted.write_bytes(b"")
    record = inventory.describe(stack(root), root)
    assert (record["altered_files"], record["shadowed"]) == ([], {"alpha": str(planted)})


@pytest.mark.parametrize(
    "planted", [f"inner/deep{machinery.EXTENSION_SUFFIXES[0]}", "inner/deep/__init__.py", "inner/deep.so"]
)
def test_what_an_import_prefers_to_a_package_s_inner_module_is_another_stack(
    house: House, tmp_path: Path, planted: str
) -> None:
    root, install = house
    install_all(install)
    lay_in(tmp_path / "site", "alpha", ["alpha/inner/__init__.py", "alpha/inner/deep.py"])
    assert inventory.describe(stack(root), root)["shadowed"] == {}
    path = tmp_path / "site" / "alpha" / planted
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 2\n")
    place = path.parent if path.name == "__init__.py" else path
    assert inventory.describe(stack(root), root)["shadowed"] == {"alpha.inner.deep": str(place)}


def test_a_module_beside_a_folder_of_its_name_is_whole_where_the_package_lists_both(
    house: House, tmp_path: Path
) -> None:
    root, install = house
    install_all(install)
    lay_in(tmp_path / "site", "alpha", ["alpha/deep.py", "alpha/deep/__init__.py", "alpha/deep.abi3.so"])
    (tmp_path / "site" / "alpha" / "other.so").write_text("")
    assert inventory.describe(stack(root), root)["shadowed"] == {}


def lay_in(site: Path, name: str, files: list[str]) -> None:
    """Add files to an installed package, and to its RECORD."""
    (record,) = site.glob(f"{name}-*/RECORD")
    for file in files:
        (site / file).parent.mkdir(exist_ok=True)
        (site / file).write_text("")
        record.write_text(record.read_text() + f"{file},,\n")


def test_packages_that_share_a_name_without_init_are_no_shadow_of_each_other(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, install = house
    install_all(install)
    for name in ("alpha", "torch"):
        folder = tmp_path / "site" / "shared" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (record,) = (tmp_path / "site").glob(f"{name}-*/RECORD")
        record.write_text(record.read_text() + f"shared/{name}/__init__.py,,\n")
    assert inventory.describe(stack(root), root)["shadowed"] == {}
    shadow(tmp_path / "elsewhere", "shared/more.py")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    assert inventory.describe(stack(root), root)["shadowed"] == {"shared": str(tmp_path / "elsewhere" / "shared")}


@pytest.mark.parametrize(
    "name, text, refused",
    [
        ("evil.pth", "import os; os.environ['X'] = '1'\n", True),
        ("late.pth", "# a comment\n/some/folder\nimport\tos\n", True),
        ("mark.pth", "\ufeffimport os\n", True),
        ("return.pth", "/some/folder\rimport os\n", True),
        ("long.pth", "# so that the end is not read\n" * 40_000 + "import os\n", True),
        ("sitecustomize.py", "", True),
        ("usercustomize.py", "", True),
        ("path.pth", "/some/folder\n", False),
        ("_virtualenv.pth", "import _virtualenv", False),
        ("_virtualenv.pth", "import _virtualenv; import other", True),
        ("distutils-precedence.pth", "import os; os.environ['X'] = '1'\n", True),
        (
            "distutils-precedence.pth",
            "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local';"
            " enabled and __import__('_distutils_hack').add_shim(); \n",
            None,
        ),
    ],
)
def test_what_runs_at_every_start_of_python_is_refused_or_flagged(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, refused: bool | None
) -> None:
    root, install = house
    install_all(install)
    path = tmp_path / "site" / name
    path.write_text(text)
    record = inventory.describe(stack(root), root)
    assert record["injected"] == ([str(path)] if refused else [])
    assert record["interpreter"] == ({str(path): text.strip()} if refused is False else {})
    if refused:
        with pytest.raises(Unsupported, match=f"{name} would run code of no locked package in every process"):
            inventory.refuse_drift(record, stack(root))
    else:
        inventory.refuse_drift(record, stack(root))


def test_an_editable_install_of_a_package_beyond_the_stack_is_flagged_and_not_refused(
    house: House, tmp_path: Path
) -> None:
    root, install = house
    install_all(install)
    install("mine", "1")
    path, text = tmp_path / "site" / "__editable__.mine.pth", "import __editable___mine_finder"
    path.write_text(text)
    (record,) = (tmp_path / "site").glob("mine-*/RECORD")
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    record.write_text(record.read_text() + f"{path.name},sha256={digest},{len(text)}\n")
    record = inventory.describe(stack(root), root)
    assert (record["injected"], record["interpreter"], record["added"]) == ([], {str(path): text}, {"mine": "1"})
    path.write_text("import other")
    assert inventory.describe(stack(root), root)["injected"] == [str(path)]


def test_a_startup_file_that_a_locked_package_lists_is_its_own(house: House, tmp_path: Path) -> None:
    root, install = house
    install_all(install)
    (tmp_path / "site" / "alpha.pth").write_text("import alpha\n")
    (record,) = (tmp_path / "site").glob("alpha-*/RECORD")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"import alpha\n").digest()).rstrip(b"=").decode()
    record.write_text(record.read_text() + f"alpha.pth,sha256={digest},13\n")
    record = inventory.describe(stack(root), root)
    assert (record["injected"], record["altered_files"]) == ([], [])
    (tmp_path / "site" / "alpha.pth").write_text("import other\n")
    assert inventory.describe(stack(root), root)["altered_files"] == ["alpha.pth"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda info: (info / "RECORD").unlink(),
        lambda info: (info / "RECORD").write_text(""),
        lambda info: (info / "RECORD").write_text("alpha/__init__.py,,\n"),
        lambda info: (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:///x"}'),
    ],
    ids=["none", "empty", "no hashes", "editable"],
)
def test_a_locked_package_that_lists_none_of_its_files_is_refused(
    house: House, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    root, install = house
    install_all(install)
    (info,) = (tmp_path / "site").glob("alpha-*")
    spoil(info)
    record = inventory.describe(stack(root), root)
    assert record["unrecorded"] == ["alpha"]
    with pytest.raises(Unsupported, match="The package alpha lists none of its files"):
        inventory.refuse_drift(record, stack(root))


def test_a_kit_whose_folder_looks_like_a_pattern_finds_its_requirements(house: House, tmp_path: Path) -> None:
    root, install = house
    install_all(install)
    asked = stack(root)
    moved = root.rename(tmp_path / "kit[1]*")
    assert inventory.describe(asked, moved)["requirements"] == "requirements-tiny.txt"
    with pytest.raises(Unsupported):
        inventory.refuse_drift(inventory.describe(stack(None, name="t*", packages={"none": "1"}), moved), asked)


@pytest.mark.parametrize("record", ["a,b,c,d,e\n", "alpha/__init__.py,md99=AA,1\n", '"', "\0"])
def test_a_damaged_record_is_refused_and_never_a_traceback(house: House, tmp_path: Path, record: str) -> None:
    root, install = house
    install_all(install)
    (path,) = (tmp_path / "site").glob("alpha-*/RECORD")
    path.write_text(record)
    record = inventory.describe(stack(root), root)
    assert record["unrecorded"] == ["alpha"] or record["altered_files"] == ["alpha/__init__.py"]


def test_a_package_that_pip_left_half_removed_is_none(house: House, tmp_path: Path) -> None:
    root, install = house
    install_all(install)
    (tmp_path / "site" / "~torch-2.0.1.dist-info").mkdir()
    (tmp_path / "site" / "alpha-1.0.dist-info" / "METADATA").unlink()
    assert inventory.describe(stack(root), root)["missing"] == {"alpha": "1.0"}


def test_requirements_that_are_no_file_are_refused_at_once(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = house
    os.mkfifo(tmp_path / "fifo.txt")
    monkeypatch.setenv("BLOOMZ_BENCH_REQUIREMENTS", str(tmp_path / "fifo.txt"))
    with pytest.raises(InputError, match="fifo.txt cannot be read: it is a FIFO.*Check BLOOMZ_BENCH_REQUIREMENTS"):
        inventory.describe(stack(root), root)


@pytest.mark.parametrize(
    "name, value, flagged",
    [
        ("LD_PRELOAD", "/lib/libtcmalloc.so", True),
        ("LD_LIBRARY_PATH", "/opt/lib", True),
        ("LD_LIBRARY_PATH", "/usr/local/lib:/usr/local/nvidia/lib64", False),
        ("PYTHONHOME", "/opt/python", True),
        ("PYTHONUSERBASE", "/opt/python", True),
        ("PYTHONSTARTUP", "/home/rc.py", True),
        ("PYTHONINSPECT", "1", True),
        ("PYTHONOPTIMIZE", "2", True),
        ("PYTHONPATH", "/opt/others", True),
        ("PYTHONUNBUFFERED", "1", False),
        ("PYTHONDONTWRITEBYTECODE", "1", False),
        ("PYTHONPATH", "ROOT", False),
    ],
)
def test_variables_of_python_and_the_linker_are_recorded_and_flagged(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str, value: str, flagged: bool
) -> None:
    root, install = house
    install_all(install)
    value = value.replace("ROOT", str(root))
    monkeypatch.setenv(name, value)
    record = inventory.describe(stack(root), root)
    assert record["variables"] == {name: value}
    assert record["interpreter"] == ({name: value} if flagged else {})
    inventory.refuse_drift(record, stack(root))


def test_an_auditing_library_is_refused_and_a_secret_is_never_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, install = house
    install_all(install)
    monkeypatch.setenv("PYTHON_TOKEN", "hunter2hunter2")
    monkeypatch.setenv("LD_AUDIT", "/opt/audit.so")
    record = inventory.describe(stack(root), root)
    assert "hunter2" not in str(record)
    with pytest.raises(Unsupported, match="LD_AUDIT=/opt/audit.so would run code"):
        inventory.refuse_drift(record, stack(root))


def test_this_interpreter_takes_its_modules_from_its_own_folders() -> None:
    names = ("pytest", "hypothesis", "pluggy")
    findings = provenance.judge(names, map(metadata.distribution, names), (), {}, inventory.ROOT, {})
    assert (findings.shadowed, findings.unrecorded) == ({}, [])
