//! The smallest run there is, for tests that need many.

/// Settings of a run whose step takes milliseconds: 16 px, both networks as narrow as they go.
pub const TINY: [&str; 18] = [
    "data.image_px=16",
    "vae.channels=[8,8]",
    "vae.groups=4",
    "sit.width=16",
    "sit.depth=1",
    "sit.heads=1",
    "sit.mlp_ratio=1",
    "align.depth=1",
    "align.projector=8",
    "loss.perceptual_px=32",
    "discriminator.width=4",
    "discriminator.layers=1",
    "optim.schedule=constant",
    "train.batch=2",
    "preview.pinned=1",
    "preview.samples=1",
    "preview.sample_steps=1",
    "train.checkpoint_every=1000000",
];
