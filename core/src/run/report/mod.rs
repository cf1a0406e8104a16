//! `report.html`: what was trained, how it went and how it looks, on one page.
//!
//! The page holds everything it shows: style and script inline, curves as SVG drawn here, previews
//! as base64 PNG. It reads without its script too (last frames, no hover), and follows the reader's
//! light or dark preference.

mod chart;
mod comparison;
mod raster;

pub use comparison::{ComparisonPage, SharedChart, SharedGrids};

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::disk::write_atomically;
use crate::error::Result;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Frames of a group on the page.
const MAX_FRAMES: usize = 24;
/// PNG bytes of a group on the page; fewer frames where they are large.
const MAX_GROUP_BYTES: usize = 6 << 20;

/// What a report shows; every text is plain and is escaped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Heading, "REPA-E, nano".
    pub title: String,
    /// Figures in reading order: ("PSNR", "24.1 dB"), ("Device", "CPU, 2 threads").
    pub summary: Vec<(String, String)>,
    /// The run's `config.toml`.
    pub config_text: String,
    /// Curves over steps.
    pub curves: Vec<Curve>,
    /// Previews over time.
    pub previews: Vec<PreviewGroup>,
}

/// One curve of a chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// (step, value), by step; values that are not finite leave a gap.
    pub points: Vec<(f64, f64)>,
    /// Curves of one group share a chart, which bears the group's name.
    pub group: String,
}

/// Pictures of one kind at several steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PreviewGroup {
    /// "Samples".
    pub name: String,
    /// (step, bytes of a PNG), by step.
    pub frames: Vec<(u64, Vec<u8>)>,
}

impl Report {
    /// The page as text.
    pub fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n\
             <p class=\"kicker\">Tandem training report</p>\n<h1>{title}</h1>\n</header>\n"
        );
        page.push_str(&self.summary_html());
        page.push_str(&self.previews_html());
        page.push_str(&self.curves_html());
        page.push_str(&config_html(&self.config_text));
        page.push_str(&format!(
            "<footer>Written by Tandem {}</footer>\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        ));
        page
    }

    /// Writes the page to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_atomically(path, self.html().as_bytes())
    }

    fn summary_html(&self) -> String {
        if self.summary.is_empty() {
            return String::new();
        }
        let figure = |(name, value): &(String, String)| {
            // Long texts (a device's name) take two places, so that figures stay large.
            let class = if value.chars().count() > 14 { " class=\"wide\"" } else { "" };
            format!("<div{class}><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value))
        };
        let figures: String = self.summary.iter().map(figure).collect();
        format!("<dl class=\"figures\">\n{figures}</dl>\n")
    }

    fn curves_html(&self) -> String {
        let mut groups: Vec<(&str, Vec<&Curve>)> = Vec::new();
        for curve in self.curves.iter().filter(|curve| chart::has_points(curve)) {
            match groups.iter_mut().find(|(name, _)| *name == curve.group) {
                Some((_, curves)) => curves.push(curve),
                None => groups.push((&curve.group, vec![curve])),
            }
        }
        if groups.is_empty() {
            return String::new();
        }
        let charts: String = groups.iter().map(|(name, curves)| chart::figure(name, curves)).collect();
        format!("<section>\n<h2>Curves</h2>\n<div class=\"charts\">\n{charts}</div>\n</section>\n")
    }

    fn previews_html(&self) -> String {
        let groups: String =
            self.previews.iter().filter(|g| !g.frames.is_empty()).map(preview_html).collect();
        if groups.is_empty() {
            return String::new();
        }
        format!("<section>\n<h2>Previews</h2>\n<div class=\"previews\">\n{groups}</div>\n</section>\n")
    }
}

/// One group: its last picture, and a slider over the others that the script brings to life.
fn preview_html(group: &PreviewGroup) -> String {
    let frames = chosen_frames(&group.frames);
    let last = frames.len() - 1;
    let name = escaped(&group.name);
    let mut html = format!("<figure class=\"preview\">\n<figcaption><h3>{name}</h3>");
    html.push_str(&format!("<output>step {}</output></figcaption>\n<div class=\"frames\">", frames[last].0));
    for (index, (step, png)) in frames.iter().enumerate() {
        let hidden = if index == last { "" } else { " hidden" };
        let data = STANDARD.encode(png);
        html.push_str(&format!(
            "<img{hidden} data-step=\"{step}\" alt=\"{name}, step {step}\" src=\"data:image/png;base64,{data}\">\n"
        ));
    }
    html.push_str("</div>\n");
    if last > 0 {
        html.push_str(&format!(
            "<input type=\"range\" min=\"0\" max=\"{last}\" value=\"{last}\" step=\"1\" aria-label=\"Step of {name}\">\n"
        ));
    }
    html.push_str("</figure>\n");
    html
}

/// At most 24 frames, evenly chosen with the first and last among them, fewer where they are large.
fn chosen_frames(frames: &[(u64, Vec<u8>)]) -> Vec<&(u64, Vec<u8>)> {
    let mut count = frames.len().min(MAX_FRAMES);
    loop {
        let last = (count.max(2) - 1) as f64;
        let place = |index: usize| (index as f64 * (frames.len() - 1) as f64 / last).round() as usize;
        let chosen: Vec<_> = match count {
            0 | 1 => frames.last().into_iter().collect(),
            _ => (0..count).map(|index| &frames[place(index)]).collect(),
        };
        if count <= 1 || chosen.iter().map(|(_, png)| png.len()).sum::<usize>() <= MAX_GROUP_BYTES {
            return chosen;
        }
        count -= 1;
    }
}

/// The configuration as tables, one for each `[section]`; lines that are no `key = value` stay text.
fn config_html(text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    let (mut tables, mut rows, mut heading) = (String::new(), String::new(), String::new());
    let close = |heading: &str, rows: &str| match rows {
        "" => String::new(),
        _ => format!("<div>{heading}<table>\n{rows}</table></div>\n"),
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            tables.push_str(&close(&heading, &rows));
            heading = format!("<h3>{}</h3>", escaped(section.trim_matches(['[', ']'])));
            rows.clear();
        } else if let Some((key, value)) = line.split_once('=') {
            let (key, value) = (escaped(key.trim()), escaped(value.trim()));
            rows.push_str(&format!("<tr><th scope=\"row\">{key}</th><td>{value}</td></tr>\n"));
        } else {
            rows.push_str(&format!("<tr><td colspan=\"2\">{}</td></tr>\n", escaped(line)));
        }
    }
    tables.push_str(&close(&heading, &rows));
    format!("<section>\n<h2>Configuration</h2>\n<div class=\"config\">\n{tables}</div>\n</section>\n")
}

/// Text for HTML, inside elements and quoted attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, group: &str) -> Curve {
        let points = (0..5000).map(|step| (f64::from(step), 1.0 / f64::from(step + 1))).collect();
        Curve { name: name.into(), group: group.into(), points }
    }

    #[test]
    fn every_text_is_escaped() {
        let evil = "<script>alert('\"&')</script>".to_string();
        let report = Report {
            title: evil.clone(),
            summary: vec![(evil.clone(), evil.clone())],
            config_text: format!("[{evil}]\n{evil} = {evil}\n{evil}"),
            curves: vec![curve(&evil, &evil)],
            previews: vec![PreviewGroup { name: evil.clone(), frames: vec![(1, vec![1]), (2, vec![2])] }],
        };
        let html = report.html();
        assert!(!html.contains("<script>alert") && !html.contains("alert('"));
        assert_eq!((html.matches("<script").count(), html.matches("</script>").count()), (1, 1));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let html = Report { title: "t".into(), curves: vec![curve("a", "b")], ..Report::default() }.html();
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("@import"));
    }

    #[test]
    fn long_runs_make_pages_of_bounded_size() {
        let frames = (0..500).map(|step| (step, vec![0; 100])).collect();
        let previews = vec![PreviewGroup { name: "Samples".into(), frames }];
        let report = Report { curves: vec![curve("a", "b")], previews, ..Report::default() };
        let html = report.html();
        assert_eq!(html.matches("<img").count(), MAX_FRAMES);
        assert!(html.contains("data-step=\"0\"") && html.contains("data-step=\"499\""));
        assert!(html.len() < 100_000, "{}", html.len());
        let large: Vec<_> = (0..10).map(|step| (step, vec![0; 1 << 20])).collect();
        assert_eq!(
            chosen_frames(&large).iter().map(|(step, _)| *step).collect::<Vec<_>>(),
            [0, 2, 4, 5, 7, 9]
        );
        let huge = [(1, vec![0; 7 << 20]), (2, vec![0; 7 << 20])];
        assert_eq!(chosen_frames(&huge)[0].0, 2);
    }

    #[test]
    fn an_empty_report_is_still_a_page_and_a_save_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.html");
        Report::default().save(&path).unwrap();
        let html = std::fs::read_to_string(path).unwrap();
        assert!(html.ends_with("</html>\n") && !html.contains("<section>"));
    }

    #[test]
    fn config_lines_become_rows_under_their_section() {
        let html = config_html("# note\nseed = 1\n[sit]\ndepth = 6\nodd\n");
        assert!(html.contains("<th scope=\"row\">seed</th><td>1</td>") && html.contains("<h3>sit</h3>"));
        assert!(html.contains("<td colspan=\"2\">odd</td>") && !html.contains("note"));
        assert_eq!(config_html(" \n"), "");
    }
}
