//! `tandem inspect`: what a file or folder is.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tandem_core::device;
use tandem_core::formats::inspect::{Inspection, inspect};

use crate::progress::answer;

/// What to look at.
#[derive(Args)]
pub struct InspectArgs {
    /// A run folder, a diffusers folder, a .safetensors or a .pt.
    path: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Looks and tells.
pub fn run(args: &InspectArgs) -> Result<()> {
    let found = inspect(&args.path, &device::cpu())?;
    if args.json {
        answer(&serde_json::to_string(&found)?);
    } else {
        tell(&found);
    }
    Ok(())
}

fn tell(found: &Inspection) {
    answer(&found.what);
    found.architecture.iter().for_each(|line| answer(&format!("  {line}")));
    let dtypes: Vec<_> = found.dtypes.iter().map(|(dtype, values)| format!("{values} {dtype}")).collect();
    answer(&format!("{} tensors, {} parameters ({})", found.tensors, found.parameters, dtypes.join(", ")));
    for (name, part) in &found.parts {
        let wrong =
            if part.not_finite > 0 { format!(", {} not finite", part.not_finite) } else { String::new() };
        answer(&format!(
            "  {name}: {} tensors, {} values, mean {:.4}, std {:.4}, {:.4} to {:.4}{wrong}",
            part.tensors, part.values, part.mean, part.std, part.min, part.max
        ));
    }
    for (what, names) in [("missing", &found.missing), ("unknown", &found.unknown)] {
        if !names.is_empty() {
            answer(&format!("{} {what}: {}", names.len(), names.join(", ")));
        }
    }
    found.problems.iter().for_each(|problem| answer(&format!("problem: {problem}")));
}
