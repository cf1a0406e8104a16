//! Values written as a pickle of protocol 2, as `torch.save` writes them: every tensor in a storage
//! of its own, numbered in the order in which it is met.

use crate::files::Dtype;

/// A Python value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A dictionary.
    Dict(Vec<(Value, Value)>),
    /// `collections.OrderedDict`, what a state dict is.
    OrderedDict(Vec<(String, Value)>),
    /// `argparse.Namespace`.
    Namespace(Vec<(String, Value)>),
    /// A contiguous tensor; `number` is the writer's own.
    Tensor {
        /// Tells its values.
        number: usize,
        /// How they are stored.
        dtype: Dtype,
        /// Axis lengths.
        shape: Vec<usize>,
    },
}

impl Value {
    /// A dictionary with text keys.
    pub fn dict(entries: Vec<(&str, Value)>) -> Self {
        Self::Dict(entries.into_iter().map(|(key, value)| (Self::Text(key.into()), value)).collect())
    }

    /// The numbers of all tensors, in the order of their storages.
    pub fn tensors(&self) -> Vec<usize> {
        let mut all = Vec::new();
        self.collect(&mut all);
        all
    }

    fn collect(&self, all: &mut Vec<usize>) {
        match self {
            Self::Tensor { number, .. } => all.push(*number),
            Self::List(values) | Self::Tuple(values) => values.iter().for_each(|v| v.collect(all)),
            Self::Dict(entries) => entries.iter().for_each(|(_, v)| v.collect(all)),
            Self::OrderedDict(entries) | Self::Namespace(entries) => {
                entries.iter().for_each(|(_, v)| v.collect(all));
            }
            _ => {}
        }
    }
}

/// The bytes of a pickle of `value`.
pub fn pickled(value: &Value) -> Vec<u8> {
    let mut writer = Writer { out: vec![0x80, 2], storages: 0 };
    writer.value(value);
    writer.out.push(b'.');
    writer.out
}

struct Writer {
    out: Vec<u8>,
    storages: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) {
        match value {
            Value::None => self.out.push(b'N'),
            Value::Bool(true) => self.out.push(0x88),
            Value::Bool(false) => self.out.push(0x89),
            Value::Int(number) => self.int(*number),
            Value::Float(number) => {
                self.out.push(b'G');
                self.out.extend(number.to_be_bytes());
            }
            Value::Text(text) => self.text(text),
            Value::List(values) => {
                self.out.extend(b"](");
                values.iter().for_each(|v| self.value(v));
                self.out.push(b'e');
            }
            Value::Tuple(values) => self.tuple(|w| values.iter().for_each(|v| w.value(v))),
            Value::Dict(entries) => {
                self.out.extend(b"}(");
                for (key, value) in entries {
                    self.value(key);
                    self.value(value);
                }
                self.out.push(b'u');
            }
            Value::OrderedDict(entries) => {
                self.ordered_dict();
                self.entries(entries);
            }
            Value::Namespace(entries) => {
                self.global("argparse", "Namespace");
                self.out.extend(b")\x81}");
                self.entries(entries);
                self.out.push(b'b');
            }
            Value::Tensor { dtype, shape, .. } => self.tensor(*dtype, shape),
        }
    }

    fn entries(&mut self, entries: &[(String, Value)]) {
        self.out.push(b'(');
        for (key, value) in entries {
            self.text(key);
            self.value(value);
        }
        self.out.push(b'u');
    }

    fn int(&mut self, number: i64) {
        if let Ok(small) = u8::try_from(number) {
            self.out.extend([b'K', small]);
        } else if let Ok(number) = i32::try_from(number) {
            self.out.push(b'J');
            self.out.extend(number.to_le_bytes());
        } else {
            self.out.extend([0x8a, 8]);
            self.out.extend(number.to_le_bytes());
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push(b'X');
        self.out.extend((text.len() as u32).to_le_bytes());
        self.out.extend(text.as_bytes());
    }

    fn global(&mut self, module: &str, name: &str) {
        self.out.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    fn tuple(&mut self, content: impl FnOnce(&mut Self)) {
        self.out.push(b'(');
        content(self);
        self.out.push(b't');
    }

    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.out.extend(b")R");
    }

    fn tensor(&mut self, dtype: Dtype, shape: &[usize]) {
        let key = self.storages.to_string();
        self.storages += 1;
        let count: usize = shape.iter().product();
        let mut strides = vec![1usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis].max(1);
        }
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.tuple(|w| {
            w.tuple(|w| {
                w.text("storage");
                w.global("torch", storage_name(dtype));
                w.text(&key);
                w.text("cpu");
                w.int(count as i64);
            });
            w.out.push(b'Q');
            w.int(0);
            w.tuple(|w| shape.iter().for_each(|&n| w.int(n as i64)));
            w.tuple(|w| strides.iter().for_each(|&n| w.int(n as i64)));
            w.out.push(0x89);
            w.ordered_dict();
        });
        self.out.push(b'R');
    }
}

/// PyTorch's class of a typed storage; other dtypes are not written here.
fn storage_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F64 => "DoubleStorage",
        Dtype::F16 => "HalfStorage",
        Dtype::BF16 => "BFloat16Storage",
        Dtype::I64 => "LongStorage",
        _ => "FloatStorage",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::pickle::Pickle;

    #[test]
    fn what_is_written_is_read_again() {
        let value = Value::dict(vec![
            ("none", Value::None),
            ("flags", Value::List(vec![Value::Bool(true), Value::Bool(false)])),
            (
                "numbers",
                Value::Tuple(vec![Value::Int(7), Value::Int(-5), Value::Int(1 << 40), Value::Float(0.1)]),
            ),
            ("args", Value::Namespace(vec![("model".into(), Value::Text("SiT-XL/2".into()))])),
        ]);
        let (pickle, used) = Pickle::read(&pickled(&value)).unwrap();
        assert_eq!(used, pickled(&value).len());
        let root = pickle.root();
        assert!(root.get("none").unwrap().is_none());
        let numbers: Vec<_> = root.get("numbers").unwrap().items().map(|n| n.as_f64().unwrap()).collect();
        assert_eq!(numbers, [7.0, -5.0, (1u64 << 40) as f64, 0.1]);
        let flags: Vec<_> = root.get("flags").unwrap().items().map(|b| b.as_bool()).collect();
        assert_eq!(flags, [Some(true), Some(false)]);
        let args = root.get("args").unwrap();
        assert_eq!(args.class(), Some(("argparse", "Namespace")));
        assert_eq!(args.state().unwrap().get("model").unwrap().as_str(), Some("SiT-XL/2"));
    }
}
