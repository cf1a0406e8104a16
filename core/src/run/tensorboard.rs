//! TensorBoard event files: TFRecord frames around hand-encoded protobuf `Event` messages.
//!
//! A frame is length (u64), masked CRC-32C of the length, the message, masked CRC-32C of the
//! message. The messages need six fields, so no protobuf library is used. Layout from TensorFlow's
//! `event.proto` and `summary.proto`.

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// Writes scalars and pictures for TensorBoard.
///
/// A write that fails loses its event and nothing else: the file is cut back to whole frames first.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: std::path::PathBuf,
    whole_bytes: u64,
}

impl EventWriter {
    /// Starts a new event file in `folder`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(folder: &Path) -> Result<Self> {
        let mut seconds = unix_seconds() as u64;
        if let Some(newest) = newest_file_seconds(folder)? {
            // TensorBoard reads a folder's files in name order.
            seconds = seconds.max(newest + 1);
        }
        loop {
            let path = folder.join(format!("events.out.tfevents.{seconds:010}.tandem"));
            match File::create_new(&path) {
                Ok(file) => {
                    let mut writer = Self { file, path, whole_bytes: 0 };
                    let version = field_bytes(3, b"brain.Event:2");
                    writer.write_event(0, &version)?;
                    return Ok(writer);
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => seconds += 1,
                Err(e) => return Err(Error::io("create", path, e)),
            }
        }
    }

    /// Starts a new event file that makes TensorBoard forget every step after `step`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn resume(folder: &Path, step: u64) -> Result<Self> {
        let mut writer = Self::create(folder)?;
        // A session log with status START at a step drops what older files say from there on.
        let session_log = field_bytes(7, &field_varint(1, 1));
        writer.write_event(step + 1, &session_log)?;
        Ok(writer)
    }

    /// Adds one value to each named curve.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn scalars<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut message = field_bytes(1, tag.as_bytes());
            message.push(2 << 3 | 5);
            message.extend_from_slice(&(value as f32).to_le_bytes());
            summary.extend(field_bytes(1, &message));
        }
        self.write_event(step, &field_bytes(5, &summary))
    }

    /// Adds an RGB picture, already a PNG, of `width`×`height` pixels.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn image(&mut self, step: u64, tag: &str, png: &[u8], width: usize, height: usize) -> Result<()> {
        let picture = [
            field_varint(1, height as u64),
            field_varint(2, width as u64),
            field_varint(3, 3),
            field_bytes(4, png),
        ];
        let value = [field_bytes(1, tag.as_bytes()), field_bytes(4, &picture.concat())].concat();
        self.write_event(step, &field_bytes(5, &field_bytes(1, &value)))
    }

    /// One event: wall time, step and an already encoded `what`.
    fn write_event(&mut self, step: u64, what: &[u8]) -> Result<()> {
        let mut event = vec![1 << 3 | 1];
        event.extend_from_slice(&unix_seconds().to_le_bytes());
        event.extend(field_varint(2, step));
        event.extend_from_slice(what);
        let frame = frame(&event);
        let written = self
            .file
            .set_len(self.whole_bytes)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.whole_bytes)))
            .and_then(|_| self.file.write_all(&frame));
        written.map_err(|e| Error::io("append to", &self.path, e))?;
        self.whole_bytes += frame.len() as u64;
        Ok(())
    }
}

/// A message in its TFRecord frame.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let length_crc = masked_crc32c(&length).to_le_bytes();
    [&length[..], &length_crc, message, &masked_crc32c(message).to_le_bytes()].concat()
}

/// A length-delimited protobuf field.
fn field_bytes(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    push_varint(&mut field, bytes.len() as u64);
    field.extend_from_slice(bytes);
    field
}

/// An integer protobuf field.
fn field_varint(number: u8, value: u64) -> Vec<u8> {
    let mut field = vec![number << 3];
    push_varint(&mut field, value);
    field
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), a byte at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32c_table();
    !bytes.iter().fold(u32::MAX, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const fn crc32c_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// The largest time in the names of event files in `folder`.
fn newest_file_seconds(folder: &Path) -> Result<Option<u64>> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("list", folder, e))?;
    let mut newest = None;
    for entry in entries {
        let name = entry.map_err(|e| Error::io("list", folder, e))?.file_name();
        let name = name.to_string_lossy();
        let seconds =
            name.strip_prefix("events.out.tfevents.").and_then(|rest| rest.split('.').next()?.parse().ok());
        newest = newest.max(seconds);
    }
    Ok(newest)
}

/// Seconds since 1970.
fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a file into messages, checking both sums of each frame.
    fn messages(path: &Path) -> Vec<Vec<u8>> {
        let bytes = fs::read(path).unwrap();
        let (mut at, mut found) = (0, Vec::new());
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(word(at + 8), masked_crc32c(&bytes[at..at + 8]));
            let message = &bytes[at + 12..at + 12 + length];
            assert_eq!(word(at + 12 + length), masked_crc32c(message));
            found.push(message.to_vec());
            at += 16 + length;
        }
        found
    }

    #[test]
    fn crc32c_gives_the_published_values() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_ne!(crc32c(b"123456788"), 0xe306_9283);
    }

    #[test]
    fn a_scalar_is_encoded_as_the_proto_says() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(dir.path()).unwrap();
        writer.scalars(300, [("loss", 1.0)]).unwrap();
        let found = messages(&writer.path);
        assert_eq!(found[0][9..], *b"\x10\x00\x1a\x0dbrain.Event:2");
        assert_eq!(found[1][9..], *b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x80\x3f");
    }

    #[test]
    fn a_resumed_run_starts_a_later_file_with_a_purge() {
        let dir = tempfile::tempdir().unwrap();
        let first = EventWriter::create(dir.path()).unwrap();
        let second = EventWriter::resume(dir.path(), 5).unwrap();
        assert!(second.path > first.path);
        assert_eq!(messages(&second.path)[1][9..], *b"\x10\x06\x3a\x02\x08\x01");
    }

    #[test]
    fn half_a_frame_is_cut_off_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(dir.path()).unwrap();
        writer.file.write_all(b"torn").unwrap();
        writer.scalars(1, [("a", 2.0)]).unwrap();
        assert_eq!(messages(&writer.path).len(), 2);
    }
}
