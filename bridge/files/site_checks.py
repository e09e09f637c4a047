"""What can be said of a site's settings only when catalogue and rules are known: names that are not there.

Law: used by `check` and by the child of `compiled`, so that `run` refuses exactly what `check` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge.core.catalogue import Catalogue
from bridge.core.inputs import InputSpec
from bridge.core.nearest import nearest
from bridge.core.points import PointIndex
from bridge.core.profile import PROFILE
from bridge.core.rules import Pack, compile_packs
from bridge.errors import ConfigError, ConfigErrors
from bridge.files import paths, schema, yaml_text
from bridge.files.extra_rows import extended
from bridge.files.gather import Gathered
from bridge.files.jobs import SiteChoice
from bridge.files.yaml_text import Document, Path_


def all_faults(choices: Sequence[SiteChoice], gathered: Gathered, document: Document) -> list[ConfigError]:
    """Return every fault of what was gathered, and of the choices and rules of all sites, each once.

    What is wrong in shape is often wrong in sense, too: of one line only the first is told.

    Args:
        choices: of the sites, in the order of the settings.
        gathered: everything they named.
        document: the config file; an empty one when there is none.
    """
    if not gathered.is_whole:
        return gathered.errors
    told = {(fault.file, fault.line) for fault in gathered.errors}
    more = _site_faults(choices, gathered, document)
    return gathered.errors + [fault for fault in more if (fault.file, fault.line) not in told]


def _site_faults(choices: Sequence[SiteChoice], gathered: Gathered, document: Document) -> list[ConfigError]:
    faults = list(_catalogue_faults(Catalogue(gathered.catalogue)))
    if not faults:
        seen: list[SiteChoice] = []
        for index, choice in enumerate(choices):
            if choice not in seen or _has_own(document, index):
                faults += _SiteChecks(index, choice, gathered, document).faults()
                seen.append(choice)
    return sorted(
        {str(fault): fault for fault in faults}.values(), key=lambda fault: (fault.file, fault.line, fault.column)
    )


def config_document(file: str) -> Document:
    """Return the config file with its places, or an empty document when there is none that can be read."""
    try:
        found = yaml_text.load_file(Path(file), file) if file else None
    except ConfigError:
        found = None  # who reads the settings tells it
    if found is not None and isinstance(found.data, dict):
        return found
    return Document({}, {(): (0, 0)}, {}, file)


def packs_of(choice: SiteChoice, gathered: Gathered) -> list[Pack]:
    """Return the rule packs of a site, those of its extra documents last."""
    found = {one.file: Pack(one.file, one.data, one.marks, one.keys) for one in gathered.packs}
    packs = [found[file] for file in dict.fromkeys(choice.packs)]
    extras = [extra for extra in gathered.extras if extra.file in choice.extras]
    return packs + [Pack(extra.file, extra.pack, extra.marks) for extra in extras if extra.pack]


def alerts_of(packs: Sequence[Pack]) -> list[str]:
    """Return the names of the alerts in packs."""
    rules = [rule for pack in packs if isinstance(pack.data, dict) for rule in pack.data.get("rules") or ()]
    return [str(rule["alert"]) for rule in rules if isinstance(rule, dict) and "alert" in rule]


def _has_own(document: Document, index: int) -> bool:
    """Tell whether a site has keys of its own, so that faults in them have places of their own."""
    return any(path[:2] == ("sites", index) and len(path) > 3 for path in document.marks)


def _catalogue_faults(catalogue: Catalogue) -> Iterator[ConfigError]:
    """Yield what the schema cannot see: references of rows to nothing."""
    for name in catalogue.class_names():
        try:
            catalogue.get(name)
        except (KeyError, ValueError) as error:
            file = str(paths.catalogue_directory() / f"{name}.yaml")
            yield ConfigError(f"a row refers to what is not there: {error}", file)


class _SiteChecks:
    def __init__(self, index: int, choice: SiteChoice, gathered: Gathered, document: Document) -> None:
        self._prefix: Path_ = ("sites", index)
        self._choice = choice
        self._document = document
        self._packs = packs_of(choice, gathered)
        documents = gathered.catalogue
        for extra in gathered.extras:
            if extra.file in choice.extras:
                documents = extended(documents, extra.rows)
        self._catalogue = Catalogue(documents)
        self._index = PointIndex(self._catalogue)

    def faults(self) -> Iterator[ConfigError]:
        yield from self._unknown_points(("poll", "points"), self._choice.points)
        yield from self._unknown_points(("publish", "deadband"), self._choice.deadbands)
        for name in self._choice.classes:
            yield from self._unknown("class", name, self._catalogue.class_names(), ("poll", "classes", name))
        yield from self._slips_in_profile()
        alerts = alerts_of(self._packs)
        if self._names_unknown_pack():  # told already; names of its alerts, points and params would all follow
            params = (fault for fault in self._compiler_faults(alerts) if fault.key.count(".") == 3)
            yield from map(self._placed, params)
            return
        for name in self._choice.disable:  # looked for here too: the compiler does not know which item of the list
            yield from self._unknown("alert", name, alerts, self._item(("rules", "disable"), name))
        for name in dict.fromkeys(self._choice.maintained):
            for path in self._windows_with(name):
                yield from self._unknown("alert", name, alerts, path, is_key=False)
        yield from map(self._placed, self._compiler_faults(alerts))

    def _compiler_faults(self, alerts: Sequence[str]) -> Iterator[ConfigError]:
        disabled = set(alerts).intersection(self._choice.disable)
        inputs = [InputSpec(*one).known for one in self._choice.inputs]
        params, profile = self._choice.params, self._choice.profile
        try:
            compile_packs(self._packs, self._catalogue, params, profile, disabled, inputs, told={})
        except ConfigErrors as found:
            yield from found.errors

    def _names_unknown_pack(self) -> bool:
        known = {*paths.shipped_packs(), paths.ALL_PACKS}
        scopes: tuple[Path_, ...] = (self._prefix, ())
        named = (name for scope in scopes for _, name in _items(self._document.data, (*scope, "rules", "packs")))
        return any(name not in known for name in named)

    def _unknown_points(self, path: Path_, names: Sequence[str]) -> Iterator[ConfigError]:
        for name in names:
            topic = name.replace(".", "/")
            kind, _, rest = topic.partition("/")
            if self._index.site(topic) or (rest and self._index.is_class(kind) and self._index.of_class(kind, rest)):
                continue
            yield self._fault((*path, name), f'no point is called "{name}"{self._index.like_site(topic)}')

    def _slips_in_profile(self) -> Iterator[ConfigError]:
        """Yield facts of the user's own that no rule reads and whose name is close to one that rules know."""
        for name in self._choice.profile:
            meant = nearest(name, PROFILE)
            if name not in PROFILE and meant and not any(f"profile.{name}" in str(pack.data) for pack in self._packs):
                message = f'no rule reads profile.{name}; did you mean "{meant}"?'
                yield self._fault(("profile", name), message)

    def _unknown(
        self, what: str, name: str, known: Sequence[str], path: Path_, is_key: bool = True
    ) -> Iterator[ConfigError]:
        if name not in known:
            meant = nearest(name, known)
            advice = f'; did you mean "{meant}"?' if meant else ""
            yield self._fault(path, f'no {what} is called "{name}"{advice}', is_key)

    def _placed(self, error: ConfigError) -> ConfigError:
        """Return an error of the rule compiler; one about the site's own params gets its place in the config."""
        if error.file or not error.key.startswith("rules.params."):
            return error
        return self._fault(tuple(error.key.split(".", 3)), error.message)

    def _item(self, path: Path_, item: str) -> Path_:
        """Return the path of an item of a list, in the site's own part or at the top."""
        for scope in (self._prefix, ()):
            for place, value in _items(self._document.data, (*scope, *path)):
                if value == item:
                    return place
        return path

    def _windows_with(self, alert: str) -> list[Path_]:
        """Return the places at which maintenance windows name an alert, in the site's own part or else at the top."""
        windows = ("maintenance",)
        own = (*self._prefix, *windows)
        above = own if own in self._document.marks else windows
        found: list[Path_] = []
        for place, window in _items(self._document.data, above):
            if isinstance(window, dict) and window.get("alert") == alert:
                found.append((*place, "alert"))
            found += [path for path, name in _items(self._document.data, (*place, "alert")) if name == alert]
        return found or [windows]

    def _fault(self, path: Path_, message: str, is_key: bool = True) -> ConfigError:
        marks = self._document.marks
        path = (*self._prefix, *path) if (*self._prefix, *path) in marks else path
        line, column = schema.place(self._document, path, is_key)
        return ConfigError(message, self._document.file, line, column, schema.key_path(path))


def _items(data: object, path: Path_) -> Iterator[tuple[Path_, object]]:
    """Yield the items of the list at a path, each with its own path; nothing when there is no list."""
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return
    for index, item in enumerate(data if isinstance(data, list) else ()):
        yield (*path, index), item
