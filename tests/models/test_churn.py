from sklearn.utils.estimator_checks import parametrize_with_checks

from models.churn import ChurnClassifier


@parametrize_with_checks(
    [
        ChurnClassifier(),
        ChurnClassifier(n_rounds=0),
        ChurnClassifier(backbone=False, min_child_samples=5),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
