//! One line of access control: who, where, what, and whether it is allowed or denied.

use super::name::{ClassName, RoleName, UserName};
use crate::protocol::{ClientId, InvalidTopic, Text, TopicFilter};
use std::fmt;

/// The number of a rule, as listed and removed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub i64);

/// Whom a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One account. Its rules are asked before those of its role.
    User(UserName),
    /// Everybody who has the role.
    Role(RoleName),
}

/// What a matching rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleEffect {
    /// It may be done.
    Allow,
    /// It may not; within one subject a denial is stronger than any number of permissions.
    Deny,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its number.
    pub id: RuleId,
    /// Whom it speaks of.
    pub subject: Subject,
    /// Which topics.
    pub pattern: TopicPattern,
    /// Whether it speaks of publishing.
    pub publish: bool,
    /// Whether it speaks of subscribing and receiving.
    pub subscribe: bool,
    /// What it says.
    pub effect: RuleEffect,
}

/// A topic filter in which `%u` stands for the user's name, `%g` for each of its classes and `%c` for the client
/// identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPattern(Text);

/// Why a string is no topic pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Not a topic filter.
    #[error("the topic pattern {0}")]
    Topic(#[from] InvalidTopic),
    /// A `%` that is followed by something else than `u`, `g` or `c`.
    #[error("the topic pattern holds '%' without 'u' (user name), 'g' (class) or 'c' (client id) after it")]
    Placeholder,
    /// A shared subscription is authorised as its filter, so a rule names that.
    #[error("the topic pattern begins with $share/; name the filter behind it instead")]
    Shared,
}

impl TopicPattern {
    /// Takes a filter with placeholders.
    pub fn new(pattern: &str) -> Result<Self, InvalidPattern> {
        if pattern.starts_with("$share/") {
            return Err(InvalidPattern::Shared);
        }
        let filled = fill(pattern, &Names { user: Some("u"), class: Some("g"), client_id: "c" })
            .ok_or(InvalidPattern::Placeholder)?;
        TopicFilter::try_from(filled.as_str())?;
        Ok(Self(Text::try_from(pattern).map_err(InvalidTopic::from)?))
    }

    /// The filters that the pattern means for this user, in these classes, with this client: one, or with `%g` one for
    /// each class. None where a name is missing or would change the meaning of the filter by holding `/`, `+`, `#` or NUL,
    /// or by making it a reserved one.
    pub fn expand(&self, user: Option<&UserName>, classes: &[ClassName], client_id: &ClientId) -> Vec<TopicFilter> {
        let pattern = self.0.as_str();
        if !pattern.contains('%') {
            return TopicFilter::new(self.0.clone()).into_iter().collect();
        }
        if pattern.contains("%c") && client_id.as_str().contains(['/', '+', '#', '\0']) {
            return Vec::new();
        }
        let with = |class: Option<&ClassName>| {
            let class = class.map(ClassName::as_str);
            let names = Names { user: user.map(UserName::as_str), class, client_id: client_id.as_str() };
            let filled = fill(pattern, &names)?;
            let is_reserved = filled.starts_with('$') && !pattern.starts_with('$');
            TopicFilter::try_from(filled.as_str()).ok().filter(|_| !is_reserved)
        };
        if pattern.contains("%g") {
            return classes.iter().filter_map(|class| with(Some(class))).collect();
        }
        with(None).into_iter().collect()
    }

    /// The pattern as a string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What placeholders stand for.
struct Names<'a> {
    user: Option<&'a str>,
    class: Option<&'a str>,
    client_id: &'a str,
}

/// Puts the names in; `None` for a placeholder that is none, or that has no name to stand for.
fn fill(pattern: &str, names: &Names<'_>) -> Option<String> {
    let mut filled = String::with_capacity(pattern.len());
    let mut parts = pattern.split('%');
    filled.push_str(parts.next()?);
    for part in parts {
        let mut rest = part.chars();
        match rest.next() {
            Some('u') => filled.push_str(names.user?),
            Some('g') => filled.push_str(names.class?),
            Some('c') => filled.push_str(names.client_id),
            _ => return None,
        }
        filled.push_str(rest.as_str());
    }
    Some(filled)
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Role(name) => write!(f, "role {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(pattern: &str, user: Option<&str>, client_id: &str) -> Option<String> {
        let mut filters = in_classes(pattern, user, &[], client_id);
        assert!(filters.len() < 2, "{filters:?}");
        filters.pop()
    }

    fn in_classes(pattern: &str, user: Option<&str>, classes: &[&str], client_id: &str) -> Vec<String> {
        let user = user.map(|name| UserName::new(name).unwrap());
        let classes: Vec<_> = classes.iter().map(|name| ClassName::new(name).unwrap()).collect();
        let client_id = ClientId::new(Text::try_from(client_id).unwrap()).unwrap();
        let filters = TopicPattern::new(pattern).unwrap().expand(user.as_ref(), &classes, &client_id);
        filters.iter().map(|filter| filter.as_str().to_owned()).collect()
    }

    #[test]
    fn a_class_stands_for_each_class_of_the_user() {
        let sam = |pattern, classes: &[&str]| in_classes(pattern, Some("sam"), classes, "lamp");
        assert_eq!(sam("c/%g/u/%u/#", &["7b", "chess"]), ["c/7b/u/sam/#", "c/chess/u/sam/#"]);
        assert_eq!(sam("%g/x/%g", &["7b"]), ["7b/x/7b"]);
        assert_eq!(sam("c/%g/%c", &["7b"]), ["c/7b/lamp"]);
        assert_eq!(sam("c/%g/#", &[]), Vec::<String>::new());
        assert_eq!(sam("c/x/#", &["7b", "chess"]), ["c/x/#"]);
    }

    #[test]
    fn no_name_makes_a_reserved_topic_of_one_that_is_none() {
        assert_eq!(expand("%u/#", Some("$SYS"), "c"), None);
        assert_eq!(expand("%c/#", None, "$SYS"), None);
        assert_eq!(expand("x/%u", Some("$SYS"), "c"), Some(String::from("x/$SYS")));
        assert_eq!(expand("$SYS/%u", Some("ann"), "c"), Some(String::from("$SYS/ann")));
    }

    #[test]
    fn placeholders_stand_for_the_user_and_the_client() {
        assert_eq!(expand("a/+/#", None, "c"), Some(String::from("a/+/#")));
        assert_eq!(expand("%u/%c/x%u", Some("ann"), "c"), Some(String::from("ann/c/xann")));
        assert_eq!(expand("%u/#", None, "c"), None);
        assert_eq!(expand("%c/#", None, "c"), Some(String::from("c/#")));
    }

    /// Names with wildcards in them must not widen a rule.
    #[test]
    fn a_client_id_that_would_change_the_meaning_of_the_filter_gets_nothing() {
        for client_id in ["#", "+", "a/b", "a/#", "+/x"] {
            assert_eq!(expand("home/%c/#", Some("ann"), client_id), None, "{client_id}");
            assert_eq!(expand("home/%u", Some("ann"), client_id), Some(String::from("home/ann")));
        }
        assert_eq!(expand("home/%c", None, "%u"), Some(String::from("home/%u")));
        assert_eq!(expand("home/%c", None, ".*(a|b)"), Some(String::from("home/.*(a|b)")));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["%", "%x", "a/%", "%%u", "100%"] {
            assert_eq!(TopicPattern::new(pattern), Err(InvalidPattern::Placeholder), "{pattern}");
        }
        assert_eq!(TopicPattern::new("$share/g/a"), Err(InvalidPattern::Shared));
        for pattern in ["", "a/#/b", "a+", "%u#"] {
            assert!(matches!(TopicPattern::new(pattern), Err(InvalidPattern::Topic(_))), "{pattern}");
        }
    }
}
