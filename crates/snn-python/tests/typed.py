"""What a type checker makes of programs that use the package: `mypy --strict` reads this file, and
nothing runs it."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, assert_type

import numpy as np
import snn
from numpy.typing import NDArray


def of_models(images: NDArray[np.uint8]) -> None:
    model = snn.Model(Path("model.safetensors"), threads=2, statistics=True)
    assert_type(snn.Model.from_bytes(model.to_bytes()), snn.Model)
    assert_type(model.input_shape, Tuple[int, ...])
    assert_type(model.classes, List[str])
    assert_type(model.logits(images), NDArray[np.float64])
    scores = model.run(images)
    assert_type(scores.sums, Optional[NDArray[np.int64]])
    assert_type(model.run_frames([images]).steps, int)
    assert_type(model.count(images, frames=False).total.firing_rate, Optional[float])
    assert_type([node.form for node in model.plan()], List[str])
    # An int, or an array of them: whoever calls knows which.
    index: int = model.classify(images[0])
    classes: NDArray[np.int64] = model.classify(images)
    prediction: snn.Prediction = scores.best()[0]
    assert_type(prediction.name, Optional[str])
    model.run(Path("image.png"))  # type: ignore[arg-type]
    model.time_steps = index  # type: ignore[misc]
    snn.Model("model.safetensors", 2)  # type: ignore[call-arg]
    print(classes, prediction)


def of_sessions(session: snn.Session, frame: NDArray[np.uint8], events: NDArray[np.void]) -> None:
    assert_type(session.push(frame), snn.Scores)
    assert_type(session.push_events(events), snn.Scores)
    x, y, t, p = frame
    session.push_events((x, y, t, p))
    session.run_events(snn.windows(events, 1_000))
    session.push_events((x, y, t))  # type: ignore[arg-type]
    kept = session.state
    assert_type(kept, snn.State)
    session.state = kept
    assert_type([node.density for node in session.statistics()], List[Optional[float]])


def of_training() -> None:
    def progress(epoch: Dict[str, Any]) -> None:
        print(epoch["train_loss"])

    run = snn.train({"epochs": 2}, "run", progress=progress, settings={"optimiser.momentum": 0.9})
    assert_type(run.test_accuracy, Optional[float])
    assert_type(run.twin, Optional[snn.Run])
    assert_type(snn.Model(run.convert("unary.safetensors")), snn.Model)
    try:
        snn.train("run.toml", out=None)  # type: ignore[arg-type]
    except (snn.TrainingError, snn.InputError, snn.ModelError) as error:
        raise SystemExit(str(error)) from snn.SnnError()
