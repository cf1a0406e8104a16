//! Several runs on one page: what differs between them, figures in one table, curves on shared
//! charts, sample grids side by side. The same as one picture in [`super::raster`].

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Curve, SCRIPT, STYLE, chart, escaped, raster};
use crate::error::Result;
use crate::run::disk::write_atomically;
use crate::run::picture::Rgb8;

/// What only this page needs.
const MORE_STYLE: &str = include_str!("comparison.css");

/// What a comparison shows; every text is plain and is escaped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ComparisonPage {
    /// Names of the runs, in the order of all that follows.
    pub runs: Vec<String>,
    /// What differs in their configurations, in one sentence.
    pub sentence: String,
    /// Figures: a name and one text for each run.
    pub figures: Vec<(String, Vec<String>)>,
    /// Curves over steps, then over seconds; those of one group share a chart, one for each run.
    pub charts: Vec<SharedChart>,
    /// Sample grids side by side.
    pub grids: Vec<SharedGrids>,
}

/// One quantity of all runs that have it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SharedChart {
    /// What is drawn.
    pub title: String,
    /// Whether the picture shows it too.
    pub is_main: bool,
    /// What it is drawn over: "step", "s".
    pub unit: &'static str,
    /// A curve for each run that has points; runs keep their colours.
    pub curves: Vec<(usize, Curve)>,
}

/// The samples of all runs at comparable moments.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SharedGrids {
    /// "At equal steps (240)".
    pub title: String,
    /// Run, caption, picture.
    pub pictures: Vec<(usize, String, Rgb8)>,
}

impl ComparisonPage {
    /// The page as text.
    ///
    /// # Errors
    /// A picture of no size.
    pub fn html(&self) -> Result<String> {
        let title = escaped(&format!("{} compared", self.runs.join(", ")));
        let charts: String =
            self.charts.iter().map(|c| chart::figure_over(&c.title, c.unit, &c.curves)).collect();
        let grids = self.grids.iter().map(grids_html).collect::<Result<String>>()?;
        Ok(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{STYLE}{MORE_STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n\
             <p class=\"kicker\">Tandem comparison</p>\n<h1>{title}</h1>\n<p>{sentence}</p>\n</header>\n\
             <section>\n{table}</section>\n<section>\n<h2>Curves</h2>\n<div class=\"charts\">\n{charts}</div>\n\
             </section>\n<section>\n<h2>Samples</h2>\n{grids}</section>\n\
             <footer>Written by Tandem {version}</footer>\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            sentence = escaped(&self.sentence),
            table = self.table_html(),
            version = env!("CARGO_PKG_VERSION"),
        ))
    }

    /// Writes the page to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses, or as [`ComparisonPage::html`].
    pub fn save_html(&self, path: &Path) -> Result<()> {
        write_atomically(path, self.html()?.as_bytes())
    }

    /// Charts and samples as one picture.
    pub fn picture(&self) -> Rgb8 {
        raster::comparison(self)
    }

    fn table_html(&self) -> String {
        let cells =
            |texts: &[String]| texts.iter().map(|t| format!("<td>{}</td>", escaped(t))).collect::<String>();
        let row = |(name, values): &(String, Vec<String>)| {
            format!("<tr><th scope=\"row\">{}</th>{}</tr>\n", escaped(name), cells(values))
        };
        let head: String = self
            .runs
            .iter()
            .enumerate()
            .map(|(run, name)| {
                format!(
                    "<th scope=\"col\" class=\"c{}\"><i></i>{}</th>",
                    run % chart::NUM_COLOURS,
                    escaped(name)
                )
            })
            .collect();
        let rows: String = self.figures.iter().map(row).collect();
        format!("<div class=\"compared\"><table>\n<tr><td></td>{head}</tr>\n{rows}</table></div>\n")
    }
}

fn grids_html(grids: &SharedGrids) -> Result<String> {
    let mut html = format!("<h3>{}</h3>\n<div class=\"grids\">\n", escaped(&grids.title));
    for (run, caption, picture) in &grids.pictures {
        let data = STANDARD.encode(picture.png_bytes()?);
        let (class, caption) = (run % chart::NUM_COLOURS, escaped(caption));
        html.push_str(&format!(
            "<figure class=\"preview\"><figcaption class=\"c{class}\"><h3><i></i>{caption}</h3></figcaption>\
             <div class=\"frames\"><img alt=\"{caption}\" src=\"data:image/png;base64,{data}\"></div></figure>\n"
        ));
    }
    html.push_str("</div>\n");
    Ok(html)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn page() -> ComparisonPage {
        let curve = |name: &str, slope: f64| Curve {
            name: name.into(),
            points: (0..50).map(|x| (f64::from(x), 1.0 + slope * f64::from(x))).collect(),
            group: String::new(),
        };
        let picture = Rgb8::filled(40, 30, [10, 20, 30]);
        ComparisonPage {
            runs: vec!["a<b".into(), "two".into()],
            sentence: "The runs differ in method: repa-e, naive.".into(),
            figures: vec![("PSNR".into(), vec!["20.1".into(), "–".into()])],
            charts: vec![SharedChart {
                title: "Denoising loss".into(),
                is_main: true,
                unit: "step",
                curves: vec![(0, curve("a<b", 0.1)), (1, curve("two", -0.01))],
            }],
            grids: vec![SharedGrids {
                title: "At equal steps".into(),
                pictures: vec![(0, "a<b".into(), picture.clone()), (1, "two".into(), picture)],
            }],
        }
    }

    #[test]
    fn the_page_holds_all_it_shows_and_escapes_it() {
        let html = page().html().unwrap();
        assert!(html.contains("a&lt;b") && !html.contains("a<b"));
        assert!(html.contains("The runs differ in method") && html.contains("<td>20.1</td>"));
        assert_eq!(html.matches("data:image/png").count(), 2);
        assert!(!html.contains("http"), "nothing from elsewhere");
    }
}
