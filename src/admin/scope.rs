//! Who asks, and therefore which rows there are for them. Every function of the administration takes it.

use super::problem::AdminError;
use crate::broker::{ClassName, Principal, RoleName, UserName};
use crate::store::{Directory, Seat};
use std::collections::BTreeSet;
use std::sync::Arc;

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

    /// Whose rows they find, as of this directory: a teacher those of the students of the own classes as well.
    pub fn sight(&self, directory: &Directory) -> Sight {
        let person = match self {
            Self::Operator => return Sight::Everybody,
            Self::Stranger => return Sight::nobody(),
            Self::User(_) if self.rank() == Rank::Admin => return Sight::Everybody,
            Self::User(person) => person,
        };
        let mut classes = BTreeSet::new();
        let mut users = BTreeSet::new();
        if self.rank() == Rank::Teacher {
            for class in directory.classes.iter().filter(|class| class.teachers.contains(&person.name)) {
                classes.insert(class.name.clone());
                // Whoever teaches or administers is nobody's student, wherever its name stands.
                let learns =
                    |name: &&UserName| directory.user(name).is_some_and(|user| Seat::of(&user.role) == Seat::Student);
                users.extend(class.students.iter().filter(learns).cloned());
            }
        }
        users.remove(&person.name);
        Sight::Some(Arc::new(Rows { own: Some(person.name.clone()), students: users, classes }))
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

/// Whose rows somebody finds: users, their clients, what happened to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Everybody's, and those of nobody.
    Everybody,
    /// Those of some.
    Some(Arc<Rows>),
}

/// The rows of some people.
#[derive(Debug, PartialEq, Eq)]
pub struct Rows {
    own: Option<UserName>,
    students: BTreeSet<UserName>,
    classes: BTreeSet<ClassName>,
}

impl Sight {
    fn nobody() -> Self {
        Self::Some(Arc::new(Rows { own: None, students: BTreeSet::new(), classes: BTreeSet::new() }))
    }

    /// Whether a row of this user is there for them.
    pub fn sees(&self, owner: Option<&UserName>) -> bool {
        match (self, owner) {
            (Self::Everybody, _) => true,
            (Self::Some(_), None) => false,
            (Self::Some(rows), Some(owner)) => rows.own.as_ref() == Some(owner) || rows.students.contains(owner),
        }
    }

    /// Whether they may change this user: themselves never, unless they may change everybody.
    pub fn manages(&self, user: &UserName) -> bool {
        match self {
            Self::Everybody => true,
            Self::Some(rows) => rows.students.contains(user),
        }
    }

    /// Whether they teach this class, or all.
    pub fn teaches(&self, class: &ClassName) -> bool {
        match self {
            Self::Everybody => true,
            Self::Some(rows) => rows.classes.contains(class),
        }
    }

    /// The users whose rows they find; nothing if everybody's.
    pub fn users(&self) -> Option<Arc<BTreeSet<UserName>>> {
        match self {
            Self::Everybody => None,
            Self::Some(rows) => Some(Arc::new(rows.students.iter().chain(&rows.own).cloned().collect())),
        }
    }

    /// Those among them who are in this class, which they have to be able to see.
    pub fn users_of(&self, class: &str, directory: &Directory) -> Result<Arc<BTreeSet<UserName>>, AdminError> {
        let mut classes = directory.classes.iter();
        let class = classes.find(|known| known.name.as_str() == class && self.teaches(&known.name));
        let class = class.ok_or(AdminError::NotFound("class"))?;
        Ok(Arc::new(class.members().filter(|member| self.sees(Some(member))).cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Course, PolicyClass};
    use crate::store::{StoredUser, UnixMillis};

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

    fn school() -> Directory {
        let account = |name: &str, role: &str| StoredUser {
            name: UserName::new(name).unwrap(),
            role: RoleName::new(role).unwrap(),
            enabled: true,
            password: None,
            certificate: None,
            created: UnixMillis::default(),
            changed: UnixMillis::default(),
        };
        let names = |names: &[&str]| names.iter().map(|name| UserName::new(name).unwrap()).collect();
        let class = |name: &str, teachers: &[&str], students: &[&str]| PolicyClass {
            name: ClassName::new(name).unwrap(),
            teachers: names(teachers),
            students: names(students),
            course: Course::Running,
        };
        Directory {
            generation: 1,
            users: vec![
                account("root", "Admin"),
                account("sam", "Student"),
                account("tim", "Teacher"),
                account("tina", "Teacher"),
                account("zoe", "Student"),
            ],
            roles: Vec::new(),
            rules: Vec::new(),
            // As no store has it: a teacher, an administrator and somebody unknown among the students.
            classes: vec![
                class("7b", &["tina", "zoe"], &["sam", "tim", "root", "nobody", "tina"]),
                class("8a", &["tim"], &["zoe"]),
            ],
        }
    }

    #[test]
    fn a_teacher_finds_the_students_of_the_own_classes_and_nobody_else() {
        let directory = school();
        let tina = user("tina", "Teacher").sight(&directory);
        let seen = |sight: &Sight| {
            let users = ["root", "sam", "tim", "tina", "zoe", "nobody"].map(|name| UserName::new(name).unwrap());
            let seen = users.iter().filter(|name| sight.sees(Some(name)));
            seen.map(UserName::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(seen(&tina), "sam tina");
        assert_eq!(seen(&user("tim", "Teacher").sight(&directory)), "tim zoe");
        let managed = |name: &str| tina.manages(&UserName::new(name).unwrap());
        assert_eq!(["sam", "tina", "tim", "root", "zoe"].map(managed), [true, false, false, false, false]);
        assert!(tina.teaches(&ClassName::new("7b").unwrap()) && !tina.teaches(&ClassName::new("8a").unwrap()));
        // Whose role is no teacher's finds no others, wherever the name stands.
        assert_eq!(seen(&user("zoe", "Student").sight(&directory)), "zoe");
        assert!(tina.users_of("8a", &directory).is_err() && tina.users_of("7b", &directory).unwrap().len() == 2);
    }

    #[test]
    fn everybody_but_administrators_and_teachers_finds_their_own_rows_only() {
        let (own, other) = (UserName::new("u").unwrap(), UserName::new("sam").unwrap());
        for role in ["Teacher", "Student", "Engineer"] {
            let sight = user("u", role).sight(&school());
            assert!(sight.sees(Some(&own)) && !sight.sees(Some(&other)) && !sight.sees(None), "{role}");
            assert!(!sight.manages(&own) && !sight.manages(&other), "{role}");
        }
        let stranger = Scope::Stranger.sight(&school());
        assert!(!stranger.sees(Some(&own)) && !stranger.sees(None));
        assert!(user("u", "Admin").sight(&school()).sees(Some(&other)) && Scope::Operator.sight(&school()).sees(None));
    }
}
