//! Who is it: passwords and their cost, certificates and their identity, and the built-in certificate authority.
//!
//! Everything that costs time happens on a bounded pool of threads of its own, and everything that a stranger can
//! ask for again and again is refused cheaply before it costs any.

mod identity;
mod error;
mod pem_file;
mod password;
mod certificate;
mod host;
mod authority;
mod second_factor;
mod throttle;
mod cache;
mod pool;
mod authenticator;

pub use authenticator::{
    Account, AuthSettings, Authenticator, Directory, Login, LoginRefused, LoginRequest, Method, Rehash,
};
pub use authority::{Authority, CertificateSummary, Issued, Made, Prepared, Purpose, TlsFolder, prepare};
pub use certificate::{ClientCertificate, Fingerprint};
pub use error::{AuthError, CertificateProblem};
pub use identity::{IdentityField, USER_URN};
pub use password::{HashMemory, PasswordCost, generate_password, hash_password, needs_rehash, verify_password};
pub use second_factor::{begin as begin_second_factor, new_secret, prove, provisioning_uri, spelt};
pub use throttle::{Allowance, Attempt, Familiarity, Throttle};
