import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import label_ranking_average_precision_score, mean_squared_error, r2_score
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from embcodec.evaluation import (
    cosine_error,
    knn_accuracy,
    mrr,
    recall_at_k,
    relative_mse,
    spearman,
    squared_error,
)

RNG = np.random.default_rng(5)
X = RNG.normal(size=(300, 12)).astype(np.float32)
DECODED = (X + 0.3 * RNG.normal(size=X.shape)).astype(np.float32)


def test_recall_by_hand():
    exact = np.array([[0, 1, 2], [3, 4, 5]])
    assert recall_at_k(np.array([[2, 1, 0], [5, 3, 4]]), exact) == 1
    assert recall_at_k(np.array([[0, 9, 8], [4, 3, 7]]), exact) == pytest.approx(3 / 6)
    assert recall_at_k(np.array([[1, -1, -1], [-1, -1, -1]]), exact) == pytest.approx(1 / 6)


def test_recall_takes_no_filler_for_a_hit():
    assert recall_at_k(np.array([[0, -1]]), np.array([[0, -1]])) == 0.5


def test_mrr_by_hand():
    ids = np.array([[7, 8, 9], [7, 8, 9], [7, 8, 9], [7, 8, 9]])
    assert mrr(ids, np.array([7, 8, 9, 1])) == pytest.approx((1 + 1 / 2 + 1 / 3 + 0) / 4)


def test_mrr_equals_scikit_learn_for_whole_rankings():
    scores = RNG.normal(size=(50, 20))
    relevant = RNG.integers(20, size=50)
    want = label_ranking_average_precision_score(np.arange(20) == relevant[:, None], scores)
    assert mrr(np.argsort(-scores, axis=1), relevant) == pytest.approx(want)


def test_cosine_error_by_hand():
    x = np.array([[1, 0], [1, 0], [1, 0], [3, 4]], np.float32)
    decoded = np.array([[2, 0], [0, 5], [-1, 0], [4, 3]], np.float32)
    assert cosine_error(x, decoded) == pytest.approx((0 + 1 + 2 + (1 - 24 / 25)) / 4)


def test_cosine_error_of_zero_rows():
    zero, one = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)
    assert cosine_error(zero, zero) == 0
    assert cosine_error(zero, one) == 1
    assert cosine_error(one, zero) == 1


def test_errors_equal_scikit_learn():
    assert cosine_error(X, DECODED) == pytest.approx(paired_cosine_distances(X, DECODED).mean(), rel=1e-5)
    assert squared_error(X, DECODED) == pytest.approx(mean_squared_error(X, DECODED), rel=1e-6)
    want = 1 - r2_score(X, DECODED, multioutput="variance_weighted")
    assert relative_mse(X, DECODED) == pytest.approx(want, rel=1e-5)


def test_errors_are_the_same_over_many_blocks():
    x, decoded = (np.tile(a, (60, 1)) for a in (X, DECODED))
    assert len(x) > 2 * 8192
    for measure in (cosine_error, squared_error, relative_mse):
        assert measure(x, decoded) == pytest.approx(measure(X, DECODED))


def test_relative_mse_of_the_mean_row_is_one():
    assert relative_mse(X, np.broadcast_to(X.mean(axis=0), X.shape)) == pytest.approx(1, rel=1e-5)


def test_relative_mse_of_equal_rows():
    rows = np.ones((4, 3), np.float32)
    assert relative_mse(rows, rows) == 0
    assert relative_mse(rows, rows + 1) == float("inf")


def test_spearman_by_hand_and_with_ties():
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 15.0])) == pytest.approx(0.5)
    a, b = RNG.integers(10, size=(2, 500)).astype(np.float64)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert spearman(a, -a) == pytest.approx(-1)


def test_spearman_of_a_constant_is_zero():
    assert spearman(np.ones(5), np.arange(5.0)) == 0


def test_knn_accuracy_by_hand():
    base_labels = np.array([4, 4, 7, 7, 7])
    ids = np.array([[0, 1, 2], [0, 2, 3], [0, 2, -1], [-1, -1, -1]])
    assert knn_accuracy(ids, base_labels, np.array([4, 7, 4, 4])) == 3 / 4
    assert knn_accuracy(ids, base_labels, np.array([7, 4, 7, 7])) == 0


def test_knn_accuracy_of_names():
    assert knn_accuracy(np.array([[0], [1]]), np.array(["doc", "web"]), np.array(["doc", "doc"])) == 0.5


def test_knn_accuracy_equals_scikit_learn():
    labels = RNG.integers(4, size=300)
    train, test, k = slice(0, 200), slice(200, 300), 5
    model = KNeighborsClassifier(k, algorithm="brute").fit(X[train], labels[train])
    ids = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(X[train]).kneighbors(X[test])[1]
    want = model.score(X[test], labels[test])
    assert knn_accuracy(ids, labels[train], labels[test]) == pytest.approx(want)


@pytest.mark.parametrize("measure", [cosine_error, squared_error, relative_mse])
@pytest.mark.parametrize("decoded", [X[:, :5], X[:5], X[0]])
def test_errors_refuse_unequal_shapes(measure, decoded):
    with pytest.raises(ValueError, match=rf"{measure.__name__}: .* got \(300, 12\) and "):
        measure(X, decoded)


def test_ranking_measures_refuse_unequal_shapes():
    with pytest.raises(ValueError, match=r"recall_at_k: .* got \(2, 3\) and \(2, 2\)"):
        recall_at_k(np.zeros((2, 3), int), np.zeros((2, 2), int))
    with pytest.raises(ValueError, match=r"mrr: .* got \(2, 3\) and \(3,\)"):
        mrr(np.zeros((2, 3), int), np.zeros(3, int))
    with pytest.raises(ValueError, match=r"knn_accuracy: .* got \(2, 3\), \(4,\) and \(1,\)"):
        knn_accuracy(np.zeros((2, 3), int), np.zeros(4, int), np.zeros(1, int))
    with pytest.raises(ValueError, match=r"spearman: .* got \(1,\) and \(1,\)"):
        spearman(np.zeros(1), np.zeros(1))
