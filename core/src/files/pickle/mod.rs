//! Python pickles, read without running anything.
//!
//! A pickle is a program that builds objects by calling what it names. The `machine` here
//! builds plain values only: a call or a class becomes an inert [`Item`] that remembers its name and
//! arguments, and whoever knows that name may interpret it (tensors, in `torch`). Sizes are bounded:
//! [`LIMIT_STREAM_BYTES`] are read at most, [`LIMIT_MEMORY_BYTES`] built at most, and values lie in one
//! flat list, so that deep or cyclic nesting costs no stack.

mod item;
mod machine;
pub mod write;

use std::sync::Arc;

pub use item::Item;

/// The longest pickle read.
pub const LIMIT_STREAM_BYTES: usize = 64 << 20;
/// The most memory that its values may take.
pub const LIMIT_MEMORY_BYTES: usize = 512 << 20;

/// Number of a value in its pickle.
pub(crate) type Id = u32;

/// A value; others are referred to by number.
#[derive(Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    /// Integers of up to 16 bytes; longer ones are kept as `Bytes`.
    Int(i128),
    Float(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    /// Lists, tuples and sets.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global {
        module: Box<str>,
        name: Box<str>,
    },
    /// A call or an instance: never made, only noted.
    Object(Box<Object>),
    Persistent(Id),
}

/// What a pickle asks to be called or made.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) class: Id,
    pub(crate) args: Id,
    pub(crate) state: Option<Id>,
    pub(crate) items: Vec<(Id, Id)>,
    pub(crate) list: Vec<Id>,
}

/// A pickle's values.
#[derive(Clone, Debug)]
pub struct Pickle {
    nodes: Arc<Vec<Node>>,
    root: Id,
}

impl Pickle {
    /// Reads one pickle from the start of `bytes`; also gives the number of bytes it took.
    ///
    /// # Errors
    /// A reason in words: cut off, an unknown instruction, too large.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), String> {
        let (nodes, root, used) = machine::run(bytes)?;
        Ok((Self { nodes: Arc::new(nodes), root }, used))
    }

    /// The value itself.
    pub fn root(&self) -> Item<'_> {
        Item { nodes: &self.nodes, id: self.root }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle, String> {
        Pickle::read(bytes).map(|(pickle, _)| pickle)
    }

    #[test]
    fn plain_values_are_read() {
        // pickle.dumps({"a": [1, 2.5, None, True], "b": (-3, "x")}, protocol=2)
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88eX\x01\x00\x00\x00bq\x03J\xfd\xff\xff\xffX\x01\x00\x00\x00xq\x04\x86q\x05u.";
        let pickle = read(bytes).unwrap();
        let a: Vec<_> = pickle.root().get("a").unwrap().items().collect();
        assert_eq!((a[0].as_int(), a[1].as_f64(), a[3].as_bool()), (Some(1), Some(2.5), Some(true)));
        assert!(a[2].is_none());
        let b: Vec<_> = pickle.root().get("b").unwrap().items().collect();
        assert_eq!((b[0].as_int(), b[1].as_str()), (Some(-3), Some("x")));
        assert!(pickle.root().get("c").is_none());
    }

    #[test]
    fn a_call_is_noted_and_never_made() {
        // os.system("touch pwned"), as an attacker writes it
        let pickle = read(b"cposix\nsystem\n(S'touch pwned'\ntR.").unwrap();
        assert_eq!(pickle.root().class(), Some(("posix", "system")));
        assert_eq!(pickle.root().args().next().unwrap().as_str(), Some("touch pwned"));
        let instance = read(b"\x80\x02cargparse\nNamespace\n)\x81}X\x01\x00\x00\x00xK\x07sb.").unwrap();
        assert_eq!(instance.root().class(), Some(("argparse", "Namespace")));
        assert_eq!(instance.root().state().unwrap().get("x").unwrap().as_int(), Some(7));
    }

    #[test]
    fn what_is_cut_off_or_senseless_is_an_error() {
        for bad in [
            &b""[..],
            b"\x80\x02",
            b".",
            b"\x80\x02]",
            b"e.",
            b"\x80\x02K",
            b"\x82\x01.",
            b"h\x07.",
            b"0.",
            b"(1.",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read(b"X\xff\xff\xff\xffabc.").unwrap_err().contains("ends"));
    }

    #[test]
    fn growth_is_bounded() {
        // Ten million empty dictionaries from as many bytes.
        let mut bomb = vec![b'}'; 30_000_000];
        bomb.push(b'.');
        assert!(read(&bomb).unwrap_err().contains("memory"));
        let cyclic = read(b"\x80\x02]q\x00h\x00a.").unwrap();
        assert_eq!(cyclic.root().items().count(), 1);
    }
}
