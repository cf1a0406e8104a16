//! The one switch between what Tandem trains: REPA-E and the methods it is compared with.

use serde::{Deserialize, Serialize};

/// What is trained, and how the gradients flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Autoencoder and transformer together, joined by alignment (REPA-E).
    RepaE,
    /// Transformer alone, with alignment, on a frozen autoencoder (REPA).
    Repa,
    /// Transformer alone, without alignment (SiT).
    Vanilla,
    /// Both together with the diffusion loss let into the autoencoder: exists to show the collapse.
    Naive,
    /// The autoencoder alone.
    Vae,
}

impl Method {
    /// All methods, in the order help shows them.
    pub const ALL: [Self; 5] = [Self::RepaE, Self::Repa, Self::Vanilla, Self::Naive, Self::Vae];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::RepaE => "repa-e",
            Self::Repa => "repa",
            Self::Vanilla => "vanilla",
            Self::Naive => "naive",
            Self::Vae => "vae",
        }
    }

    /// Whether the autoencoder (and with it the discriminator) is trained.
    pub fn trains_vae(self) -> bool {
        matches!(self, Self::RepaE | Self::Naive | Self::Vae)
    }

    /// Whether the transformer is trained.
    pub fn trains_sit(self) -> bool {
        self != Self::Vae
    }

    /// Whether teacher features are used.
    pub fn aligns(self) -> bool {
        matches!(self, Self::RepaE | Self::Repa | Self::Naive)
    }
}
