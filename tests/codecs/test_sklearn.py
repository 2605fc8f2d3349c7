"""A codec is at home in scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from embcodec.codecs import Codec


@pytest.fixture(scope="module")
def labelled() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.standard_normal((3, 24))[y] + rng.standard_normal((300, 24)) * 0.8
    return x.astype(np.float32), y


def test_pipeline_judges_the_codec(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    model = make_pipeline(Codec("PCA12,SQ8"), LogisticRegression(max_iter=500)).fit(x, y)
    assert model.score(x, y) > 0.9
    assert model.n_features_in_ == 24
    survives = model[0].transform(x)
    assert survives.shape == x.shape
    assert model.score(x, y) == LogisticRegression(max_iter=500).fit(survives, y).score(survives, y)
    assert make_pipeline(Codec("MRL1,Binary"), LogisticRegression()).fit(x, y).score(x, y) < 0.8


def test_clone() -> None:
    for spec in ("PCA8,SQ8", " PCA8 ,  SQ8"):
        codec = Codec(spec, seed=4)
        copy = clone(codec)
        assert copy is not codec
        assert copy.get_params() == codec.get_params() == {"spec": "PCA8,SQ8", "seed": 4}


def test_clone_is_unfitted(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    codec = Codec("PCA8,SQ8").fit(labelled[0])
    assert codec.is_fitted
    assert not clone(codec).is_fitted


def test_grid_search_over_specs(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    model = Pipeline([("codec", Codec("SQ8")), ("classifier", LogisticRegression(max_iter=500))])
    specs = ["SQ8", "PCA8,SQ4", "MRL1,Binary"]
    search = GridSearchCV(model, {"codec__spec": specs}, cv=3, error_score="raise").fit(x, y)
    scores = dict(zip(specs, search.cv_results_["mean_test_score"], strict=True))
    assert scores["MRL1,Binary"] < scores["SQ8"]
    assert search.best_estimator_[0].spec == search.best_params_["codec__spec"]


def test_set_params(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    codec = Codec("SQ8").fit(labelled[0])
    assert codec.set_params() is codec
    assert codec.is_fitted
    assert codec.set_params(seed=7) is codec
    assert (codec.spec, codec.seed, codec.is_fitted) == ("SQ8", 7, False)
    assert codec.set_params(spec="PCA8, SQ4").spec == "PCA8,SQ4"
    with pytest.raises(ValueError, match=r"Codec\.set_params: no parameter 'bits'"):
        codec.set_params(bits=8)
    with pytest.raises(ValueError, match="not known"):
        codec.set_params(spec="SQ5")
    assert codec.get_params(deep=False) == {"spec": "PCA8,SQ4", "seed": 7}


def test_fit_returns_self_and_fit_transform_is_both(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    codec = Codec("PCA8,SQ8")
    assert codec.fit(x, y) is codec
    np.testing.assert_array_equal(Codec("PCA8,SQ8").fit_transform(x, y), codec.transform(x))
    np.testing.assert_array_equal(
        Codec("PCA8,SQ8").fit_transform(x, max_rows=50), Codec("PCA8,SQ8").fit(x, max_rows=50).transform(x)
    )


def test_fitted_attributes(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    codec = Codec("SQ8")
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(codec)
    check_is_fitted(codec.fit(labelled[0]))
    assert codec.n_features_in_ == 24


def test_a_copy_by_pickle_is_the_same(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    """joblib sends estimators to its workers that way."""
    codec = Codec("PCA8,VQ9").fit(labelled[0])
    again = pickle.loads(pickle.dumps(codec))
    assert again.fingerprint == codec.fingerprint
    np.testing.assert_array_equal(again.transform(labelled[0]), codec.transform(labelled[0]))


def test_repr_can_be_evaluated() -> None:
    assert repr(Codec("PCA8, SQ8", seed=2)) == "Codec(spec='PCA8,SQ8', seed=2)"


def test_scikit_learn_is_not_needed() -> None:
    program = (
        "import sys, numpy as np; from embcodec.codecs import Codec;"
        "Codec('SQ8').fit(np.eye(4)).transform(np.eye(4)); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
