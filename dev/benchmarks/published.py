"""What `train_published` does inside, in parts that can be timed."""

import keras
import numpy as np

import definitions as notebook

SEED = 7


def build(size, every_step):
    """Return the published network, ready to learn."""
    stack = notebook.build_published_lstm(size)
    network = notebook.rebuild(stack, every_step, SEED)
    optimizer = keras.optimizers.Adamax(notebook.LEARNING_RATE)
    loss = "sparse_categorical_crossentropy"
    network.compile(optimizer, loss, jit_compile=False)
    return network


def batch_size(every_step):
    """Return how many windows an update learns from."""
    return notebook.BATCH_SIZE // 4 if every_step else notebook.BATCH_SIZE


def make_windows(sequences):
    """Return the windows of some sequences, each with the event behind it."""
    return notebook.Windows(sequences, notebook.SEQUENCE_LENGTH + 1)


def deal_batches(windows, size, every_step, generator):
    """Yield the inputs and targets of each update of an epoch."""
    stride = notebook.SEQUENCE_LENGTH if every_step else 1
    order = notebook.deal_windows(len(windows), stride, generator)
    for start in range(0, len(order), batch_size(every_step)):
        chosen = order[start : start + batch_size(every_step)]
        tokens = windows.cut(chosen)["token"]
        inputs = notebook.scale_tokens(tokens[:, :-1], size)
        yield inputs, tokens[:, 1:] if every_step else tokens[:, -1]


def update(network, windows, size, count):
    """Make so many updates of whole batches, the epoch over again if it is short."""
    while count:
        generator = np.random.default_rng(SEED)
        for inputs, targets in deal_batches(windows, size, True, generator):
            if count and len(inputs) == batch_size(True):
                network.train_on_batch(inputs, targets)
                count -= 1
