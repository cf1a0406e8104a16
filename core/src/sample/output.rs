//! Where the pictures of a sampling job go: one grid, a folder of PNGs, or the `.npz` that the ADM
//! evaluation suite reads (`arr_0`, uint8, NHWC).
//!
//! A folder and an `.npz` outlive an interruption: a job file beside the pictures says how they were
//! drawn, and the same command goes on where the last one ended. The `.npz` grows as raw bytes in
//! `FILE.npz.partial` and is put together at the end.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data::npz;
use crate::error::{Error, Result};
use crate::run::Rgb8;
use crate::run::disk::write_atomically;
use crate::run::picture::grid;

/// The job file in a folder of pictures.
const JOB: &str = ".tandem-sample.json";
/// Pictures that a grid may have.
const MOST_IN_GRID: u64 = 4096;
const GAP_PX: usize = 2;
const BACKGROUND: [u8; 3] = [255; 3];

/// What a path on the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// One picture of all pictures: values rounded, as `save_image` does.
    Grid,
    /// An array: values truncated, as REPA-E writes samples.
    Npz,
    /// A PNG each, `000000.png` and on: values truncated.
    Folder,
}

impl OutputKind {
    /// `.png` is a grid, `.npz` an array, anything else a folder.
    pub fn of(path: &Path) -> Self {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("png") => Self::Grid,
            Some("npz") => Self::Npz,
            _ => Self::Folder,
        }
    }
}

/// An opened output.
pub struct Output {
    kind: OutputKind,
    path: PathBuf,
    num: u64,
    done: u64,
    px: usize,
    /// Pictures of a grid so far.
    shown: Vec<Rgb8>,
}

impl Output {
    /// Opens `path` for `num` squares of side `px`; `job` says all that the pictures depend on.
    ///
    /// # Errors
    /// A path that holds pictures of another job, or cannot be written; too many for a grid.
    pub fn open(path: &Path, num: u64, px: usize, job: &Value) -> Result<Self> {
        let kind = OutputKind::of(path);
        let mut output = Self { kind, path: path.to_path_buf(), num, done: 0, px, shown: Vec::new() };
        match kind {
            OutputKind::Grid if num > MOST_IN_GRID => {
                return Err(Error::Config(format!(
                    "{num} pictures are too many for one grid (at most {MOST_IN_GRID}): give --out a folder or FILE.npz"
                )));
            }
            OutputKind::Grid => {}
            OutputKind::Npz => {
                let partial = output.partial();
                output.check_job(&output.beside(".job.json"), partial.exists(), job)?;
                let length = fs::metadata(&partial).map_or(0, |found| found.len());
                output.done = (length / output.picture_bytes()).min(num);
            }
            OutputKind::Folder => {
                fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))?;
                output.check_job(&path.join(JOB), output.png(0).exists(), job)?;
                output.done = (0..num).take_while(|index| output.png(*index).exists()).count() as u64;
            }
        }
        Ok(output)
    }

    /// Pictures that are there already.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// What the path asked for.
    pub fn kind(&self) -> OutputKind {
        self.kind
    }

    /// Appends pictures, planar model values `[B, 3, px, px]`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&mut self, values: &[f32]) -> Result<()> {
        let size = 3 * self.px * self.px;
        match self.kind {
            OutputKind::Grid => {
                self.shown
                    .extend(values.chunks_exact(size).map(|p| Rgb8::from_planar_f32(p, self.px, self.px)));
            }
            OutputKind::Npz => {
                let bytes: Vec<u8> = self.truncated(values).into_iter().flat_map(|p| p.pixels).collect();
                let partial = self.partial();
                let failed = |e| Error::io("write", &partial, e);
                let mut file = File::options().create(true).append(true).open(&partial).map_err(failed)?;
                // A write that was cut short leaves part of a picture: it goes.
                file.set_len(self.done * self.picture_bytes()).map_err(failed)?;
                file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(failed)?;
            }
            OutputKind::Folder => {
                for (offset, picture) in self.truncated(values).iter().enumerate() {
                    picture.save_png(&self.png(self.done + offset as u64))?;
                }
            }
        }
        self.done += (values.len() / size) as u64;
        Ok(())
    }

    /// Puts the result together when all pictures are there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<()> {
        match self.kind {
            OutputKind::Grid => {
                let columns = (self.shown.len() as f64).sqrt().ceil() as usize;
                grid(&self.shown, columns, GAP_PX, BACKGROUND, 1).save_png(&self.path)
            }
            OutputKind::Npz => {
                let partial = self.partial();
                let file = File::open(&partial).map_err(|e| Error::io("read", &partial, e))?;
                let length = self.num * self.picture_bytes();
                let raw = BufReader::new(file).take(length);
                let shape = [self.num as usize, self.px, self.px, 3];
                npz::write_bytes(&self.path, "arr_0", &shape, raw)?;
                for leftover in [partial, self.beside(".job.json")] {
                    fs::remove_file(&leftover).map_err(|e| Error::io("remove", &leftover, e))?;
                }
                Ok(())
            }
            OutputKind::Folder => {
                let job = self.path.join(JOB);
                fs::remove_file(&job).map_err(|e| Error::io("remove", &job, e))
            }
        }
    }

    fn truncated(&self, values: &[f32]) -> Vec<Rgb8> {
        let bytes = crate::data::pixels::u8_truncated_from_f32(values);
        let size = 3 * self.px * self.px;
        bytes.chunks_exact(size).map(|p| Rgb8::from_planar_u8(p, self.px, self.px)).collect()
    }

    /// Pictures that lie there are of `job`, or there are none and the job is noted.
    fn check_job(&self, path: &Path, pictures_are_there: bool, job: &Value) -> Result<()> {
        if let Ok(text) = fs::read_to_string(path) {
            let same = serde_json::from_str::<Value>(&text).is_ok_and(|found| found == *job);
            if same {
                return Ok(());
            }
            let reason =
                "holds an unfinished sampling job with other settings; name another --out, or remove it";
            return Err(Error::file(&self.path, reason));
        }
        if pictures_are_there {
            return Err(Error::file(&self.path, "holds pictures already; name another --out"));
        }
        write_atomically(path, job.to_string().as_bytes())
    }

    fn picture_bytes(&self) -> u64 {
        3 * (self.px * self.px) as u64
    }

    fn png(&self, index: u64) -> PathBuf {
        self.path.join(format!("{index:06}.png"))
    }

    fn partial(&self) -> PathBuf {
        self.beside(".partial")
    }

    /// The path with `ending` after its name.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(ending);
        self.path.with_file_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Two-pixel squares whose every value is the picture's number over 100.
    fn pictures(numbers: std::ops::Range<u64>) -> Vec<f32> {
        numbers.flat_map(|n| vec![n as f32 / 100.0; 12]).collect()
    }

    #[test]
    fn an_array_goes_on_after_a_cut_and_ends_as_if_there_was_none() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, cut) = (dir.path().join("whole.npz"), dir.path().join("cut.npz"));
        let job = json!({"seed": 1});
        let mut output = Output::open(&whole, 5, 2, &job).unwrap();
        output.put(&pictures(0..5)).unwrap();
        output.finish().unwrap();
        let mut output = Output::open(&cut, 5, 2, &job).unwrap();
        output.put(&pictures(0..2)).unwrap();
        drop(output);
        let partial = dir.path().join("cut.npz.partial");
        // Half a picture more, as a kill in the middle of a write leaves it.
        File::options().append(true).open(&partial).unwrap().write_all(&[7; 5]).unwrap();
        assert!(Output::open(&cut, 5, 2, &json!({"seed": 2})).is_err());
        let mut output = Output::open(&cut, 5, 2, &job).unwrap();
        assert_eq!(output.done(), 2);
        output.put(&pictures(2..5)).unwrap();
        assert_eq!(fs::read(&partial).unwrap()[24], (255.0_f32 * (1.02 / 2.0)) as u8);
        output.finish().unwrap();
        assert_eq!(fs::read(&whole).unwrap(), fs::read(&cut).unwrap());
        assert!(!partial.exists());
    }

    #[test]
    fn a_folder_goes_on_and_refuses_another_job() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples");
        let job = json!({"seed": 1});
        let mut output = Output::open(&path, 3, 2, &job).unwrap();
        output.put(&pictures(0..2)).unwrap();
        drop(output);
        assert!(Output::open(&path, 3, 2, &json!({"seed": 2})).is_err());
        let mut output = Output::open(&path, 3, 2, &job).unwrap();
        assert_eq!(output.done(), 2);
        output.put(&pictures(2..3)).unwrap();
        output.finish().unwrap();
        let picture = image::open(path.join("000002.png")).unwrap().to_rgb8();
        assert_eq!((picture.dimensions(), picture.as_raw()[0]), ((2, 2), 130));
        let error = Output::open(&path, 3, 2, &job).err().unwrap().to_string();
        assert!(error.contains("holds pictures already"), "{error}");
    }

    #[test]
    fn a_grid_is_one_picture_and_has_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grid.PNG");
        let mut output = Output::open(&path, 4, 2, &Value::Null).unwrap();
        output.put(&pictures(0..4)).unwrap();
        output.finish().unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8().dimensions(), (10, 10));
        assert!(Output::open(&path, 5000, 2, &Value::Null).is_err());
    }
}
