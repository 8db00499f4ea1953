//! Who is it: passwords and their cost, certificates and their identity, and the built-in certificate authority.
//!
//! Everything that costs time happens on a bounded pool of threads of its own, and everything that a stranger can
//! ask for again and again is refused cheaply before it costs any.

mod error;
mod key_file;
mod password;
mod certificate;
mod host;
mod authority;
mod throttle;
mod cache;
mod pool;
mod authenticator;

pub use authenticator::{
    Account, AuthSettings, Authenticator, Directory, Login, LoginRefused, LoginRequest, Method, Rehash,
};
pub use authority::{Authority, CertificateSummary, Issued, Made, Prepared, Purpose, TlsFolder, prepare};
pub use certificate::{ClientCertificate, Fingerprint, IdentityField, USER_URN};
pub use error::{AuthError, CertificateProblem};
pub use key_file::read_key_file;
pub use password::{HashMemory, PasswordCost, generate_password, hash_password, needs_rehash, verify_password};
pub use throttle::Allowance;
