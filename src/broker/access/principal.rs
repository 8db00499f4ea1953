//! Who a connection proved to be.

use super::name::{RoleName, UserName};

/// Who a connection proved to be, and the role it has for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A stored account, proved by password or certificate. Its role is looked up in the policy of the moment.
    User(UserName),
    /// No credentials; admitted because the configuration gives strangers this role.
    Anonymous(RoleName),
}

impl Principal {
    /// The account, if there is one.
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::User(name) => Some(name),
            Self::Anonymous(_) => None,
        }
    }
}
