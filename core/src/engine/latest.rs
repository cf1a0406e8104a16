//! The second road: a cell that holds the newest value only. For pictures and for questions of a
//! person who drags: what is overtaken is never looked at.

use std::sync::{Arc, Mutex, PoisonError};

/// A shared cell; putting replaces what nobody took.
#[derive(Debug)]
pub struct Latest<T>(Arc<Mutex<Option<Box<T>>>>);

impl<T> Latest<T> {
    /// Puts `value` in and drops an overtaken one.
    pub fn put(&self, value: T) {
        // The lock is held for the exchange of one pointer; the old value goes after it.
        let old = self.exchange(Some(Box::new(value)));
        drop(old);
    }

    /// Takes the newest value, if one came since the last time.
    pub fn take(&self) -> Option<Box<T>> {
        self.exchange(None)
    }

    /// Whether a value waits to be taken.
    pub fn holds(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn exchange(&self, new: Option<Box<T>>) -> Option<Box<T>> {
        let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *cell, new)
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_wins_and_is_taken_once() {
        let cell = Latest::default();
        let other = cell.clone();
        assert!(cell.take().is_none());
        cell.put(1);
        cell.put(2);
        assert!(other.holds());
        assert_eq!(other.take().as_deref(), Some(&2));
        assert!(cell.take().is_none() && !cell.holds());
    }
}
