//! Every hand-written operation against its reference in plain tensor operations: value and
//! gradients, odd sizes and single elements, on the CPU and on a software Vulkan adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod differences;
mod losses;
mod norms;
mod optimizer;
mod parity;
mod pointwise;
mod products;
#[path = "../support/mod.rs"]
mod support;
