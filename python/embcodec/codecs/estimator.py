"""What scikit-learn asks of a transformer, without depending on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

_E = TypeVar("_E", bound="Estimator")


class Estimator(ABC):
    """Parameters, `transform` and tags: enough for `clone`, `Pipeline` and `GridSearchCV`."""

    _parameters: tuple[str, ...]

    @property
    @abstractmethod
    def is_fitted(self) -> bool:
        """Whether `fit` was called."""

    @abstractmethod
    def fit(self: _E, X: Any, y: object = None) -> _E:
        """Learn from X."""

    @abstractmethod
    def transform(self, X: Any) -> Any:
        """X as it comes out."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in self._parameters}

    def set_params(self: _E, **params: Any) -> _E:
        """Change arguments of the constructor; the object is unfitted afterwards, as if just constructed.

        Raises:
            ValueError: an unknown parameter, or a value that the constructor refuses.
        """
        unknown = params.keys() - set(self._parameters)
        if unknown:
            raise ValueError(f"{type(self).__name__}.set_params: no parameter {sorted(unknown)[0]!r}")
        if params:
            self.__init__(**{**self.get_params(), **params})  # type: ignore[misc]
        return self

    def fit_transform(self, X: Any, y: object = None, **fit_params: Any) -> Any:
        """`fit(X, y, **fit_params).transform(X)`."""
        return self.fit(X, y, **fit_params).transform(X)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({arguments})"

    def __sklearn_is_fitted__(self) -> bool:
        return self.is_fitted

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float32"]),
        )
