//! Where a certificate says whose it is.

/// Which field of a certificate names the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdentityField {
    /// The common name of the subject is the user's name.
    #[default]
    CommonName,
    /// The one URI among the alternative names is `urn:securemq:user:NAME`. Nothing in it is unescaped: a name that
    /// needs escapes in a URI goes into the common name.
    SanUri,
    /// The one DNS name among the alternative names is the user's name.
    SanDns,
}

/// What stands before the user's name in [`IdentityField::SanUri`].
pub const USER_URN: &str = "urn:securemq:user:";

impl IdentityField {
    /// The field in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::CommonName => "common name",
            Self::SanUri => "URI among its alternative names",
            Self::SanDns => "DNS name among its alternative names",
        }
    }
}
