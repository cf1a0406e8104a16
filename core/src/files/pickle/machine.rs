//! The stack machine behind a pickle (Python's `pickletools` documents the instructions).

use std::collections::HashMap;

use super::{Id, LIMIT_MEMORY_BYTES, LIMIT_STREAM_BYTES, Node, Object};

type Outcome<T> = Result<T, String>;

/// Runs one pickle: its values, the number of the result, the number of bytes read.
pub(super) fn run(bytes: &[u8]) -> Outcome<(Vec<Node>, Id, usize)> {
    let mut machine = Machine {
        bytes: &bytes[..bytes.len().min(LIMIT_STREAM_BYTES)],
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        spent: 0,
    };
    loop {
        let op = machine.byte()?;
        if op == b'.' {
            let root = machine.pop()?;
            return Ok((machine.nodes, root, machine.at));
        }
        machine.step(op)?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    spent: usize,
}

impl<'a> Machine<'a> {
    fn step(&mut self, op: u8) -> Outcome<()> {
        match op {
            b'(' => self.mark(),
            b'0' => self.discard(),
            b'1' => self.pop_mark().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.push_id(top)
            }
            b'N' | 0x88 | 0x89 | b'I' | b'J' | b'K' | b'M' | b'L' | 0x8a | 0x8b | b'F' | b'G' => {
                let node = self.number(op)?;
                self.push(node)
            }
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => {
                let node = self.text(op)?;
                self.push(node)
            }
            b')' | b']' | 0x8f => self.push(Node::Sequence(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b't' | b'l' | 0x91 => {
                let ids = self.pop_mark()?;
                self.push(Node::Sequence(ids))
            }
            b'd' => {
                let ids = self.pop_mark()?;
                self.push(Node::Dict(pairs(ids)?))
            }
            0x85..=0x87 => {
                let mut ids = Vec::new();
                for _ in 0..op - 0x84 {
                    ids.push(self.pop()?);
                }
                ids.reverse();
                self.push(Node::Sequence(ids))
            }
            b'a' => {
                let id = self.pop()?;
                self.extend(vec![id])
            }
            b'e' | 0x90 => {
                let ids = self.pop_mark()?;
                self.extend(ids)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(vec![(key, value)])
            }
            b'u' => {
                let ids = self.pop_mark()?;
                self.insert(pairs(ids)?)
            }
            b'g' | b'h' | b'j' | b'p' | b'q' | b'r' | 0x94 => self.remember(op),
            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'i' | b'o' | b'b' | b'P' | b'Q' => self.object(op),
            0x80 => self.take(1).map(|_| ()),
            0x95 => self.take(8).map(|_| ()),
            other => Err(format!("unknown instruction 0x{other:02x}")),
        }
    }

    fn number(&mut self, op: u8) -> Outcome<Node> {
        Ok(match op {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'I' => match self.line()? {
                "01" => Node::Bool(true),
                "00" => Node::Bool(false),
                text => Node::Int(text.trim().parse().map_err(|_| "a number that is none")?),
            },
            b'L' => {
                let text = self.line()?.trim_end_matches('L');
                Node::Int(text.trim().parse().map_err(|_| "a number that is none or too large")?)
            }
            b'J' => Node::Int(i128::from(i32::from_le_bytes(self.array()?))),
            b'K' => Node::Int(i128::from(self.byte()?)),
            b'M' => Node::Int(i128::from(u16::from_le_bytes(self.array()?))),
            0x8a => {
                let length = usize::from(self.byte()?);
                self.long(length)?
            }
            0x8b => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.long(length)?
            }
            b'F' => Node::Float(self.line()?.trim().parse().map_err(|_| "a number that is none")?),
            _ => Node::Float(f64::from_be_bytes(self.array()?)),
        })
    }

    /// A little-endian two's complement number.
    fn long(&mut self, length: usize) -> Outcome<Node> {
        let bytes = self.take(length)?;
        if length > 16 {
            self.charge(length)?;
            return Ok(Node::Bytes(bytes.into()));
        }
        let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 16];
        wide[..length].copy_from_slice(bytes);
        Ok(Node::Int(i128::from_le_bytes(wide)))
    }

    fn text(&mut self, op: u8) -> Outcome<Node> {
        let length = match op {
            b'S' | b'V' => {
                let line = self.line()?;
                let text = if op == b'S' { line.trim_matches(['\'', '"']) } else { line };
                self.charge(text.len())?;
                return Ok(Node::Text(text.into()));
            }
            b'U' | 0x8c | b'C' => usize::from(self.byte()?),
            b'T' | b'X' | b'B' => u32::from_le_bytes(self.array()?) as usize,
            _ => usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| "a text that is too long")?,
        };
        let bytes = self.take(length)?;
        self.charge(length)?;
        Ok(match op {
            b'B' | b'C' | 0x8e | 0x96 => Node::Bytes(bytes.into()),
            // Python 2 strings are bytes in no known encoding.
            b'T' | b'U' => Node::Text(String::from_utf8_lossy(bytes).into()),
            _ => Node::Text(std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8")?.into()),
        })
    }

    /// Puts into the memo or takes out of it.
    fn remember(&mut self, op: u8) -> Outcome<()> {
        let number = match op {
            b'g' | b'p' => self.line()?.trim().parse().map_err(|_| "a memo number that is none")?,
            b'h' | b'q' => u32::from(self.byte()?),
            0x94 => self.memo.len() as u32,
            _ => u32::from_le_bytes(self.array()?),
        };
        if matches!(op, b'g' | b'h' | b'j') {
            let id = *self.memo.get(&number).ok_or("a value that was never noted")?;
            return self.push_id(id);
        }
        let top = self.top()?;
        self.charge(32)?;
        self.memo.insert(number, top);
        Ok(())
    }

    /// Names, calls, instances, states and references: all inert.
    fn object(&mut self, op: u8) -> Outcome<()> {
        match op {
            b'c' => {
                let global = self.global()?;
                self.push(global)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id: Id| match self.nodes.get(id as usize) {
                    Some(Node::Text(text)) => Ok(text.clone()),
                    _ => Err("a name that is not a text"),
                };
                let (module, name) = (text(module)?, text(name)?);
                self.charge(module.len() + name.len())?;
                self.push(Node::Global { module, name })
            }
            b'R' | 0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.push_object(class, args)
            }
            0x92 => {
                let (_kwargs, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.push_object(class, args)
            }
            b'i' => {
                let global = self.global()?;
                let args = self.pop_mark()?;
                let class = self.add(global)?;
                let args = self.add(Node::Sequence(args))?;
                self.push_object(class, args)
            }
            b'o' => {
                let mut ids = self.pop_mark()?;
                if ids.is_empty() {
                    return Err("an object without a class".into());
                }
                let class = ids.remove(0);
                let args = self.add(Node::Sequence(ids))?;
                self.push_object(class, args)
            }
            b'b' => {
                let (state, target) = (self.pop()?, self.top()?);
                // A dictionary's extra state (PyTorch's `_metadata`) is of no use here.
                if let Some(Node::Object(object)) = self.nodes.get_mut(target as usize) {
                    object.state = Some(state);
                }
                Ok(())
            }
            b'P' => {
                let line = self.line()?;
                let text = self.add(Node::Text(line.into()))?;
                self.push(Node::Persistent(text))
            }
            _ => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
        }
    }

    fn global(&mut self) -> Outcome<Node> {
        let (module, name) = (self.line()?, self.line()?);
        self.charge(module.len() + name.len())?;
        Ok(Node::Global { module: module.into(), name: name.into() })
    }

    fn push_object(&mut self, class: Id, args: Id) -> Outcome<()> {
        self.charge(size_of::<Object>())?;
        let object = Object { class, args, state: None, items: Vec::new(), list: Vec::new() };
        self.push(Node::Object(Box::new(object)))
    }

    /// Appends to the list below.
    fn extend(&mut self, ids: Vec<Id>) -> Outcome<()> {
        let target = self.top()? as usize;
        self.charge(ids.len() * 2 * size_of::<Id>())?;
        match self.nodes.get_mut(target) {
            Some(Node::Sequence(list)) => list.extend(ids),
            Some(Node::Object(object)) => object.list.extend(ids),
            _ => return Err("an addition to what is no list".into()),
        }
        Ok(())
    }

    /// Adds to the dictionary below.
    fn insert(&mut self, pairs: Vec<(Id, Id)>) -> Outcome<()> {
        let target = self.top()? as usize;
        self.charge(pairs.len() * 4 * size_of::<Id>())?;
        match self.nodes.get_mut(target) {
            Some(Node::Dict(all)) => all.extend(pairs),
            Some(Node::Object(object)) => object.items.extend(pairs),
            _ => return Err("an entry for what is no dictionary".into()),
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Outcome<()> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > LIMIT_MEMORY_BYTES {
            return Err(format!(
                "its values would take more than {} MiB of memory",
                LIMIT_MEMORY_BYTES >> 20
            ));
        }
        Ok(())
    }

    fn add(&mut self, node: Node) -> Outcome<Id> {
        // A growing list is copied to twice its size.
        self.charge(2 * size_of::<Node>())?;
        let id = Id::try_from(self.nodes.len()).map_err(|_| "too many values")?;
        self.nodes.push(node);
        Ok(id)
    }

    fn push(&mut self, node: Node) -> Outcome<()> {
        let id = self.add(node)?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Outcome<()> {
        self.charge(2 * size_of::<Id>())?;
        self.stack.push(id);
        Ok(())
    }

    fn mark(&mut self) -> Outcome<()> {
        self.charge(2 * size_of::<usize>())?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// The lowest place on the stack that may be taken: nothing reaches below a mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Outcome<Id> {
        if self.stack.len() <= self.floor() {
            return Err("it takes a value where there is none".into());
        }
        self.stack.pop().ok_or_else(|| "it takes a value where there is none".into())
    }

    fn top(&self) -> Outcome<Id> {
        if self.stack.len() <= self.floor() {
            return Err("it looks at a value where there is none".into());
        }
        self.stack.last().copied().ok_or_else(|| "it looks at a value where there is none".into())
    }

    /// POP: a value, or a mark that has nothing on it.
    fn discard(&mut self) -> Outcome<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    fn pop_mark(&mut self) -> Outcome<Vec<Id>> {
        let start = self.marks.pop().ok_or("it takes a mark where there is none")?;
        let ids = self.stack.split_off(start);
        self.charge(ids.len() * size_of::<Id>())?;
        Ok(ids)
    }

    fn byte(&mut self) -> Outcome<u8> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn take(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(if self.bytes.len() == LIMIT_STREAM_BYTES {
                format!("it is longer than {} MiB", LIMIT_STREAM_BYTES >> 20)
            } else {
                "it ends in the middle".into()
            });
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn line(&mut self) -> Outcome<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&b| b == b'\n').ok_or("it ends in the middle of a line")?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| "a line that is not UTF-8".into())
    }
}

fn pairs(ids: Vec<Id>) -> Outcome<Vec<(Id, Id)>> {
    if !ids.len().is_multiple_of(2) {
        return Err("a key without a value".into());
    }
    Ok(ids.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value)).collect())
}
