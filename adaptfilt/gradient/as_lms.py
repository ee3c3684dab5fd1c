"""A linear layer with squared error and plain SGD, sample by sample: it is LMS, and runs on the engine of LMS.

The gradient of (d - w^T u)^2 is -2 e u, so that a learning rate lr makes the step size mu = 2 lr; a bias is the weight
of a regressor that is always 1.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import SGD

from adaptfilt.engines.algorithm import Job
from adaptfilt.engines.cpu import compiled
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.gradient.learner import Learner, Signals


def is_lms(learner: Learner, loss: Callable[..., Tensor]) -> bool:
    """Say whether a step on one sample is one of LMS, on the CPU: exactly these types, and nothing hooked in."""
    model, optimizer = learner.model, learner.optimizer
    if type(model) is not nn.Linear or type(loss) is not nn.MSELoss or type(optimizer) is not SGD:
        return False
    group, *others = optimizer.param_groups
    plain = not others and not any(group[k] for k in ("momentum", "weight_decay", "maximize", "differentiable"))
    hooked = model._forward_hooks or model._forward_pre_hooks or model._backward_hooks or model._backward_pre_hooks
    all_trained = len(learner.trained) == len(learner.parameters) and model.weight.device.type == "cpu"
    single_output = model.out_features == 1 and loss.reduction != "none"
    return plain and single_output and all_trained and not hooked and not learner.has_hooks()


def run_lms(learner: Learner, signals: Signals, scale: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """Adapt over a block; samples where d is NaN are passed over.

    Parameters
    ----------
    learner : Learner
    signals : Signals
        Of models with one output.
    scale : Tensor [shape=(N,)] or None
        Factor on the learning rates.

    Returns
    -------
    y : Tensor [shape=(N, T, 1)]
    record : list of T // every Tensor [shape=(N, P)]
    """
    x, taps, every, w = signals.stream, signals.taps, signals.every, learner.vectors()
    mu = 2 * float(learner.optimizer.param_groups[0]["lr"])
    add_one = None if learner.model.bias is None else partial(nn.functional.pad, pad=(0, 1), value=1.0)
    job = Job(
        LMS.algorithm,
        x[:, taps - 1 :] if taps else add_one(x) if add_one else x,
        signals.d.squeeze(2),
        w,
        nn.functional.pad(x[:, : taps - 1], (1, 0)) if taps else w[:, :1],
        {},
        {"mu": mu if scale is None else mu * scale, "leak": 0.0},
        batch=(len(w),),
        filters=(len(w),),
        every=every,
        rows=taps is None,
        skip=True,
        features=add_one,
    )
    result = compiled.run(job, compiled.Workspace(job))
    learner.assign(_tensor(result.w))
    learner.optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler looks for
    return _tensor(result.y).unsqueeze(2), list(_tensor(result.record).unbind(1)) if every else []


_tensor = partial(torch.as_tensor, device="cpu")  # whatever torch's default device is
