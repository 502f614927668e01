"""What made an embedding: two embeddings can be compared only if all of it is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from neurohorizon.errors import DataError

Setting = str | int | float | bool | list[float] | None


@dataclass(frozen=True)
class Fingerprint:
    """Encoder, weights, settings and library versions behind an embedding.

    Parameters
    ----------
    encoder : str
        Name of the encoder, such as "layout" or "clip-vit-l14".
    weights : str
        SHA-256 of the content of its files of weights, "" if it has none.
    settings : mapping
        Which embedding of the network, its architecture, and the preprocessing.
    versions : mapping of str to str
        Versions of the libraries that compute it.
    """

    encoder: str
    weights: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def difference(self, other: Fingerprint) -> str:
        """Return the first thing that differs from another one, "" if nothing does.

        Examples
        --------
        >>> Fingerprint("layout").difference(Fingerprint("dinov2"))
        'encoder layout against dinov2'
        """
        if self.encoder != other.encoder:
            return f"encoder {self.encoder} against {other.encoder}"
        if self.weights != other.weights:
            return f"weights {_short(self.weights)} against {_short(other.weights)}"
        for what, mine, theirs in (
            ("setting", self.settings, other.settings),
            ("version of", self.versions, other.versions),
        ):
            for name in sorted({*mine, *theirs}):
                here, there = mine.get(name, "none"), theirs.get(name, "none")
                if here != there:
                    return f"{what} {name}: {here} against {there}"
        return ""

    @property
    def space(self) -> Fingerprint:
        """What made the embeddings that predicted ones are like; of true ones it is itself.

        Raises
        ------
        DataError
            If predictions do not say it as they should.
        """
        space = self.settings.get("space")
        return self if space is None else Fingerprint.from_json(str(space))

    def to_json(self) -> str:
        """Return it as one line of JSON with sorted keys."""
        return json.dumps(
            {
                "encoder": self.encoder,
                "weights": self.weights,
                "settings": dict(self.settings),
                "versions": dict(self.versions),
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        DataError
            If it is something else.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise DataError(f"not a fingerprint ({error})") from error


def library_versions(*names: str) -> dict[str, str]:
    """Return the versions of installed libraries, without a build's tag such as "+cpu"."""
    return {name: metadata.version(name).split("+")[0] for name in names}


def _short(weights: str) -> str:
    return weights[:12] or "none"
