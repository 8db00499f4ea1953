//! Parts of a packet that are seldom there and take no room when they are not.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// What stands for a part that is not there.
pub trait Absent: Default + PartialEq + 'static {
    /// The value that says nothing; it equals the default one.
    fn absent() -> &'static Self;
}

/// A value that mostly says nothing: a pointer instead of the value, and nothing on the heap until it says something.
///
/// With the properties in place a packet took 240 bytes, all of which moved with it from the codec to the router.
#[derive(Clone)]
pub struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    /// Nothing.
    pub const NOTHING: Self = Self(None);

    /// Whether there is none; one that was touched may say nothing even so.
    pub fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// What `change` makes of the value, if there is one.
    #[must_use]
    pub fn map(&self, change: impl FnOnce(&T) -> T) -> Self {
        Self(self.0.as_deref().map(|value| Box::new(change(value))))
    }

    /// The value, if it may say something.
    pub fn into_inner(self) -> Option<T> {
        self.0.map(|value| *value)
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl<T: Absent> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        if value == *T::absent() { Self::NOTHING } else { Self(Some(Box::new(value))) }
    }
}

impl<T: Absent> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or_else(|| T::absent())
    }
}

impl<T: Absent> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Absent> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.0.is_none() && other.0.is_none()) || **self == **other
    }
}

impl<T: Absent + Eq> Eq for Rare<T> {}

impl<T: Absent + fmt::Debug> fmt::Debug for Rare<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    struct Note(u8);

    impl Absent for Note {
        fn absent() -> &'static Self {
            &Note(0)
        }
    }

    #[test]
    fn a_value_that_says_nothing_is_the_same_as_none_and_takes_no_memory() {
        assert_eq!(Rare::from(Note(0)).into_inner(), None);
        let mut touched: Rare<Note> = Rare::NOTHING;
        touched.0.get_or_insert_default();
        assert_eq!(touched, Rare::NOTHING);
        touched.0 = None;
        touched.deref_mut().0 = 7;
        assert_eq!((touched.0.as_deref(), touched == Rare::from(Note(7))), (Some(&Note(7)), true));
        assert_ne!(touched, Rare::NOTHING);
    }
}
