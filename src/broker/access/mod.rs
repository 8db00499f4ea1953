//! Who may what: names, principals, rules, and the policy that answers with a verdict and its reason.

mod name;
mod principal;
mod class;
mod rule;
mod policy;

pub use class::{Course, PolicyClass};
pub use name::{ClassName, InvalidName, RoleName, UserName};
pub use policy::{Permission, Policy, PolicyUser, Rights, Verdict};
pub use principal::Principal;
pub use rule::{InvalidPattern, Rule, RuleEffect, RuleId, Subject, TopicPattern};
