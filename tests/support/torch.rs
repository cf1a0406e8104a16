//! PyTorch files made for a test.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;

use tandem_core::files::pickle::Item;
use tandem_core::files::pickle::write::Value;
use tandem_core::files::write::write_torch;
use tandem_core::files::{TensorFile, bytes_from_f32};
use tandem_core::params::TensorSource;

/// The checkpoint at `path` without some of its sections.
pub fn without(path: &Path, sections: &[&str]) -> TensorFile {
    let file = TensorFile::open(path).unwrap();
    let mut names = Vec::new();
    let root = file.pickle().unwrap().root();
    let entries = root.entries().filter(|(key, _)| !sections.contains(&key.as_str().unwrap()));
    let kept = entries.map(|(key, value)| {
        let name = key.as_str().unwrap();
        (Value::Text(name.into()), copied(value, name, &file, &mut names))
    });
    let value = Value::Dict(kept.collect());
    let mut out = Cursor::new(Vec::new());
    let values = |i: usize| -> tandem_core::Result<Cow<'_, [u8]>> {
        let name: &String = &names[i];
        let (_, values) = file.tensor(name)?.unwrap();
        Ok(Cow::Owned(bytes_from_f32(file.info(name).unwrap().dtype, &values).unwrap().into_owned()))
    };
    write_torch(&mut out, "alone", &value, &values, path).unwrap();
    TensorFile::from_bytes(out.into_inner(), Path::new("alone.pt")).unwrap()
}

fn copied(item: Item, path: &str, file: &TensorFile, names: &mut Vec<String>) -> Value {
    if let Some(info) = file.info(path) {
        names.push(path.into());
        return Value::Tensor { number: names.len() - 1, dtype: info.dtype, shape: info.shape.clone() };
    }
    if item.class() == Some(("argparse", "Namespace")) {
        let state = item.state().unwrap();
        let entries = state.entries().map(|(key, value)| {
            let key = key.as_str().unwrap();
            (key.to_string(), copied(value, &format!("{path}/{key}"), file, names))
        });
        return Value::Namespace(entries.collect());
    }
    if item.entries().len() > 0 {
        let entries = item.entries().map(|(key, value)| {
            let name = key.as_key().unwrap();
            let plain = key.as_int().map_or_else(|| Value::Text(name.clone()), |n| Value::Int(n as i64));
            (plain, copied(value, &format!("{path}/{name}"), file, names))
        });
        return Value::Dict(entries.collect());
    }
    if let Some(text) = item.as_str() {
        return Value::Text(text.into());
    }
    if let Some(flag) = item.as_bool() {
        return Value::Bool(flag);
    }
    if let Some(number) = item.as_int() {
        return Value::Int(number as i64);
    }
    if let Some(number) = item.as_f64() {
        return Value::Float(number);
    }
    if item.is_none() {
        return Value::None;
    }
    Value::List(
        item.items()
            .enumerate()
            .map(|(i, value)| copied(value, &format!("{path}/{i}"), file, names))
            .collect(),
    )
}
