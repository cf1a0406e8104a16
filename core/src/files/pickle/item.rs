//! Looking into a pickle's values.

use super::{Id, Node};

/// One value of a pickle.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) id: Id,
}

impl<'a> Item<'a> {
    fn node(&self) -> &'a Node {
        self.nodes.get(self.id as usize).unwrap_or(&Node::None)
    }

    fn at(&self, id: Id) -> Self {
        Self { nodes: self.nodes, id }
    }

    /// A number that tells values of one pickle apart.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self.node(), Node::None)
    }

    /// A text.
    pub fn as_str(&self) -> Option<&'a str> {
        match self.node() {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Bytes.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.node() {
            Node::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number.
    pub fn as_int(&self) -> Option<i128> {
        match self.node() {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number that is a size.
    pub fn as_usize(&self) -> Option<usize> {
        self.as_int().and_then(|value| usize::try_from(value).ok())
    }

    /// A number.
    pub fn as_f64(&self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(*value),
            Node::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The values of a list, tuple or set; none of anything else.
    pub fn items(&self) -> impl ExactSizeIterator<Item = Self> + use<'a> {
        let ids: &'a [Id] = match self.node() {
            Node::Sequence(ids) => ids,
            Node::Object(object) => &object.list,
            _ => &[],
        };
        let nodes = self.nodes;
        ids.iter().map(move |&id| Item { nodes, id })
    }

    /// Keys and values of a dictionary (or a class derived from one); none of anything else.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (Self, Self)> + use<'a> {
        let pairs: &'a [(Id, Id)] = match self.node() {
            Node::Dict(pairs) => pairs,
            Node::Object(object) => &object.items,
            _ => &[],
        };
        let nodes = self.nodes;
        pairs.iter().map(move |&(key, value)| (Item { nodes, id: key }, Item { nodes, id: value }))
    }

    /// The value under a text key; the last one wins, as in Python.
    pub fn get(&self, key: &str) -> Option<Self> {
        let mut found = None;
        for (name, value) in self.entries() {
            if name.as_str() == Some(key) {
                found = Some(value);
            }
        }
        found
    }

    /// Module and name of a global (a class or function that is named).
    pub fn global(&self) -> Option<(&'a str, &'a str)> {
        match self.node() {
            Node::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// Module and name of what was called or made.
    pub fn class(&self) -> Option<(&'a str, &'a str)> {
        match self.node() {
            Node::Object(object) => self.at(object.class).global(),
            _ => None,
        }
    }

    /// The arguments it was called or made with.
    pub fn args(&self) -> impl ExactSizeIterator<Item = Self> + use<'a> {
        match self.node() {
            Node::Object(object) => self.at(object.args).items(),
            _ => self.at(Id::MAX).items(),
        }
    }

    /// The state of an instance: its attributes.
    pub fn state(&self) -> Option<Self> {
        match self.node() {
            Node::Object(object) => object.state.map(|id| self.at(id)),
            _ => None,
        }
    }

    /// What a persistent reference (to a storage, in PyTorch's files) says.
    pub fn persistent(&self) -> Option<Self> {
        match self.node() {
            Node::Persistent(id) => Some(self.at(*id)),
            _ => None,
        }
    }

    /// A key as it stands in a path: text as it is, numbers in digits.
    pub fn as_key(&self) -> Option<String> {
        match self.node() {
            Node::Text(text) => Some(text.to_string()),
            Node::Int(value) => Some(value.to_string()),
            Node::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }
}
