"""Settings that several tests of commands share."""

SMALL_RUN = [
    "data.num_sessions=2",
    "data.num_held_out=1",
    "data.minutes=2.5",
    "data.units=[8, 10]",
    "model.width=16",
    "model.num_heads=2",
    "model.num_latents=4",
    "training.max_epochs=1",
    "training.steps_per_epoch=4",
    "training.tokens_per_batch=1500",
    "training.accelerator=cpu",
    "reference.num_references=1",
    "evaluation.reference_s=30",
    "evaluation.fewest_spikes=100",
    "evaluation.observer.num_windows=4",
    "evaluation.observer.num_particles=50",
    "evaluation.observer.num_rollouts=10",
]
