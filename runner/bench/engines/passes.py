"""Note how many tokens of a row each forward pass is given; torch 1.13 has no hook that sees keywords."""

import contextlib
import functools


@contextlib.contextmanager
def of_forward(model, noted):
    """Append to ``noted`` at each call of the model's forward; afterwards it is the class's again, or the graph's that was there."""
    forward, own = model.forward, "forward" in vars(model)

    @functools.wraps(forward)
    def watched(*arguments, **keywords):
        noted.append((keywords["input_ids"] if "input_ids" in keywords else arguments[0]).shape[1])
        return forward(*arguments, **keywords)

    model.forward = watched
    try:
        yield
    finally:
        if own:
            model.forward = forward
        else:
            del model.forward


@contextlib.contextmanager
def as_prepared(model, noted):
    """Append to ``noted`` what generate() prepares for each forward pass, which itself stays as it was compiled."""
    prepare = model.prepare_inputs_for_generation

    @functools.wraps(prepare)
    def watched(*arguments, **keywords):
        inputs = prepare(*arguments, **keywords)
        noted.append(inputs["input_ids"].shape[1])
        return inputs

    model.prepare_inputs_for_generation = watched
    try:
        yield
    finally:
        del model.prepare_inputs_for_generation
