//! Who is it: passwords and their cost, certificates and their identity, and the built-in certificate authority.
//!
//! Everything that costs time happens on a bounded pool of threads of its own, and everything that a stranger can
//! ask for again and again is refused cheaply before it costs any.

mod error;
mod password;

pub use error::AuthError;
pub use password::{HashMemory, PasswordCost, generate_password, hash_password, needs_rehash, verify_password};
