"""Carry out a bump: the steps in order, each with the files that it writes; all is told, and `git checkout` undoes all of it.

Steps that reach no network stand apart from those that ask origins. Until the pins are known to go together, a failure puts every file
back as it was. From then on a failure of a step is told, and the steps after it go on.
"""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import files
from runner.contract.announce import Announcer
from runner.contract.errors import InputError, Interrupted, Unreachable
from runner.contract.files import reason, sha256_of_file
from runner.contract.text import printable
from runner.host import paths, writing
from runner.host.bump import changelog
from runner.host.bump.events import BumpDone, LeftToDo, NoteReplaced, StepFailed, StepPlanned, StepTaken
from runner.host.pins import answering, compilation, resolve
from runner.host.pins.compilation import Compilation
from runner.host.pins.events import PinUnresolved, ReleaseYanked
from runner.host.readers import catalog, lockfile, strictyaml
from runner.host.readers.lockfile import Lock, LockPath
from runner.host.stacks import agreement, requirements

CHANGELOG = "CHANGELOG.md"
RENDER = ("-m", "runner", "render")
GENERATE = ("-m", "docs.generate")
# The next step of a person: the working tree against the commit.
CHECK = "make bump-check BASE=HEAD"
# What rendering and the generated parts of the pages write.
RENDERED = ("k8s",)
# Where the actions of workflows are named by commit, with the version behind it.
WORKFLOWS = (".github",)
GENERATED = ("README.md", "CONTRIBUTING.md", "docs", "examples")

_MAX_BYTES = 16 * 1024 * 1024
_RESTORE = "Restore it with `git checkout`."


@dataclass(frozen=True)
class File:
    """A requirements file that a bump compiles: its place in the lock, such as ``("stacks", "cpu", "requirements")``.

    ``kept`` is the text whose versions and hashes stay unless they no longer fit; None compiles the file anew. ``beside`` is, for the file
    of a torch that does not move, what the stack's own file was: where that file holds the same of all that torch needs, so does this one.
    """

    where: LockPath
    kept: str | None
    beside: str | None = None


@dataclass(frozen=True)
class Note:
    """The note of an entry of the lock: what it said ``before`` a bump, and what the bump writes."""

    before: str
    after: str


@dataclass(frozen=True)
class Plan:
    """What a bump does.

    ``what`` names it, and begins its line in the changelog. ``older`` says that it goes back to an older version, empty where it does
    not, and stands in the plan and at the end alone: a changelog does not tell what was locked. ``writes`` maps files to what they hold,
    without an answer of any origin; the lock is among them. ``compiled`` are the requirements files to compile, each after those that
    bound it. ``opened`` are the other values of the lock that the bump leaves for origins to tell. ``notes`` are the notes that it
    replaces, by their entries. ``to_read`` says what no program can do, with the sources to read. ``copied`` are cases that the bump
    adds. ``is_new`` says that the bump adds rows, ``rows``, of a new release: what an origin does not have stays unresolved there. A
    moved pin must be there.
    """

    what: str
    writes: Mapping[Path, bytes]
    compiled: tuple[File, ...]
    opened: frozenset[LockPath]
    notes: Mapping[LockPath, Note] = field(default_factory=dict)
    to_read: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    is_new: bool = False
    rows: tuple[LockPath, ...] = ()
    older: str = ""

    @property
    def told(self) -> str:
        """What a person reads of the plan: what it does, and whether that is older than what is locked."""
        return self.what + (f" ({self.older})" if self.older else "")


@dataclass(frozen=True)
class Step:
    """A step of a bump: its sentence, the files and folders that it writes, and the function that takes it.

    ``online`` says that it asks origins, ``is_after`` that it only makes files from pins that are known to go together: what was
    written before it stays where it fails.
    """

    sentence: str
    files: tuple[str, ...]
    act: Callable[[], None]
    online: bool = False
    is_after: bool = False


class Tree:
    """The files of this checkout that a bump writes, each with what it held before."""

    def __init__(self, writes: Sequence[Path]) -> None:
        """Keep what ``writes`` hold now. Raises ``InputError`` for a file that cannot be read."""
        self._before = {
            path: files.read_bytes(path, _MAX_BYTES, advice=_RESTORE) if path.exists() else None for path in writes
        }

    def restore(self) -> None:
        """Put every file back as it was, and remove those that were not there."""
        for path, content in self._before.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != content:
                writing.write_text(path, content.decode("utf-8"))

    def write(self, path: Path, content: bytes) -> None:
        """Write a file. Raises ``InputError`` where the file is no longer what it was when the bump began."""
        with writing.alone(path):
            now = files.read_bytes(path, _MAX_BYTES, advice=_RESTORE) if path.exists() else None
            if now != self._before[path]:
                raise InputError(f"{paths.shown(path)} was changed by another program meanwhile. Run the same again.")
            writing.write_text(path, content.decode("utf-8"))


def carry_out(plan: Plan, announcer: Announcer, offline: bool, dry_run: bool) -> None:
    """Take the steps of a bump, or print them, and say what is left.

    ``offline`` leaves out the steps that ask origins. Raises ``InputError`` where files have changes that no commit has, and where the
    pins do not go together: then the files are as before. Raises ``Unreachable`` where an origin did not answer, ``Interrupted``.
    """
    work = _Work(plan, announcer, offline)
    refuse_uncommitted(sorted({file for step in work.steps for file in step.files}))
    if dry_run:
        for number, step in enumerate(work.steps, 1):
            announcer.announce(StepPlanned(number, step.sentence, " ".join(step.files)))
        return
    work.take()


def refuse_uncommitted(written: Sequence[str]) -> None:
    """Raise ``InputError`` where ``git checkout`` could not undo a bump that writes these files and folders."""
    # a copy that lies in another repository, which has none of its files, is no checkout either
    if _git("ls-files", "--error-unmatch", "--", paths.shown(paths.LOCK)) is None:
        raise InputError(
            "This is no git checkout, so nothing could undo a bump. Clone the repository with git, and bump there."
        )
    # a new file in a folder that programs write stays, but one in the place of a file to write would be lost
    names = [name for status, name in changed_files(written) if status != "??" or name in written]
    if names:
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        hold = "hold" if len(names) > 1 else "holds"
        raise InputError(
            f"{', '.join(printable(name, 100) for name in names[:4])}{more} {hold} changes that no commit has, and `git checkout`"
            " could not undo the bump alone. Commit them, or put them aside with `git stash`."
        )


class _Work:
    """One bump while it is carried out."""

    def __init__(self, plan: Plan, announcer: Announcer, offline: bool) -> None:
        self.plan, self.announcer, self.offline = plan, announcer, offline
        text = files.read_bytes(paths.ROOT / CHANGELOG, _MAX_BYTES, advice=_RESTORE).decode("utf-8")
        # a changelog that takes no line is refused before anything is written
        changelog.with_line(text, "-", CHANGELOG)
        self.before = lockfile.read()
        self.tables = catalog.read()
        self.outcomes: Counter[answering.Outcome] = Counter()
        self.left: list[str] = []
        self.not_compiled: set[LockPath] = set()
        requirements = [
            paths.ROOT / entry.file
            for where, entry in lockfile.requirements_files(_planned(plan)).items()
            if where in {file.where for file in plan.compiled}
        ]
        self.actions = [where[1] for where in plan.opened if where[0] == "actions"]
        tops = WORKFLOWS if self.actions else ()
        self.workflows = sorted(path for top in tops for path in (paths.ROOT / top).rglob("*.y*ml"))
        self.tree = Tree([*plan.writes, *requirements, *self.workflows, paths.ROOT / CHANGELOG])
        self.steps = [step for step in self._steps(_planned(plan)) if not (step.online and offline)]
        self.others = changed_files(self._written())

    def _steps(self, lock: Lock) -> list[Step]:
        entries = lockfile.requirements_files(lock)
        shown = tuple(paths.shown(path) for path in self.plan.writes)
        steps = [Step(f"write {self.plan.told}", shown, self._write)]
        for file in self.plan.compiled:
            name = entries[file.where].file
            act = functools.partial(self._compile, file)
            steps.append(Step(f"compile {name}", (name, paths.shown(paths.LOCK)), act, online=True))
        if self.plan.opened:
            asked = ", ".join(".".join(where) for where in sorted(self.plan.opened))
            steps.append(Step(f"ask for {asked}", (paths.shown(paths.LOCK),), self._ask, online=True))
        if self.actions:
            sentence = f"name {', '.join(self.actions)} in the workflows"
            steps.append(Step(sentence, WORKFLOWS, self._name_actions, online=True))
        return [
            *steps,
            Step("compare the requirements files with versions.lock", (), self._check, online=True),
            Step("say whose numbers change", (CHANGELOG,), self._say),
            Step("render the manifests", RENDERED, lambda: self._run(RENDER), is_after=True),
            Step("make the generated parts of the pages", GENERATED, lambda: self._run(GENERATE), is_after=True),
        ]

    def take(self) -> None:
        """Take the steps, and say what is left. Raises as ``carry_out`` does."""
        for where, note in self.plan.notes.items():
            both = printable(note.before, 1000), printable(note.after, 1000)
            self.announcer.announce(NoteReplaced(".".join(where), *both))
        done: list[str] = []
        try:
            for step in self.steps:
                self._take(step, len(done) + 1)
                done.append(step.sentence)
            self._tell()
        except KeyboardInterrupt:
            stopped = next(iter(self.steps[len(done) :]), None)
            now = stopped.sentence if stopped is not None else "say what is left to do"
            if stopped is not None and not stopped.is_after:
                self.tree.restore()
                raise Interrupted(f"stopped in this step: {now}. Every file is as it was before the bump.") from None
            # other programs write the manifests and pages, and nobody kept what these were
            told = "; ".join(done)
            raise Interrupted(
                f"stopped in this step: {now}. Done before it: {told}. Undo all: {self._undo()}"
            ) from None

    def _take(self, step: Step, number: int) -> None:
        """Take one step. Where it fails, every file is put back, unless the step only makes files from the pins."""
        try:
            self.announcer.announce(StepTaken(number, len(self.steps), step.sentence))
            step.act()
        except Exception as problem:
            if step.is_after:
                raise
            self.tree.restore()
            if not isinstance(problem, InputError):
                raise
            raise InputError(f"{problem} Every file is as it was before the bump.") from None

    def _tell(self) -> None:
        """Say what is unresolved, what is left and how to undo. Raises ``Unreachable`` where an origin did not answer."""
        lock = lockfile.read()
        ours = {*self.plan.opened, *((*file.where, "sha256") for file in self.plan.compiled)}
        still = [where for where in resolve.unresolved(lock) if where in ours or where[:2] in self.plan.rows]
        for where in still:
            self.announcer.announce(PinUnresolved(".".join(where)))
        left: list[str] = []
        if still:
            again = (
                f"`{python()} -m runner lock`, which asks for what is unresolved, then `{python()} -m runner render`"
            )
            left.append(f"{again} and `{python()} -m docs.generate`")
        left += [*(() if still else self.left), *self.plan.to_read]
        for number, sentence in enumerate(left, 1):
            self.announcer.announce(LeftToDo(number, len(left), sentence))
        # what is unresolved cannot be measured
        check = None if still else CHECK
        self.announcer.announce(BumpDone(self.plan.told, len(self._changes()), check, self._undo()))
        if self.outcomes["silent"]:
            raise Unreachable(
                f"{self.outcomes['silent']} of the origins asked did not answer (above); what they tell stays unresolved. Run"
                f" `{python()} -m runner lock` where they can be reached, or undo and bump again there. Undo all: {self._undo()}"
            )

    def _undo(self) -> str:
        return undo(self._written(), self._changes())

    def _changes(self) -> list[tuple[str, str]]:
        """Return what the bump changed: files of others that no commit has, and that were there before, are not among it."""
        return [change for change in changed_files(self._written()) if change not in self.others]

    def _written(self) -> list[str]:
        return sorted({file for step in self.steps for file in step.files})

    def _write(self) -> None:
        for path, content in self.plan.writes.items():
            self.tree.write(path, content)

    def _compile(self, file: File) -> None:
        """Compile a requirements file. Raises ``InputError`` where the versions do not go together."""
        if self.not_compiled.isdisjoint(_bounds(file.where)):
            outcome = self._answer(Recompilation(file, (*file.where, "sha256")))
            self.not_compiled |= {file.where} if outcome == "silent" else set()
        else:
            self.not_compiled.add(file.where)

    def _ask(self) -> None:
        """Ask for the opened values, those of one kind after those that they follow from."""
        asked: set[LockPath] = set()

        def say_yanked(package: str, version: str) -> None:
            self.announcer.announce(ReleaseYanked(package, version))

        for kind in resolve.KINDS:
            while kind != "requirements":
                questions = [
                    question
                    for question in resolve.plan(lockfile.read(), kind, on_yanked=say_yanked)
                    if question.where in self.plan.opened - asked
                ]
                if not questions:
                    break
                for question in questions:
                    asked.add(question.where)
                    self._answer(question)

    def _name_actions(self) -> None:
        """Put the commits and versions of actions, where they are known, in the place of others below .github."""
        lock = lockfile.read()
        for path in self.workflows:
            text = after = files.read_bytes(path, _MAX_BYTES, advice=_RESTORE).decode("utf-8")
            for name in self.actions:
                pin = lock.actions[name]
                if pin.commit != lockfile.UNRESOLVED:
                    used = re.compile(rf"(\buses: {re.escape(name)}@)[0-9a-f]{{40}}( # )\S+")
                    after = used.sub(rf"\g<1>{pin.commit}\g<2>{pin.version}", after)
            if after != text:
                self.tree.write(path, after.encode("utf-8"))

    def _answer(self, question: resolve.Question) -> answering.Outcome:
        """Ask a question, and return what became of it. Raises ``InputError`` where the origin refuses it, or has no such thing."""
        outcome = answering.answer(question, self.announcer)
        self.outcomes[outcome] += 1
        if (outcome == "refused" and question.where[-1] == "sha256") or (
            outcome in ("refused", "none") and not self.plan.is_new
        ):
            raise InputError(f"{'.'.join(question.where)} cannot be what the bump makes it (above).")
        return outcome

    def _check(self) -> None:
        """Compare lock and requirements files, unless one could not be compiled. Raises ``InputError`` for a contradiction."""
        lock = lockfile.read()
        if not any(entry.sha256 == lockfile.UNRESOLVED for entry in lockfile.requirements_files(lock).values()):
            agreement.refuse_contradictions(lock)

    def _say(self) -> None:
        """Write the line of the changelog."""
        path = paths.ROOT / CHANGELOG
        before = changelog.request_ids(self.tables, self.before)
        after = changelog.request_ids(catalog.read(), lockfile.read())
        if self.plan.is_new:
            sentence = changelog.line_of_new(self.plan.what, self.plan.copied)
        else:
            sentence = changelog.line(self.plan.what, changelog.moved(before, after))
        text = files.read_bytes(path, _MAX_BYTES, advice=_RESTORE).decode("utf-8")
        self.tree.write(path, changelog.with_line(text, sentence, CHANGELOG).encode("utf-8"))

    def _run(self, words: Sequence[str]) -> None:
        """Run a module of the kit over what is written now; its failure is told, and undoes nothing."""
        shown = shlex.join([python(), *words])
        try:
            done = subprocess.run(
                [sys.executable, *words], cwd=paths.ROOT, capture_output=True, encoding="utf-8", errors="replace"
            )
        except OSError as problem:
            failure = reason(problem)
        else:
            if done.returncode == 0:
                return
            failure = printable((done.stderr or done.stdout).strip().rpartition("\n")[2], 1000)
        self.announcer.announce(StepFailed(f"`{shown}`: {failure}"))
        self.left.append(f"`{shown}`, once it can run")


@dataclass(frozen=True)
class Recompilation:
    """The question which file the pins of the lock compile to now, where the other versions of an earlier text stay."""

    file: File
    where: LockPath

    def ask(self) -> str:
        """Write the file, compiled where that can change it. Raises ``InputError``, ``Unreachable``."""
        lock, kept = lockfile.read(), self.file.kept
        made = _compilation(lock, self.file.where)
        if kept is None or self.file.beside is None or self._bounds_torch_otherwise(lock, kept, self.file.beside):
            return made.write(kept)
        target = paths.ROOT / made.entry.file
        if not target.exists():
            head, _, rest = kept.partition("\n")
            head = f"# Taken over by `python -m runner bump`, under the head: {head.removeprefix('# ')}"
            writing.write_text(target, f"{head}\n{rest}")
        return sha256_of_file(target)

    def _bounds_torch_otherwise(self, lock: Lock, kept: str, beside: str) -> bool:
        """Return whether a stack's own file may change what the file of its torch holds.

        The own file holds all that torch needs of an index, as ``TORCH_NEEDS`` says. So torch's file stays where the versions of these
        stay, or where torch, installed here in the locked version, takes the new ones. It changes where it has a package that the own file
        holds now.
        """
        stack = lock.stacks[self.file.where[1]]
        now = requirements.read(agreement.text_of(stack.requirements, paths.ROOT), stack.requirements.file)
        torch = requirements.read(kept)
        if {pin.name for pin in now} & {pin.name for pin in torch}:
            return True
        needed = [
            {(pin.name, pin.version, pin.marker) for pin in pins if pin.name in requirements.TORCH_NEEDS}
            for pins in (now, requirements.read(beside))
        ]
        if needed[0] == needed[1]:
            return False
        target = agreement.Target.of(stack, now)
        demands = {pin: agreement.installed_demands(pin) for pin in torch if pin.name == "torch"}
        return any(told is None or any(target.contradicts(pin, told)) for pin, told in demands.items())


def _bounds(where: LockPath) -> set[LockPath]:
    """Return the places of the requirements files that bound a file: those that are compiled before it."""
    if where[0] == "stacks":
        return {("stacks", where[1], "requirements")} if where[2] == "torch" else set()
    others = compilation.BOUND_BY.get(where[1], ())
    return {("stacks", "cpu", "requirements") if other == "cpu" else ("requirements", other) for other in others}


def undo(written: Sequence[str], changes: Sequence[tuple[str, str]]) -> str:
    """Return the command that undoes a bump which wrote below these files and folders; ``changes`` are those of ``changed_files``."""
    added = [name for status, name in changes if status == "??"]
    tops = sorted({_top(name, written) for status, name in changes if status != "??"})
    commands = [shlex.join(["git", "checkout", "--", *tops])] if tops else []
    commands += [shlex.join(["git", "clean", "--force", "--quiet", "--", *added])] if added else []
    return " && ".join(commands) or "nothing was written"


def changed_files(written: Sequence[str]) -> list[tuple[str, str]]:
    """Return the files below these paths that differ from the commit, each behind the two letters by which git says how."""
    told = _git("status", "--porcelain", "--no-renames", "--untracked-files=all", "-z", "--", *written) or ""
    # git names files from the top of a repository, which may lie above the kit
    above = (_git("rev-parse", "--show-prefix") or "").removesuffix("\n")
    return [(entry[:2], entry[3:].removeprefix(above)) for entry in told.split("\0") if entry]


def python() -> str:
    """Return this Python as a person types it: relative to the repository where it lies there."""
    return paths.shown(sys.executable)


def _top(name: str, written: Sequence[str]) -> str:
    """Return the written file or folder that a file is or lies in."""
    return next((top for top in written if name == top or name.startswith(f"{top}/")), name)


def _planned(plan: Plan) -> Lock:
    """Return the lock as the plan's first step writes it."""
    return lockfile.parse(strictyaml.loads(plan.writes[paths.LOCK], paths.shown(paths.LOCK)), paths.LOCK)


def _compilation(lock: Lock, where: LockPath) -> Compilation:
    """Return the compilation of the requirements file at a place of the lock."""
    if where[0] == "requirements":
        return compilation.of_own_file(lock, where[1])
    make = compilation.of_torch if where[2] == "torch" else compilation.of_stack
    return make(where[1], lock.stacks[where[1]])


def _git(*arguments: str) -> str | None:
    """Return what git prints about this checkout; None where git fails, or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(paths.ROOT), *arguments], capture_output=True)
    except OSError:
        return None
    return done.stdout.decode("utf-8", errors="surrogateescape") if done.returncode == 0 else None
