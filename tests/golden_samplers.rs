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
use tandem_core::params;
use tandem_core::sample::{SampleConfig, Solver, sample};
use tandem_core::sit::{Path, Sit};

#[test]
fn golden_samplers_follow_the_reference() {
    let case = Golden::open("samplers.safetensors");
    let config = case.sit_config("/geometry/sit");
    for (device_name, device) in devices() {
        let mut sit = Sit::new(&config, 0, &device).unwrap();
        params::load(&mut sit, &case.below("w"), str::to_string, &device).unwrap();
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
