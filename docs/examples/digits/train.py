"""Trains a linear classifier to read handwritten digits; the data ships with scikit-learn."""

import argparse
import time
import warnings

import matplotlib as mpl
import mlflow
import numpy as np
import sklearn
from mlflow.models import infer_signature
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import ConfusionMatrixDisplay, log_loss
from sklearn.model_selection import train_test_split

mpl.use("Agg")
warnings.filterwarnings("ignore", category=FutureWarning)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=float, default=12)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--alpha", type=float, default=0.0001)
    parser.add_argument("--seed", type=float, default=1)
    return parser.parse_args()


def train(args: argparse.Namespace) -> None:
    epochs, seed = int(args.epochs), int(args.seed)
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16.0, labels, test_size=0.25, random_state=seed, stratify=labels)
    x_train, x_test, y_train, y_test = split
    rate = {"learning_rate": "constant", "eta0": args.learning_rate}
    model = SGDClassifier(loss="log_loss", alpha=args.alpha, random_state=seed, **rate)
    mlflow.log_params({"epochs": epochs, "learning_rate": args.learning_rate, "alpha": args.alpha, "seed": seed})
    print(f"training on {len(x_train)} images, testing on {len(x_test)}", flush=True)
    random = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        started = time.monotonic()
        order = random.permutation(len(x_train))
        model.partial_fit(x_train[order], y_train[order], classes=np.arange(10))
        loss = log_loss(y_test, model.predict_proba(x_test), labels=np.arange(10))
        accuracy = model.score(x_test, y_test)
        mlflow.log_metrics({"loss": loss, "accuracy": accuracy}, step=epoch)
        print(f"epoch {epoch:3d}/{epochs}  loss {loss:.4f}  accuracy {accuracy:.4f}", flush=True)
        time.sleep(max(0.0, 0.5 - (time.monotonic() - started)))  # so that there is something to follow
    display = ConfusionMatrixDisplay.from_estimator(model, x_test, y_test)
    mlflow.log_figure(display.figure_, "confusion_matrix.png")
    signature = infer_signature(x_test, model.predict(x_test))
    # Named, so that MLflow does not try them out in a process of its own, which takes longer than the training.
    needs = [f"mlflow=={mlflow.__version__}", f"scikit-learn=={sklearn.__version__}"]
    mlflow.sklearn.log_model(model, name="model", signature=signature, pip_requirements=needs)
    print(f"done: accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    # Under the gateway MLFLOW_RUN_ID names the run that it made; alone, a new one is begun.
    with mlflow.start_run():
        train(arguments())
