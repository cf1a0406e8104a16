//! Which class each picture of a sampling job shows.

use rand::RngExt;

use super::noise::{Stream, rng};
use crate::error::{Error, Result};

/// How labels are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelChoice {
    /// The classes in turn: equally many of each, as the published figures have them.
    Equal,
    /// Drawn for each picture, from (seed, number of the picture).
    Random,
}

/// The labels of a job.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Labels {
    classes: Vec<usize>,
    choice: LabelChoice,
}

impl Labels {
    /// Of `classes`, which are among the `known` first; none given means all.
    ///
    /// # Errors
    /// A class that does not exist.
    pub fn new(classes: Vec<usize>, known: usize, choice: LabelChoice) -> Result<Self> {
        if let Some(wrong) = classes.iter().find(|class| **class >= known) {
            return Err(Error::Config(format!(
                "class {wrong} does not exist: the model has classes 0 to {}",
                known.saturating_sub(1)
            )));
        }
        let classes = if classes.is_empty() { (0..known).collect() } else { classes };
        if classes.is_empty() {
            return Err(Error::Config("the model has no classes to sample".into()));
        }
        Ok(Self { classes, choice })
    }

    /// The label of picture `index`.
    pub fn label(&self, index: u64, seed: u64) -> usize {
        let count = self.classes.len();
        match self.choice {
            LabelChoice::Equal => self.classes[(index % count as u64) as usize],
            LabelChoice::Random => self.classes[rng(seed, Stream::Label(index)).random_range(0..count)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_labels_take_turns_and_random_ones_depend_on_seed_and_number_alone() {
        let equal = Labels::new(vec![4, 2], 5, LabelChoice::Equal).unwrap();
        assert_eq!((0..5).map(|i| equal.label(i, 9)).collect::<Vec<_>>(), [4, 2, 4, 2, 4]);
        let random = Labels::new(vec![], 3, LabelChoice::Random).unwrap();
        let draw = |seed| (0..300).map(|i| random.label(i, seed)).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((0..3).all(|class| draw(1).iter().filter(|label| **label == class).count() > 70));
    }

    #[test]
    fn classes_that_do_not_exist_are_refused() {
        assert!(Labels::new(vec![5], 5, LabelChoice::Equal).unwrap_err().to_string().contains("0 to 4"));
        assert!(Labels::new(vec![], 0, LabelChoice::Equal).is_err());
    }
}
