//! A look at a source of pictures before training: counts, classes, problems, some pictures.

use std::sync::Arc;

use tandem_core::data::decode::decode_square;
use tandem_core::data::source::Listing;
use tandem_core::data::{DataSource, Problem};
use tandem_core::run::Rgb8;

use super::message::DataPeek;
use super::sheet::Sheet;

/// Pictures that are shown.
const THUMBS: usize = 24;
const THUMB_PX: usize = 64;

/// Looks at `source`; a source that cannot be used says why.
pub fn look(source: &str) -> DataPeek {
    let mut peek = DataPeek {
        source: source.into(),
        problem: None,
        counts: (0, 0),
        classes: Vec::new(),
        left_out: Vec::new(),
        thumbs: None,
    };
    let parsed = match source {
        "embedded" => DataSource::Embedded,
        path => DataSource::Path(path.into()),
    };
    let mut listing = match Listing::open(&parsed) {
        Ok(listing) => listing,
        Err(error) => return DataPeek { problem: Some(error.to_string()), ..peek },
    };
    peek.counts = (listing.train.len(), listing.held.len());
    let mut counts = vec![0; listing.classes.len()];
    listing.train.iter().for_each(|item| counts[item.label] += 1);
    peek.classes = listing.classes.iter().cloned().zip(counts).collect();
    peek.left_out = listing.left_out.iter().map(Problem::to_string).collect();
    let shown = listing.train.len().min(THUMBS);
    let mut pictures = Vec::new();
    for i in 0..shown {
        let item = &listing.train[i * listing.train.len() / shown];
        let square = listing.reader.read(&item.location).and_then(|bytes| decode_square(&bytes, THUMB_PX));
        match square {
            Ok(pixels) => pictures.push(Rgb8 { width: THUMB_PX, height: THUMB_PX, pixels }),
            Err(reason) => peek.left_out.push(format!("{}: {reason}", item.name)),
        }
    }
    peek.thumbs = (!pictures.is_empty()).then(|| Arc::new(Sheet::of_pictures(&pictures, 12)));
    peek
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_set_shows_classes_and_pictures_and_a_missing_folder_says_so() {
        let peek = look("embedded");
        assert!(peek.problem.is_none() && peek.counts.0 > 3000 && peek.classes.len() > 1);
        assert_eq!(peek.classes.iter().map(|(_, n)| n).sum::<usize>(), peek.counts.0);
        assert!(peek.thumbs.is_some());
        assert!(look("/no/such/folder").problem.is_some());
    }
}
