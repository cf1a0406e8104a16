//! One line chart as SVG, with its legend and the numbers that the page's script shows on hover.

use serde_json::json;

use super::{Curve, escaped};

/// Points of a curve on the page.
const MAX_POINTS: usize = 1000;
/// Curves of so many points also get a smooth line, of so many.
const LONG_CURVE: usize = 300;
const SMOOTH_POINTS: usize = 250;
/// The drawing, in SVG units: whole size, and the sides of the plot within it.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 264.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 548.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 232.0;
/// Colours in `page.css`; a chart with more curves starts over.
pub(super) const NUM_COLOURS: usize = 6;

/// True when the curve has something to draw.
pub(super) fn has_points(curve: &Curve) -> bool {
    curve.points.iter().any(|(x, y)| x.is_finite() && y.is_finite())
}

/// The chart of `curves`, at least one of which has points, under the heading `name`.
pub(super) fn figure(name: &str, curves: &[&Curve]) -> String {
    let curves: Vec<_> = curves.iter().enumerate().map(|(index, curve)| (index, (*curve).clone())).collect();
    figure_over(name, "step", &curves)
}

/// The chart of curves over `unit`, each with the number of its colour; empty without points.
pub(super) fn figure_over(name: &str, unit: &str, curves: &[(usize, Curve)]) -> String {
    let series: Vec<Vec<(f64, f64)>> = curves.iter().map(|(_, curve)| decimated(&curve.points)).collect();
    if !curves.iter().any(|(_, curve)| has_points(curve)) {
        return String::new();
    }
    let frame = Frame::around(&series);
    let (mut lines, mut legend) = (String::new(), String::new());
    for ((index, curve), points) in curves.iter().zip(&series) {
        let class = format!("c{}", index % NUM_COLOURS);
        let label = escaped(&curve.name);
        let title = format!("<title>{label}</title>");
        let smooth = smoothed(&curve.points);
        let raw = if smooth.is_empty() { "" } else { " raw" };
        lines.push_str(&format!(
            "<path class=\"line {class}{raw}\" d=\"{}\">{title}</path>\n",
            frame.path(points)
        ));
        if !smooth.is_empty() {
            lines.push_str(&format!("<path class=\"line {class}\" d=\"{}\"/>\n", frame.path(&smooth)));
        }
        let last = points.iter().rev().find(|(_, y)| y.is_finite()).map_or(0.0, |(_, y)| *y);
        let value = number_text(last);
        legend.push_str(&format!("<li class=\"{class}\"><i></i>{label}<b>{value}</b></li>\n"));
    }
    let name = escaped(name);
    let data = json!({
        "plot": [LEFT, RIGHT, TOP, BOTTOM],
        "x": [frame.x0, frame.x1],
        "y": [frame.y0, frame.y1],
        "unit": unit,
        "series": curves.iter().zip(&series).map(|((_, curve), points)| json!({
            "name": curve.name,
            "points": points.iter().map(|(x, y)| json!([x, rounded(*y)])).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    let data = escaped(&data.to_string());
    format!(
        "<figure class=\"chart\" data-chart=\"{data}\">\n<figcaption><h3>{name}</h3>\n<ul>{legend}</ul></figcaption>\n\
         <div class=\"plot\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name} over {unit}\">\n\
         {axes}{lines}</svg></div>\n</figure>\n",
        axes = frame.axes(unit)
    )
}

/// What is drawn of a curve: its smooth line if it is long.
pub(super) fn drawn(curve: &Curve) -> Vec<(f64, f64)> {
    let smooth = smoothed(&curve.points);
    if smooth.is_empty() { decimated(&curve.points) } else { smooth }
}

/// The ranges shown, in the curves' own units.
pub(super) struct Frame {
    pub x0: f64,
    pub x1: f64,
    pub y0: f64,
    pub y1: f64,
}

impl Frame {
    /// All of x; of y what the curves need without their rarest outliers (a first step may be a
    /// hundred times larger than the rest).
    pub(super) fn around(series: &[Vec<(f64, f64)>]) -> Self {
        let points = || series.iter().flatten().filter(|(x, y)| x.is_finite() && y.is_finite());
        let x0 = points().map(|p| p.0).fold(f64::INFINITY, f64::min);
        let x1 = points().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
        let mut values: Vec<f64> = points().map(|p| p.1).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
        let (low, high) = (values[0], values[values.len() - 1]);
        let (inner_low, inner_high) = (at(0.01), at(0.99));
        let reach = 0.35 * (inner_high - inner_low);
        let y0 = if inner_low - low > reach { inner_low - reach / 3.0 } else { low };
        let y1 = if high - inner_high > reach { inner_high + reach / 3.0 } else { high };
        let pad = if y1 > y0 { 0.06 * (y1 - y0) } else { 0.5 * y1.abs().max(1e-6) };
        // A quantity that is never negative starts at zero rather than just below.
        let floor = if y0 >= 0.0 && y0 - pad < 0.0 { 0.0 } else { y0 - pad };
        Self { x0, x1: if x1 > x0 { x1 } else { x0 + 1.0 }, y0: floor, y1: y1 + pad }
    }

    /// Where a point lies, as shares from left and from below.
    pub(super) fn share(&self, x: f64, y: f64) -> (f64, f64) {
        // Outliers run along the edge instead of out of the picture.
        let up = ((y - self.y0) / (self.y1 - self.y0)).clamp(0.0, 1.0);
        ((x - self.x0) / (self.x1 - self.x0), up)
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let (across, up) = self.share(x, y);
        (LEFT + across * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP))
    }

    /// The curve as an SVG path; values that are not finite leave a gap.
    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut pen_down = false;
        for (index, (x, y)) in points.iter().enumerate() {
            if !x.is_finite() || !y.is_finite() {
                pen_down = false;
                continue;
            }
            let (across, up) = self.place(*x, *y);
            path.push_str(&format!("{}{across:.1} {up:.1}", if pen_down { "L" } else { "M" }));
            let is_alone = !pen_down && points.get(index + 1).is_none_or(|(_, next)| !next.is_finite());
            if is_alone {
                // A line of no length is drawn as a dot by its round ends.
                path.push_str("h0");
            }
            pen_down = true;
        }
        path
    }

    fn axes(&self, unit: &str) -> String {
        let mut svg = String::from("<g class=\"axes\">\n");
        for y in ticks(self.y0, self.y1, 5) {
            let up = self.place(self.x0, y).1;
            svg.push_str(&format!(
                "<path d=\"M{LEFT} {up:.1}H{RIGHT}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 8.0,
                up + 4.0,
                number_text(y)
            ));
        }
        for x in ticks(self.x0, self.x1, 6) {
            let across = self.place(x, self.y0).0;
            // The last label would be cut at the edge.
            let anchor = if across > RIGHT - 16.0 { "end" } else { "middle" };
            svg.push_str(&format!(
                "<text x=\"{across:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>\n",
                BOTTOM + 22.0,
                number_text(x)
            ));
        }
        let (left, down) = (LEFT - 8.0, BOTTOM + 22.0);
        svg.push_str(&format!("<text x=\"{left}\" y=\"{down}\" text-anchor=\"end\">{unit}</text>\n"));
        svg.push_str(&format!("<path class=\"base\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>\n</g>\n"));
        svg
    }
}

/// Round numbers from `low` to `high`, about `count` of them: steps of 1, 2 or 5 times a power of ten.
pub(super) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return Vec::new();
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (low / step).ceil();
    let count = ((high / step).floor() - first).clamp(-1.0, 20.0) as i64;
    (0..=count).map(|index| (first + index as f64) * step).collect()
}

/// A number in at most four digits or so: `1200`, `12k`, `0.0031`, `2.5e-7`.
pub(super) fn number_text(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if !value.is_finite() => return "–".into(),
        _ if size < 1e-12 => return "0".into(),
        _ if size >= 1e9 => return format!("{value:.1e}"),
        _ if size >= 1e6 => return format!("{}M", trimmed(format!("{:.2}", value / 1e6))),
        _ if size >= 1e4 => return format!("{}k", trimmed(format!("{:.1}", value / 1e3))),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.3}"),
        _ if size >= 1e-3 => format!("{value:.4}"),
        _ => return format!("{value:.1e}"),
    };
    trimmed(text)
}

/// Without zeros at the end of its decimals.
fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// Six significant digits, for the hover text; null in JSON when not finite.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Means over a fiftieth of a long curve around each of 250 places, drawn over the curve itself;
/// nothing for a short one.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() < LONG_CURVE {
        return Vec::new();
    }
    let reach = points.len() / 100;
    let mean = |place: usize| {
        let index = place * (points.len() - 1) / (SMOOTH_POINTS - 1);
        // The same reach to both sides, so that the ends do not lag; a gap stays a gap.
        let reach = reach.min(index).min(points.len() - 1 - index);
        let around = || points[index - reach..=index + reach].iter().filter(|(_, y)| y.is_finite());
        let sum: f64 = around().map(|(_, y)| y).sum();
        let is_gap = !points[index].1.is_finite();
        (points[index].0, if is_gap { f64::NAN } else { sum / around().count() as f64 })
    };
    (0..SMOOTH_POINTS).map(mean).collect()
}

/// At most a thousand points: the lowest and highest of equal stretches, so that spikes stay.
fn decimated(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let buckets = MAX_POINTS / 2 - 1;
    let inner = &points[1..points.len() - 1];
    let mut kept = vec![points[0]];
    for bucket in 0..buckets {
        let stretch = &inner[bucket * inner.len() / buckets..(bucket + 1) * inner.len() / buckets];
        let order = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let finite = || stretch.iter().filter(|(_, y)| y.is_finite());
        match (finite().min_by(order), finite().max_by(order)) {
            (Some(low), Some(high)) if low == high => kept.push(*low),
            (Some(low), Some(high)) if low.0 < high.0 => kept.extend([*low, *high]),
            (Some(low), Some(high)) => kept.extend([*high, *low]),
            // Nothing finite in the whole stretch: the gap is real.
            _ => kept.extend(stretch.first()),
        }
    }
    kept.push(points[points.len() - 1]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 1000.0, 5), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(ticks(-0.11, 0.12, 5), [-0.1, -0.05, 0.0, 0.05, 0.1]);
        assert!(ticks(1.0, 1.0, 5).is_empty() && ticks(0.0, f64::NAN, 5).is_empty());
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (1200.0, "1200"),
            (12_000.0, "12k"),
            (1_500_000.0, "1.5M"),
            (0.25, "0.25"),
            (-3.0, "-3"),
        ];
        for (value, text) in cases {
            assert_eq!(number_text(value), text);
        }
        assert_eq!((number_text(2.5e-7).as_str(), number_text(f64::NAN).as_str()), ("2.5e-7", "–"));
    }

    #[test]
    fn decimation_keeps_ends_spikes_and_order() {
        let mut points: Vec<(f64, f64)> =
            (0..50_000).map(|x| (f64::from(x), (f64::from(x) * 0.01).sin())).collect();
        points[33_333].1 = 99.0;
        points[12_345].1 = f64::NAN;
        let kept = decimated(&points);
        assert!(kept.len() <= MAX_POINTS && kept.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[49_999]));
        assert!(kept.contains(&(33_333.0, 99.0)));
    }

    #[test]
    fn smoothing_follows_the_mean_and_keeps_gaps() {
        let mut points: Vec<(f64, f64)> = (0..1000).map(|x| (f64::from(x), f64::from(x % 2))).collect();
        points[400..600].iter_mut().for_each(|p| p.1 = f64::NAN);
        let smooth = smoothed(&points);
        assert!((smooth[60].1 - 0.5).abs() < 0.03 && smooth[125].1.is_nan());
        assert_eq!((smooth[0].0, smooth[SMOOTH_POINTS - 1].0), (0.0, 999.0));
        assert!(smoothed(&points[..200]).is_empty());
    }

    #[test]
    fn gaps_single_points_and_flat_curves_are_drawn_within_the_plot() {
        let curve =
            |points: &[(f64, f64)]| Curve { name: "a".into(), points: points.to_vec(), group: "g".into() };
        for points in [
            &[(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)][..],
            &[(5.0, 5.0)],
            &[(0.0, 0.0), (1.0, 0.0)],
            &[(0.0, -1e30), (1.0, 1e30)],
        ] {
            let curve = curve(points);
            assert!(has_points(&curve));
            let html = figure("g", &[&curve]);
            assert!(!html.contains("NaN") && !html.contains("inf\""), "{html}");
        }
        assert!(!has_points(&curve(&[(0.0, f64::INFINITY)])));
    }

    #[test]
    fn a_first_outlier_does_not_flatten_the_rest() {
        let mut points: Vec<(f64, f64)> =
            (0..500).map(|x| (f64::from(x), 1.0 + 0.1 * f64::from(x % 7))).collect();
        points[0].1 = 500.0;
        assert!(Frame::around(&[points]).y1 < 5.0);
    }
}
