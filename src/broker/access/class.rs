//! A class: teachers, students, and whether it is paused.

use super::name::{ClassName, UserName};
use std::collections::BTreeSet;

/// What the policy knows of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyClass {
    /// Its name, which `%g` stands for in the rules of its members.
    pub name: ClassName,
    /// Who teaches it.
    pub teachers: BTreeSet<UserName>,
    /// Who sits in it.
    pub students: BTreeSet<UserName>,
    /// Whether its students publish at the moment.
    pub course: Course,
}

/// Whether the students of a class publish at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Course {
    /// They do.
    #[default]
    Running,
    /// They stay connected and are sent messages, but publish nothing, in this class or elsewhere: all eyes on the teacher.
    Paused,
}

impl PolicyClass {
    /// Everybody in it.
    pub fn members(&self) -> impl Iterator<Item = &UserName> {
        self.teachers.iter().chain(&self.students)
    }
}
