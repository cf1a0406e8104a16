//! What a run has measured so far: rows by step, series by name, and marks on the way.

use std::collections::BTreeMap;

use tandem_core::run::Row;

/// When a value was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct When {
    /// Steps done.
    pub step: u64,
    /// Seconds of training.
    pub wall_s: f64,
    /// Pictures seen.
    pub images: u64,
}

/// What the horizontal axis counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Axis {
    /// Training steps.
    #[default]
    Step,
    /// Seconds of training.
    Time,
    /// Pictures seen.
    Images,
}

impl When {
    /// The position on `axis`.
    pub fn on(&self, axis: Axis) -> f64 {
        match axis {
            Axis::Step => self.step as f64,
            Axis::Time => self.wall_s,
            Axis::Images => self.images as f64,
        }
    }
}

/// Something that happened at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A checkpoint was written.
    Checkpoint,
    /// The step was dropped: a value was not finite.
    Skipped,
    /// A person changed a value: `key=value`.
    Changed(String),
    /// The colours of the maps were fitted anew.
    Refit,
}

/// Values of one metric: row number and value, in order.
pub type Series = Vec<(u32, f64)>;

/// Everything measured in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// When each row was measured.
    pub rows: Vec<When>,
    /// Values by metric.
    pub series: BTreeMap<String, Series>,
    /// Marks by step, in order of arrival.
    pub marks: Vec<(u64, Mark)>,
}

impl History {
    /// Of the rows of a log.
    pub fn of(rows: Vec<Row>) -> Self {
        let mut history = Self::default();
        for row in rows {
            let when = When { step: row.step, wall_s: row.wall_s, images: row.images };
            history.push(when, row.values.iter().map(|(name, value)| (name.as_str(), *value)));
        }
        history
    }

    /// Adds a row; a value that is not finite makes it a skipped step.
    pub fn push<'a>(&mut self, when: When, values: impl Iterator<Item = (&'a str, f64)>) {
        let row = self.rows.len() as u32;
        self.rows.push(when);
        let mut finite = true;
        for (name, value) in values {
            finite &= value.is_finite();
            match self.series.get_mut(name) {
                Some(series) => series.push((row, value)),
                None => {
                    self.series.insert(name.into(), vec![(row, value)]);
                }
            }
        }
        if !finite {
            self.mark(when.step, Mark::Skipped);
        }
    }

    /// Adds a mark, once.
    pub fn mark(&mut self, step: u64, mark: Mark) {
        if !self.marks.iter().rev().take(64).any(|(s, m)| *s == step && *m == mark) {
            self.marks.push((step, mark));
        }
    }

    /// Forgets what came after `step`: the run goes on from there.
    pub fn cut_after(&mut self, step: u64) {
        let keep = self.rows.iter().position(|row| row.step > step).unwrap_or(self.rows.len());
        self.rows.truncate(keep);
        for series in self.series.values_mut() {
            let keep = series.partition_point(|(row, _)| (*row as usize) < keep);
            series.truncate(keep);
        }
        self.series.retain(|_, series| !series.is_empty());
        self.marks.retain(|(at, _)| *at <= step);
    }

    /// The newest value of a metric.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.series.get(name)?.last().map(|(_, value)| *value)
    }

    /// The newest values of a metric, oldest first.
    pub fn tail(&self, name: &str, count: usize) -> &[(u32, f64)] {
        let series = self.series.get(name).map_or(&[][..], Vec::as_slice);
        &series[series.len().saturating_sub(count)..]
    }

    /// The value of a metric at the last row that is not after `step`.
    pub fn at(&self, name: &str, step: u64) -> Option<f64> {
        let series = self.series.get(name)?;
        let after = series.partition_point(|(row, _)| self.rows[*row as usize].step <= step);
        series[..after].last().map(|(_, value)| *value)
    }

    /// The row of a metric that lies nearest to `x` on `axis`, and its value.
    pub fn nearest(&self, name: &str, axis: Axis, x: f64) -> Option<(When, f64)> {
        let series = self.series.get(name)?;
        let at = |index: usize| self.rows[series[index].0 as usize];
        let after = series.partition_point(|(row, _)| self.rows[*row as usize].on(axis) <= x);
        let beside = [after.checked_sub(1), (after < series.len()).then_some(after)];
        let away = |index: &usize| (at(*index).on(axis) - x).abs();
        let index = beside.into_iter().flatten().min_by(|a, b| away(a).total_cmp(&away(b)))?;
        Some((at(index), series[index].1))
    }

    /// Steps that were dropped.
    pub fn num_skipped(&self) -> usize {
        self.marks.iter().filter(|(_, mark)| *mark == Mark::Skipped).count()
    }

    /// All rows as comma-separated values, a column for each metric.
    pub fn csv(&self) -> String {
        let mut text = String::from("step,wall_s,images");
        self.series.keys().for_each(|name| text.extend([",", name]));
        let mut next: Vec<_> = self.series.values().map(|series| series.iter().peekable()).collect();
        for (index, row) in self.rows.iter().enumerate() {
            text.push_str(&format!("\n{},{},{}", row.step, row.wall_s, row.images));
            for series in &mut next {
                text.push(',');
                if let Some((_, value)) = series.next_if(|(at, _)| *at as usize == index) {
                    text.push_str(&value.to_string());
                }
            }
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        for step in 1..=5u64 {
            let when = When { step, wall_s: step as f64 * 0.5, images: step * 32 };
            let value = if step == 3 { f64::NAN } else { step as f64 };
            history.push(when, [("a", value)].into_iter().chain((step == 4).then_some(("b", 9.0))));
        }
        history
    }

    #[test]
    fn values_are_found_by_step_and_a_value_that_is_not_finite_marks_its_step() {
        let history = history();
        assert_eq!(history.last("a"), Some(5.0));
        assert_eq!(
            (history.at("a", 2), history.at("b", 3), history.at("b", 9)),
            (Some(2.0), None, Some(9.0))
        );
        let near = |x| history.nearest("b", Axis::Step, x).map(|(when, value)| (when.step, value));
        assert_eq!((near(0.0), near(9.0)), (Some((4, 9.0)), Some((4, 9.0))));
        assert_eq!(history.nearest("a", Axis::Time, 0.8).unwrap().0.step, 2);
        assert!(history.nearest("c", Axis::Step, 1.0).is_none());
        assert_eq!(history.marks, [(3, Mark::Skipped)]);
        assert_eq!(history.rows[1].on(Axis::Images), 64.0);
    }

    #[test]
    fn a_run_that_goes_back_forgets_what_came_after() {
        let mut history = history();
        history.cut_after(2);
        assert_eq!((history.rows.len(), history.num_skipped(), history.last("a")), (2, 0, Some(2.0)));
        assert!(!history.series.contains_key("b"));
    }

    #[test]
    fn csv_has_a_column_for_each_metric_and_a_line_for_each_row() {
        let csv = history().csv();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines[0], "step,wall_s,images,a,b");
        assert_eq!((lines[1], lines[4]), ("1,0.5,32,1,", "4,2,128,4,9"));
    }
}
