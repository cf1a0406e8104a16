//! Statistics of a reference as `.npz`: `mu`, `sigma`, `mu_s`, `sigma_s`, as pytorch-fid and the ADM
//! evaluation suite have them.
//!
//! Ours also hold `num` and the `kept` samples, for KID and precision and recall; other programs
//! pass them over. A file without them gives Fréchet distances alone.

use std::path::Path;

use super::moments::Moments;
use super::set::FeatureSet;
use crate::data::npz::{NpzFile, write_floats};
use crate::error::{Error, Result};

/// Writes the statistics of `set`.
///
/// # Errors
/// When the disk refuses.
pub fn save(path: &Path, set: &FeatureSet) -> Result<()> {
    let width = set.width();
    let kept: Vec<f64> = set.kept.iter().map(|x| f64::from(*x)).collect();
    let sigma = set.pooled.covariance(1);
    let spatial =
        set.spatial.as_ref().map(|moments| (moments.width(), moments.mean(), moments.covariance(1)));
    let num = [set.count() as f64];
    let mut arrays = vec![
        ("mu", vec![width], set.pooled.mean()),
        ("sigma", vec![width, width], sigma.as_slice()),
        ("num", vec![1], num.as_slice()),
        ("kept", vec![set.num_kept(), width], kept.as_slice()),
    ];
    if let Some((wide, mean, covariance)) = &spatial {
        arrays.push(("mu_s", vec![*wide], mean));
        arrays.push(("sigma_s", vec![*wide, *wide], covariance));
    }
    write_floats(path, &arrays)
}

/// Whether the file holds statistics, not pictures.
///
/// # Errors
/// A file that cannot be read or is no archive.
pub fn are_in(path: &Path) -> Result<bool> {
    Ok(NpzFile::open(path)?.names().iter().any(|name| name == "mu"))
}

/// Reads statistics; `width` is that of the judge's features.
///
/// # Errors
/// A file without `mu` and `sigma`, or of features of another width.
pub fn load(path: &Path, width: usize) -> Result<FeatureSet> {
    let mut file = NpzFile::open(path)?;
    let num = file.floats("num")?.and_then(|(_, values)| values.first().copied());
    let num = num.filter(|n| *n >= 2.0).map(|n| n as u64);
    let Some(pooled) = moments(&mut file, path, ["mu", "sigma"], num)? else {
        return Err(Error::file(path, format!("has no mu and sigma, but {}", file.names().join(", "))));
    };
    if pooled.width() != width {
        let reason = format!(
            "holds statistics of features {} wide, this judge's are {width} wide: they are of another network",
            pooled.width()
        );
        return Err(Error::file(path, reason));
    }
    let spatial = moments(&mut file, path, ["mu_s", "sigma_s"], num)?;
    let kept = match file.floats("kept")? {
        Some((shape, values)) if shape.len() == 2 && shape[1] == width => {
            values.iter().map(|x| *x as f32).collect()
        }
        _ => Vec::new(),
    };
    Ok(FeatureSet::of_statistics(pooled, spatial, kept))
}

fn moments(file: &mut NpzFile, path: &Path, names: [&str; 2], num: Option<u64>) -> Result<Option<Moments>> {
    let (Some((mean_shape, mean)), Some((shape, covariance))) =
        (file.floats(names[0])?, file.floats(names[1])?)
    else {
        return Ok(None);
    };
    let width = mean.len();
    if mean_shape.len() != 1 || shape != [width, width] {
        let reason = format!("{} has shape {mean_shape:?} and {} {shape:?}", names[0], names[1]);
        return Err(Error::file(path, reason));
    }
    Ok(Some(Moments::from_parts(num, mean, covariance)))
}

#[cfg(test)]
mod tests {
    use super::super::judge::Features;
    use super::*;

    #[test]
    fn statistics_come_back_and_foreign_ones_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.npz");
        let mut set = FeatureSet::new(5);
        let pooled = (0..10).map(|i| (i * i % 7) as f32).collect();
        let spatial = (0..15).map(|i| (i * i % 11) as f32).collect();
        set.add(&Features { pooled, width: 2, spatial, logits: None }).unwrap();
        save(&path, &set).unwrap();
        let back = load(&path, 2).unwrap();
        assert_eq!((back.count(), &back.kept), (5, &set.kept));
        let close = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-12);
        assert!(close(back.pooled.covariance(1), set.pooled.covariance(1)));
        assert!(close(back.spatial.unwrap().covariance(1), set.spatial.unwrap().covariance(1)));
        assert!(load(&path, 3).unwrap_err().to_string().contains("another network"));
        write_floats(&path, &[("mu", vec![2], &[0.0, 1.0])]).unwrap();
        assert!(load(&path, 2).unwrap_err().to_string().contains("no mu and sigma"));
        write_floats(&path, &[("mu", vec![2], &[0.0, 1.0]), ("sigma", vec![4], &[0.0; 4])]).unwrap();
        assert!(load(&path, 2).unwrap_err().to_string().contains("sigma [4]"));
        let sigma = [1.0, 0.0, 0.0, 2.0];
        write_floats(&path, &[("mu", vec![2], &[0.0, 1.0]), ("sigma", vec![2, 2], &sigma)]).unwrap();
        let foreign = load(&path, 2).unwrap();
        assert_eq!((foreign.count(), foreign.pooled.covariance(1)), (0, sigma.to_vec()));
    }
}
