//! Curves: smoothing and thinning, and one chart.

use std::collections::BTreeSet;

use egui::{Button, Color32, RichText, Ui, Vec2, Vec2b, WidgetInfo, accesskit::Role};
use egui_plot::{GridMark, HoverPosition, Line, LineStyle, Plot, PlotPoint, PlotPoints, VLine};

use super::super::figures;
use super::super::history::{Axis, History, When};
use super::super::theme::palette;

/// Points of a curve that are drawn at most; a screen has no more columns.
const MAX_POINTS: usize = 800;

/// A curve to draw.
pub struct Curve<'a> {
    /// Its name in the legend.
    pub name: String,
    /// Colour.
    pub colour: Color32,
    /// Its points.
    pub thin: &'a Decimated,
    /// Draw the values before smoothing too, faintly.
    pub raw: bool,
    /// Where it was measured: what is read at the pointer are measured values, not smoothed ones.
    pub history: &'a History,
    /// The metric.
    pub metric: &'a str,
}

/// How a curve is made of its values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Style {
    /// Tells apart what its points are taken from: last step and axis.
    pub source: u64,
    /// Share of the past.
    pub smoothing: f64,
    /// Logarithms of the values.
    pub log: bool,
}

/// The exponential average with `keep` of the past, without its bias towards zero; a value that is
/// not finite leaves a gap.
pub fn smoothed(points: impl Iterator<Item = [f64; 2]>, keep: f64) -> Vec<[f64; 2]> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let average = |[x, y]: [f64; 2]| {
        if !y.is_finite() {
            return [x, f64::NAN];
        }
        sum = keep * sum + (1.0 - keep) * y;
        weight = keep * weight + (1.0 - keep);
        [x, sum / weight]
    };
    points.map(average).collect()
}

/// A curve thinned to what a chart can show, computed anew only when something changed.
#[derive(Debug, Default)]
pub struct Decimated {
    key: Option<(usize, Style)>,
    /// As drawn.
    points: Vec<PlotPoint>,
    /// Before smoothing.
    raw: Vec<PlotPoint>,
}

impl Decimated {
    /// Brings the points up to date; `len` is their number.
    pub fn update(&mut self, len: usize, style: Style, points: impl Iterator<Item = [f64; 2]>) {
        let key = Some((len, style));
        if self.key == key {
            return;
        }
        self.key = key;
        let all: Vec<_> = points.collect();
        let shown = |points: &[[f64; 2]]| -> Vec<PlotPoint> {
            let finite =
                thinned(points).into_iter().filter(|p| p[1].is_finite() && (!style.log || p[1] > 0.0));
            finite.map(|[x, y]| PlotPoint::new(x, if style.log { y.log10() } else { y })).collect()
        };
        self.points = shown(&smoothed(all.iter().copied(), style.smoothing));
        self.raw = if style.smoothing > 0.0 { shown(&all) } else { Vec::new() };
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// Keeps the least and the greatest value of each stretch, so that no peak is lost.
fn thinned(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let stretch = points.len().div_ceil(MAX_POINTS / 2).max(1);
    if stretch <= 2 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(MAX_POINTS + 2);
    for part in points.chunks(stretch) {
        let finite = || part.iter().filter(|p| p[1].is_finite());
        let least = finite().min_by(|a, b| a[1].total_cmp(&b[1]));
        let greatest = finite().max_by(|a, b| a[1].total_cmp(&b[1]));
        match (least, greatest) {
            (Some(a), Some(b)) if a[0] <= b[0] => kept.extend([*a, *b]),
            (Some(a), Some(b)) => kept.extend([*b, *a]),
            _ => kept.push(part[0]),
        }
    }
    kept
}

/// All curves at the measured row that is nearest to `x`; a value of another row names its step.
fn reading(curves: &[&Curve<'_>], axis: Axis, x: f64) -> String {
    let found: Vec<_> = curves.iter().map(|curve| curve.history.nearest(curve.metric, axis, x)).collect();
    let away = |when: &When| (when.on(axis) - x).abs();
    let rows = found.iter().flatten().map(|(when, _)| *when);
    let Some(row) = rows.min_by(|a, b| away(a).total_cmp(&away(b))) else { return String::new() };
    let mut text = match axis {
        Axis::Step => format!("step {}", figures::count(row.step)),
        Axis::Time => format!("{}, step {}", figures::duration(row.wall_s), figures::count(row.step)),
        Axis::Images => format!("{} images", figures::count(row.images)),
    };
    for (curve, found) in curves.iter().zip(found) {
        let Some((when, value)) = found else { continue };
        text.push_str(&format!("\n{} {}", curve.name, figures::value(value)));
        if when.step != row.step {
            text.push_str(&format!(" (step {})", figures::count(when.step)));
        }
    }
    text
}

/// The curves' names in their colours, above the chart, where they hide nothing; a click takes a curve
/// off or puts it back. Returns those that are shown.
fn legend_ui<'a>(ui: &mut Ui, id: &str, curves: &'a [Curve<'a>]) -> Vec<&'a Curve<'a>> {
    if curves.len() < 2 {
        return curves.iter().collect();
    }
    let key = ui.scope_id().with((id, "hidden"));
    let mut hidden: BTreeSet<String> = ui.data(|data| data.get_temp(key)).unwrap_or_default();
    let p = palette(ui.visuals());
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::new(12.0, 0.0);
        ui.spacing_mut().button_padding = Vec2::ZERO;
        ui.spacing_mut().interact_size.y = 18.0;
        for curve in curves {
            let on = !hidden.contains(&curve.name);
            // The blanks leave room for the dot.
            let words = RichText::new(format!("    {}", curve.name)).small();
            let words = words.color(if on { p.text } else { p.quiet });
            let button = ui.add(Button::new(words).frame(false));
            let dot = button.rect.left_center() + Vec2::new(5.0, 0.5);
            ui.painter().circle_filled(dot, 4.0, if on { curve.colour } else { p.line });
            button.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, on, &curve.name));
            if button.on_hover_text(if on { "Hide" } else { "Show" }).clicked() && !hidden.remove(&curve.name)
            {
                hidden.insert(curve.name.clone());
            }
        }
    });
    let shown = curves.iter().filter(|curve| !hidden.contains(&curve.name)).collect();
    ui.data_mut(|data| data.insert_temp(key, hidden));
    shown
}

/// A mark on the horizontal axis: position, words, colour.
pub type PlotMark = (f64, String, Color32);

/// One chart of `curves`. Returns where it was drawn.
pub fn chart_ui(
    ui: &mut Ui,
    id: &str,
    height: f32,
    curves: &[Curve<'_>],
    marks: &[PlotMark],
    (log, x_axis): (bool, Axis),
) -> egui::Rect {
    let shown = legend_ui(ui, id, curves);
    let curves = shown.as_slice();
    let axis = move |mark: GridMark, _: &std::ops::RangeInclusive<f64>| {
        figures::value(if log { 10f64.powf(mark.value) } else { mark.value })
    };
    let ends =
        curves.iter().flat_map(|curve| [curve.thin.points.first(), curve.thin.points.last()]).flatten();
    let (low, high) = ends.fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(p.x), high.max(p.x)));
    // Marks this close to the pointer are named.
    let reach = 0.01 * (high - low).max(0.0);
    let hover = |position: &HoverPosition<'_>| {
        let x = match position {
            HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position } => {
                position.x
            }
        };
        let mut text = reading(curves, x_axis, x);
        let near = marks.iter().filter(|(at, ..)| (at - x).abs() <= reach);
        near.for_each(|(_, words, _)| text.push_str(&format!("\n{words}")));
        Some(text)
    };
    let grid = palette(ui.visuals()).line.gamma_multiply(0.7);
    let plot = Plot::new(id)
        .height(height)
        .allow_scroll(false)
        .show_grid(Vec2b::TRUE)
        .y_axis_formatter(axis)
        .x_axis_formatter(|mark, _| figures::value(mark.value))
        .label_formatter(hover)
        .grid_color(grid)
        .show_background(false);
    let response = plot.show(ui, |plot| {
        for (x, _, colour) in marks {
            // Without a name, so that it stays out of the legend.
            plot.vline(VLine::new("", *x).color(*colour).width(1.0).style(LineStyle::dashed_loose()));
        }
        for curve in curves.iter().filter(|curve| curve.raw) {
            let line = Line::new(curve.name.clone(), PlotPoints::from(curve.thin.raw.as_slice()));
            plot.line(line.color(curve.colour.gamma_multiply(0.25)).width(1.0).allow_hover(false));
        }
        for curve in curves {
            let line = Line::new(curve.name.clone(), PlotPoints::from(curve.thin.points.as_slice()));
            plot.line(line.color(curve.colour).width(1.8));
        }
    });
    response.response.rect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_every_peak_and_the_order() {
        let mut points: Vec<_> = (0..100_000).map(|i| [f64::from(i), (f64::from(i) * 0.01).sin()]).collect();
        points[70_001][1] = 50.0;
        points[30_000][1] = f64::NAN;
        let thin = thinned(&points);
        assert!(thin.len() <= MAX_POINTS + 2 && thin.contains(&[70_001.0, 50.0]));
        assert!(thin.windows(2).all(|pair| pair[0][0] <= pair[1][0]));
        assert_eq!(thinned(&points[..100]), points[..100]);
    }

    #[test]
    fn smoothing_starts_at_the_first_value_and_leaves_gaps() {
        let points = [[0.0, 4.0], [1.0, f64::NAN], [2.0, 4.0], [3.0, 8.0]];
        let smooth = smoothed(points.into_iter(), 0.9);
        assert!(
            (smooth[0][1] - 4.0).abs() < 1e-12 && smooth[1][1].is_nan() && (smooth[2][1] - 4.0).abs() < 1e-12
        );
        assert!(smooth[3][1] > 4.0 && smooth[3][1] < 8.0);
        assert_eq!(smoothed(points.into_iter(), 0.0)[3], points[3]);
    }
}
