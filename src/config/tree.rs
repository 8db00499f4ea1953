//! What somebody wrote, not yet understood: values with the place they were written at.

use super::source::Source;
use std::collections::BTreeMap;
use std::fmt;

/// A value somebody wrote, and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) value: Value,
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Text whose kind the option decides: what the environment has.
    Raw(String),
    String(String),
    Integer(i64),
    Boolean(bool),
    Array(Vec<Entry>),
    Table(Table),
    /// A float or a date, which no option is, or a number beyond every option's range; as it was written.
    Unusable(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(text) | Self::String(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Array(items) if items.is_empty() => f.write_str("an empty list"),
            Self::Array(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a group of options"),
            Self::Unusable(text) => f.write_str(text),
        }
    }
}

/// Names and what was written for them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Table(BTreeMap<String, Entry>);

impl Table {
    /// Puts an entry where the names lead, making the groups on the way. Something else in the way is replaced.
    pub(super) fn put(&mut self, path: &[&str], entry: Entry) {
        let Some((name, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            self.0.insert((*name).to_owned(), entry);
            return;
        }
        let empty = || Entry { source: entry.source.clone(), value: Value::Table(Self::default()) };
        let below = self.0.entry((*name).to_owned()).or_insert_with(empty);
        if !matches!(below.value, Value::Table(_)) {
            *below = empty();
        }
        if let Value::Table(table) = &mut below.value {
            table.put(rest, entry);
        }
    }

    /// Takes out what the names lead to.
    pub(super) fn take(&mut self, path: &[&str]) -> Option<Entry> {
        let (name, rest) = path.split_first()?;
        if rest.is_empty() {
            return self.0.remove(*name);
        }
        match &mut self.0.get_mut(*name)?.value {
            Value::Table(table) => table.take(rest),
            Value::Raw(_) | Value::String(_) | Value::Integer(_) => None,
            Value::Boolean(_) | Value::Array(_) | Value::Unusable(_) => None,
        }
    }

    /// Lays another table over this one: groups are merged, everything else is replaced.
    pub(super) fn overlay(&mut self, above: Self) {
        for (name, entry) in above.0 {
            match (self.0.get_mut(&name), entry) {
                (Some(Entry { value: Value::Table(below), .. }), Entry { value: Value::Table(above), .. }) => {
                    below.overlay(above);
                }
                (_, entry) => drop(self.0.insert(name, entry)),
            }
        }
    }

    /// Every name and its entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }
}
