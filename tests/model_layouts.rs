//! The layouts of published autoencoders: every name and shape, and the published files' exact sizes
//! (FORMATS.md), which check names, shapes, dtype and header.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tandem_core::files::Dtype;
use tandem_core::files::write::plan;
use tandem_core::formats::autoencoder::{Outlet, outlets};
use tandem_core::formats::naming::Naming;
use tandem_core::vae::{QwenConfig, Vae, VaeConfig};

/// Where the lists of names and shapes lie; a test without them fails unless it is waived.
fn lists() -> Option<PathBuf> {
    let folder = std::env::var_os("TANDEM_FORMATS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/formats"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("TANDEM_NO_FORMATS").is_some(), "no {} (set TANDEM_FORMATS)", folder.display());
    None
}

fn sd() -> VaeConfig {
    VaeConfig::plain(&[128, 256, 512, 512], 2, 4, 32, 256)
}

fn flux() -> VaeConfig {
    VaeConfig { latent_channels: 16, use_quant_conv: false, use_post_quant_conv: false, ..sd() }
}

fn f16d32() -> VaeConfig {
    let mut config = VaeConfig::plain(&[128, 128, 256, 256, 512], 2, 32, 32, 256);
    config.down_block_types[4] = "AttnDownEncoderBlock2D".into();
    config.up_block_types[0] = "AttnUpDecoderBlock2D".into();
    config
}

fn model(config: &VaeConfig) -> Vec<Outlet> {
    outlets(&Vae::unset(config, &tandem_core::device::cpu()).unwrap())
}

/// Size of a file with these tensors.
fn file_bytes(all: &[Outlet], dtype: Dtype, naming: Naming) -> usize {
    let outgoing: Vec<_> = all.iter().map(|o| o.outgoing(naming.stored(&o.name), dtype)).collect();
    plan(&outgoing).unwrap().header.len() + outgoing.iter().map(|t| t.bytes()).sum::<usize>()
}

#[test]
fn every_layout_has_the_names_and_shapes_of_the_published_one() {
    let Some(folder) = lists() else { return };
    let qwen = VaeConfig::of_qwen(QwenConfig::default());
    for (list, config) in [("sdvae", sd()), ("flux_sd35", flux()), ("f16d32", f16d32()), ("qwen", qwen)] {
        let text = std::fs::read_to_string(folder.join(format!("tensors_{list}.txt"))).unwrap();
        let expected: BTreeMap<String, String> = text
            .lines()
            .map(|line| line.split_once('\t').unwrap())
            .map(|(name, shape)| (name.to_string(), shape.to_string()))
            .collect();
        let found: BTreeMap<String, String> =
            model(&config).iter().map(|o| (o.name.clone(), format!("{:?}", o.shape))).collect();
        assert_eq!(found, expected, "{list}");
    }
}

#[test]
fn files_have_the_published_sizes_to_the_byte() {
    let qwen = VaeConfig::of_qwen(QwenConfig::default());
    let cases = [
        ("sd-vae-ft-mse", sd(), Dtype::F32, Naming::Legacy, 334_643_276),
        ("sd-vae, saved anew", sd(), Dtype::F32, Naming::Diffusers, 334_643_268),
        ("SD3", flux(), Dtype::F32, Naming::Diffusers, 335_306_212),
        ("SD3 f16", flux(), Dtype::F16, Naming::Diffusers, 167_666_654),
        ("FLUX.1", flux(), Dtype::BF16, Naming::Diffusers, 167_666_902),
        ("Qwen-Image", qwen.clone(), Dtype::BF16, Naming::Qwen, 253_806_966),
        ("Wan2.1", qwen, Dtype::F32, Naming::Qwen, 507_591_892),
        ("f16d32", f16d32(), Dtype::F32, Naming::Diffusers, 279_382_964),
    ];
    for (name, config, dtype, naming, bytes) in cases {
        assert_eq!(file_bytes(&model(&config), dtype, naming), bytes, "{name}");
    }
    let plain = VaeConfig {
        down_block_types: vec!["DownEncoderBlock2D".into(); 5],
        up_block_types: vec!["UpDecoderBlock2D".into(); 5],
        ..f16d32()
    };
    let all = model(&plain);
    assert_eq!((all.len(), file_bytes(&all, Dtype::F32, Naming::Diffusers)), (292, 258_344_180));
}
