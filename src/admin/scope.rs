//! Who asks, and therefore which rows there are for them. Every function of the administration takes it.

use super::problem::AdminError;
use crate::broker::{Principal, RoleName, UserName};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Somebody who may read the data folder: the command line, and whoever opens the broker's socket in it.
    Operator,
    /// A user of the broker.
    User(Person),
    /// Nobody who has said who it is.
    Stranger,
}

/// A user who is logged in, as of this request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Its account.
    pub name: UserName,
    /// Its role.
    pub role: RoleName,
}

/// Who may use a route at all. Which rows they find is the [`Scope`]'s business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, logged in or not.
    Anyone,
    /// Everybody who is logged in.
    LoggedIn,
    /// Teachers and administrators.
    Teacher,
    /// Administrators.
    Admin,
}

impl Access {
    /// Its name in the description of the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::LoggedIn => "logged-in",
            Self::Teacher => "teacher",
            Self::Admin => "admin",
        }
    }
}

/// What the built-in roles mean here. A role that was added may do what a student may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Nobody,
    Student,
    Teacher,
    Admin,
}

impl Scope {
    /// Whether a route of this access is open to them.
    pub fn may_use(&self, access: Access) -> bool {
        match access {
            Access::Anyone => true,
            Access::LoggedIn => self.rank() >= Rank::Student,
            Access::Teacher => self.rank() >= Rank::Teacher,
            Access::Admin => self.rank() >= Rank::Admin,
        }
    }

    /// Whose rows they find; nothing if everybody's.
    pub fn only(&self) -> Result<Option<&UserName>, AdminError> {
        match self {
            Self::Operator => Ok(None),
            Self::User(person) => Ok((self.rank() != Rank::Admin).then_some(&person.name)),
            Self::Stranger => Err(AdminError::NotLoggedIn),
        }
    }

    /// Whether a row of this user is there for them.
    pub fn sees(&self, owner: Option<&UserName>) -> bool {
        self.only().is_ok_and(|only| only.is_none_or(|only| owner == Some(only)))
    }

    /// The user, if it is one.
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::Operator | Self::Stranger => None,
            Self::User(person) => Some(&person.name),
        }
    }

    /// As whom they publish and subscribe.
    pub fn principal(&self) -> Option<Principal> {
        match self {
            Self::Operator => RoleName::new("Admin").ok().map(Principal::Anonymous),
            Self::User(person) => Some(Principal::User(person.name.clone())),
            Self::Stranger => None,
        }
    }

    fn rank(&self) -> Rank {
        match self {
            Self::Operator => Rank::Admin,
            Self::Stranger => Rank::Nobody,
            Self::User(person) => match person.role.as_str() {
                "Admin" => Rank::Admin,
                "Teacher" => Rank::Teacher,
                _ => Rank::Student,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, role: &str) -> Scope {
        Scope::User(Person { name: UserName::new(name).unwrap(), role: RoleName::new(role).unwrap() })
    }

    #[test]
    fn a_role_opens_its_routes_and_no_others() {
        let open = |role: &str| {
            [Access::Anyone, Access::LoggedIn, Access::Teacher, Access::Admin]
                .map(|access| user("u", role).may_use(access))
        };
        assert_eq!(open("Admin"), [true; 4]);
        assert_eq!(open("Teacher"), [true, true, true, false]);
        assert_eq!(open("Student"), [true, true, false, false]);
        let stranger = [Access::Anyone, Access::LoggedIn, Access::Teacher, Access::Admin];
        assert_eq!(stranger.map(|access| Scope::Stranger.may_use(access)), [true, false, false, false]);
        // A role by another name is never taken for one of these.
        for role in ["admin", "Admins", "Admin2", "Engineer"] {
            assert_eq!(open(role), [true, true, false, false], "{role}");
        }
    }

    #[test]
    fn everybody_but_administrators_finds_their_own_rows_only() {
        let (own, other) = (UserName::new("u").unwrap(), UserName::new("v").unwrap());
        for role in ["Teacher", "Student", "Engineer"] {
            let scope = user("u", role);
            assert!(scope.sees(Some(&own)) && !scope.sees(Some(&other)) && !scope.sees(None));
        }
        assert!(!Scope::Stranger.sees(Some(&own)) && !Scope::Stranger.sees(None));
        assert!(user("u", "Admin").sees(Some(&other)) && Scope::Operator.sees(None));
    }
}
