//! Euler, Heun and Euler–Maruyama against the reference: every input the network saw, and the
//! final state; on the CPU and on a software adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::Tensor;
use support::{Golden, devices};
use tandem_core::error::Result;
use tandem_core::params::{self, TensorSource};
use tandem_core::sample::{SampleConfig, Solver, sample};
use tandem_core::sit::{Path, Sit, SitConfig};

struct Stored<'a>(&'a Golden);

impl TensorSource for Stored<'_> {
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        self.0.file.tensor(&format!("w.{name}"))
    }
}

#[test]
fn golden_samplers_follow_the_reference() {
    let case = Golden::open("samplers.safetensors");
    let at = |key: &str| case.usize_at(&format!("/geometry/sit/{key}"));
    let config = SitConfig {
        input_size: at("input_size"),
        patch_size: at("patch_size"),
        in_channels: at("in_channels"),
        hidden_size: at("hidden_size"),
        depth: at("depth"),
        num_heads: at("num_heads"),
        mlp_ratio: 4.0,
        num_classes: at("num_classes"),
        encoder_depth: at("encoder_depth"),
        z_dims: case.usizes_at("/geometry/sit/z_dims"),
        projector_dim: at("projector_dim"),
        qk_norm: case.at("/geometry/sit/qk_norm").as_bool().unwrap(),
        bn_momentum: 0.1,
    };
    for (device_name, device) in devices() {
        let mut sit = Sit::new(&config, 0, &device).unwrap();
        params::load(&mut sit, &Stored(&case), str::to_string, &device).unwrap();
        let labels = case.labels("y");
        for (name, run) in case.at("/runs").as_object().unwrap() {
            eprintln!("{name} on {device_name}");
            let number = |key: &str| run[key].as_f64().unwrap();
            let solver = match run.get("heun").and_then(|h| h.as_bool()) {
                Some(true) => Solver::Heun,
                Some(false) => Solver::Euler,
                None => Solver::Sde,
            };
            let path =
                run.get("path_type").map_or(Path::Linear, |p| serde_json::from_value(p.clone()).unwrap());
            let config = SampleConfig {
                solver,
                steps: number("num_steps") as usize,
                cfg: number("cfg_scale"),
                interval: (number("guidance_low"), number("guidance_high")),
                path,
            };
            let draws: Tensor<5> = case.tensor("sde_noise", &device);
            let draw = |i| draws.clone().narrow(0, i, 1).squeeze_dim::<4>(0);
            let mut inputs = Vec::new();
            let end = sample(&sit, case.tensor("latents", &device), &labels, config, draw, |x| {
                inputs.push(x.clone().unsqueeze::<5>());
            });
            case.check(&format!("inputs.{name}"), Tensor::cat(inputs, 0), 1.0);
            case.check(name, end, 1.0);
        }
    }
}
