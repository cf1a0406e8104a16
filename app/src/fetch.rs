//! `tandem fetch`: brings a model from the Hugging Face hub into the standard cache.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::hub::{Fetch, HubSettings, Progress, RepoName, fetch};

use crate::progress::{Transfer, answer};

/// Options.
#[derive(Args)]
pub struct FetchArgs {
    /// The model: OWNER/NAME, or OWNER/NAME@REVISION.
    repository: String,
    /// Only files whose path matches (`*` is any run of characters); may be given several times.
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Fetches and tells where the model lies.
pub fn run(args: &FetchArgs) -> Result<()> {
    let what = Fetch { repo: RepoName::parse(&args.repository)?, include: args.include.clone() };
    let began = Instant::now();
    let mut shown = Transfer::new();
    let outcome = fetch(&what, &HubSettings::from_env(), &mut |progress| match progress {
        Progress::Listed { files } => shown.say(&format!("{}: {files} files", what.repo)),
        Progress::File { path, have, total } => shown.begin(&path, have, total),
        Progress::Bytes(bytes) => shown.add(bytes),
        Progress::Cut { reason } => shown.say(&format!("{reason}; going on")),
        Progress::Done { path } => shown.done(&path),
    });
    shown.end();
    let fetched = outcome?;
    if args.json {
        answer(
            &json!({ "folder": fetched.folder, "commit": fetched.commit, "files": fetched.files,
            "received_bytes": fetched.received_bytes, "seconds": began.elapsed().as_secs_f64() })
            .to_string(),
        );
    } else {
        answer(&format!("{}", fetched.folder.display()));
    }
    Ok(())
}
