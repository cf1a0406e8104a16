//! `tandem compare`: several runs side by side.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::engine::compare;

use crate::progress::{answer, line};

/// What to compare.
#[derive(Args)]
pub struct CompareArgs {
    /// Run folders.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The page to write; a PNG of the same name is written beside it.
    #[arg(long, default_value = "comparison.html")]
    out: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Compares, writes and tells.
pub fn run(args: &CompareArgs) -> Result<()> {
    let page = compare(&args.runs)?;
    let (html, png) = (args.out.with_extension("html"), args.out.with_extension("png"));
    page.save_html(&html)?;
    page.picture().save_png(&png)?;
    if args.json {
        let figures: serde_json::Map<String, serde_json::Value> =
            page.figures.iter().map(|(name, values)| (name.clone(), json!(values))).collect();
        answer(
            &json!({ "runs": page.runs, "differences": page.sentence, "figures": figures, "html": html, "png": png })
                .to_string(),
        );
    } else {
        let wide = page.figures.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let column = page.runs.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(12);
        let row = |name: &str, values: &[String]| {
            let cells: String = values.iter().map(|value| format!("  {value:>column$}")).collect();
            answer(&format!("{name:<wide$}{cells}"));
        };
        row("", &page.runs);
        page.figures.iter().for_each(|(name, values)| row(name, values));
        answer(&page.sentence);
    }
    line(&format!("wrote {} and {}", html.display(), png.display()));
    Ok(())
}
