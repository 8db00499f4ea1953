//! A key or password in memory: wiped when dropped, and never shown by `Debug`.

use secrecy::{ExposeSecret, SecretBox};
use std::fmt;
use zeroize::Zeroize;

/// A value that must not be seen: it cannot be printed, is wiped when dropped, and is read only where `expose` stands.
pub struct Secret<T: Zeroize>(SecretBox<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in. Whoever made it wipes the copies it left elsewhere; [`Secret::filled`] leaves none.
    pub fn new(value: T) -> Self {
        Self(SecretBox::new(Box::new(value)))
    }

    /// Makes the value where it will stay, so that no copy is left on the stack.
    pub fn filled(fill: impl FnOnce(&mut T)) -> Self
    where
        T: Default,
    {
        Self(SecretBox::init_with_mut(fill))
    }

    /// The value itself.
    pub fn expose(&self) -> &T {
        self.0.expose_secret()
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self::new(self.expose().clone())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let password = Secret::new("correct horse".to_owned());
        assert_eq!(format!("{password:?} {:?}", password.clone()), "Secret(..) Secret(..)");
        assert_eq!(password.expose(), "correct horse");
    }

    #[test]
    fn a_secret_can_be_made_in_place() {
        let key = Secret::<[u8; 4]>::filled(|bytes| bytes.copy_from_slice(b"abcd"));
        assert_eq!(key.expose(), b"abcd");
    }
}
