//! Preview pictures that the window holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::super::sheet::{Sheet, SheetKey};

/// Bytes of preview pictures that are kept.
const SHEETS_BYTES: usize = 192 << 20;

/// Preview pictures that were read or made, the oldest forgotten first.
#[derive(Debug, Default)]
pub struct Sheets {
    held: BTreeMap<SheetKey, Result<Arc<Sheet>, String>>,
    /// Oldest first.
    order: VecDeque<SheetKey>,
    bytes: usize,
}

impl Sheets {
    /// A preview, if it was read; an error says why it cannot be.
    pub fn get(&self, key: &SheetKey) -> Option<&Result<Arc<Sheet>, String>> {
        self.held.get(key)
    }

    /// Keeps a preview; the oldest go when there are too many bytes.
    pub(super) fn keep(&mut self, key: SheetKey, sheet: Result<Arc<Sheet>, String>) {
        self.retain(|other| *other != key);
        self.bytes += size(&sheet);
        self.order.push_back(key.clone());
        self.held.insert(key, sheet);
        while self.bytes > SHEETS_BYTES && self.order.len() > 2 {
            if let Some(oldest) = self.order.pop_front()
                && let Some(sheet) = self.held.remove(&oldest)
            {
                self.bytes -= size(&sheet);
            }
        }
    }

    /// Forgets what `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&SheetKey) -> bool) {
        self.held.retain(|key, _| keep(key));
        self.order.retain(keep);
        self.bytes = self.held.values().map(size).sum();
    }
}

fn size(sheet: &Result<Arc<Sheet>, String>) -> usize {
    sheet.as_ref().map_or(0, |sheet| sheet.bytes())
}
