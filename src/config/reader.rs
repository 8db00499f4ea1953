//! Draws one option after the other out of what was written, and notes what is wrong instead of stopping.

use super::colour::Colour;
use super::file::parse_value;
use super::nearest::nearest;
use super::problem::{ConfigProblem, ProblemKind, Wanted};
use super::source::{Setting, Source};
use super::tree::{Entry, Table, Value};
use crate::broker::RoleName;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What was written, the options drawn from it so far, and what was wrong with them.
///
/// Every option is drawn exactly once, with its range and default: that call is the one place where it exists. A wrong
/// value is noted and its default returned, so that all problems are found in one go.
pub(super) struct Reader {
    /// What stands before each name: empty, or `listeners[0].`.
    prefix: String,
    written: Table,
    options: Vec<String>,
    settings: Vec<Setting>,
    problems: Vec<ConfigProblem>,
}

/// What a list of tables has to be, in words.
pub(super) struct TableList {
    /// The whole.
    pub(super) list: Wanted,
    /// One of them.
    pub(super) item: Wanted,
}

impl Reader {
    pub(super) fn new(written: Table) -> Self {
        Self::within(String::new(), written)
    }

    fn within(prefix: String, written: Table) -> Self {
        Self { prefix, written, options: Vec::new(), settings: Vec::new(), problems: Vec::new() }
    }

    /// A whole number.
    pub(super) fn number<N>(&mut self, key: &str, range: RangeInclusive<N>, default: N) -> N
    where
        N: Copy + TryInto<i64> + TryFrom<i64>,
    {
        // No option goes beyond what TOML can write.
        let wide = |number: N| number.try_into().unwrap_or(i64::MAX);
        let (min, max) = (wide(*range.start()), wide(*range.end()));
        let parse = |entry: &Entry| {
            let number = match &entry.value {
                Value::Integer(number) => Some(*number),
                Value::Raw(text) => text.replace('_', "").parse().ok(),
                Value::String(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) | Value::Unusable(_) => None,
            };
            number
                .filter(|number| (min..=max).contains(number))
                .and_then(|number| N::try_from(number).ok())
                .ok_or_else(|| not(entry, Wanted::WholeNumber(min, max)))
        };
        self.draw(key, default, |&number| toml::Value::Integer(wide(number)), parse)
    }

    /// A number of which 0 means that the broker chooses.
    pub(super) fn number_or_automatic(&mut self, key: &str, max: usize) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.number(key, 0..=max, 0))
    }

    /// A time in whole seconds.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<u64>, default: Duration) -> Duration {
        Duration::from_secs(self.number(key, range, default.as_secs()))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        self.draw(
            key,
            default,
            |&value| toml::Value::Boolean(value),
            |entry| match &entry.value {
                Value::Boolean(value) => Ok(*value),
                Value::Raw(text) => text.parse().map_err(|_| not(entry, Wanted::Flag)),
                Value::String(_) | Value::Integer(_) | Value::Array(_) | Value::Table(_) | Value::Unusable(_) => {
                    Err(not(entry, Wanted::Flag))
                }
            },
        )
    }

    /// One value out of a list, by its name.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, name: fn(T) -> &'static str, all: &[T], default: T) -> T {
        let parse = |entry: &Entry| {
            let word = text_of(entry).unwrap_or_default();
            let found = all.iter().find(|&&value| name(value) == word);
            found.copied().ok_or_else(|| not(entry, Wanted::OneOf(all.iter().map(|&value| name(value)).collect())))
        };
        self.draw(key, default, |&value| name(value).into(), parse)
    }

    /// One value out of a list, by its name, or an empty string for none.
    pub(super) fn optional_choice<T: Copy>(&mut self, key: &str, name: fn(T) -> &'static str, all: &[T]) -> Option<T> {
        let names = || all.iter().map(|&value| name(value)).chain([""]).collect();
        let parse = |entry: &Entry| match text_of(entry).unwrap_or("?") {
            "" => Ok(None),
            word => {
                let found = all.iter().find(|&&value| name(value) == word);
                found.map(|&value| Some(value)).ok_or_else(|| not(entry, Wanted::OneOf(names())))
            }
        };
        self.draw(key, None, |value| value.map_or("", name).into(), parse)
    }

    /// A path that must be there; a relative one in a file begins at the file.
    pub(super) fn path(&mut self, key: &str, default: &Path) -> PathBuf {
        self.draw(
            key,
            default.to_owned(),
            |path| show_path(path),
            |entry| match text_of(entry)? {
                "" => Err(not(entry, Wanted::Path)),
                path => Ok(located(path, &entry.source)),
            },
        )
    }

    /// A path, or an empty string for none; a relative one in a file begins at the file.
    pub(super) fn optional_path(&mut self, key: &str) -> Option<PathBuf> {
        let show = |path: &Option<PathBuf>| show_path(path.as_deref().unwrap_or(Path::new("")));
        self.draw(key, None, show, |entry| match text_of(entry)? {
            "" => Ok(None),
            path => Ok(Some(located(path, &entry.source))),
        })
    }

    /// The name of a role, or an empty string for none.
    pub(super) fn optional_role(&mut self, key: &str) -> Option<RoleName> {
        let show = |role: &Option<RoleName>| role.as_ref().map_or("", RoleName::as_str).into();
        self.draw(key, None, show, |entry| match text_of(entry)? {
            "" => Ok(None),
            name => RoleName::new(name).map(Some).map_err(ProblemKind::Role),
        })
    }

    /// A colour, or an empty string for none.
    pub(super) fn optional_colour(&mut self, key: &str) -> Option<Colour> {
        let show = |colour: &Option<Colour>| colour.map_or(String::new(), |colour| colour.to_string()).into();
        self.draw(key, None, show, |entry| match text_of(entry)? {
            "" => Ok(None),
            text => Colour::parse(text).map(Some).ok_or_else(|| not(entry, Wanted::Colour)),
        })
    }

    /// An IP address of this machine.
    pub(super) fn address(&mut self, key: &str, default: IpAddr) -> IpAddr {
        let show = |address: &IpAddr| address.to_string().into();
        self.draw(key, default, show, |entry| text_of(entry)?.parse().map_err(|_| not(entry, Wanted::Address)))
    }

    /// A text that `parse` understands; nothing if it does not, for there is no saying then what was meant.
    pub(super) fn text<T: fmt::Display>(
        &mut self,
        key: &str,
        default: T,
        parse: impl Fn(&str) -> Result<T, ProblemKind>,
    ) -> Option<T> {
        let problems = self.problems.len();
        let value = self.draw(key, default, |value| value.to_string().into(), |entry| parse(text_of(entry)?));
        (self.problems.len() == problems).then_some(value)
    }

    /// A list of tables, each read by `read`; a text stands for a table with only `main` in it. Nothing if it is not
    /// written at all.
    pub(super) fn tables<T>(
        &mut self,
        key: &str,
        main: &str,
        wanted: &TableList,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.options.push(key.to_owned());
        let entry = self.take(key)?;
        let Some(items) = items_of(&entry).filter(|items| !items.is_empty()) else {
            self.note(&entry.source, key, not(&entry, wanted.list.clone()));
            return None;
        };
        let mut values = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let name = format!("{key}[{index}]");
            let Some(table) = table_of(&item, main) else {
                self.note(&item.source, &name, not(&item, wanted.item.clone()));
                continue;
            };
            let mut reader = Self::within(format!("{}{name}.", self.prefix), table);
            values.extend(read(&mut reader));
            reader.note_unknown_keys();
            self.settings.append(&mut reader.settings);
            self.problems.append(&mut reader.problems);
        }
        Some(values)
    }

    /// Where the value of an option that was drawn comes from.
    pub(super) fn source_of(&self, key: &str) -> Source {
        let key = format!("{}{key}", self.prefix);
        self.settings.iter().find(|setting| setting.key == key).map_or(Source::Default, |found| found.source.clone())
    }

    /// Notes what is wrong with an option that was drawn, in the light of others.
    pub(super) fn note_at(&mut self, key: &str, kind: ProblemKind) {
        self.note(&self.source_of(key), key, kind);
    }

    /// An option that has its default, and is not read because the group it belongs to was not written.
    pub(super) fn default_setting(&mut self, key: String, value: toml::Value) {
        self.settings.push(Setting { key, value, source: Source::Default });
    }

    /// All options as they hold, and all problems, those with names that no option has included.
    pub(super) fn finish(mut self) -> (Vec<Setting>, Vec<ConfigProblem>) {
        self.note_unknown_keys();
        (self.settings, self.problems)
    }

    fn draw<T>(
        &mut self,
        key: &str,
        default: T,
        show: impl Fn(&T) -> toml::Value,
        parse: impl Fn(&Entry) -> Result<T, ProblemKind>,
    ) -> T {
        self.options.push(key.to_owned());
        let (value, source) = match self.take(key) {
            None => (default, Source::Default),
            Some(entry) => match parse(&entry) {
                Ok(value) => (value, entry.source),
                Err(kind) => {
                    self.note(&entry.source, key, kind);
                    (default, entry.source)
                }
            },
        };
        self.settings.push(Setting { key: format!("{}{key}", self.prefix), value: show(&value), source });
        value
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        self.written.take(&key.split('.').collect::<Vec<_>>())
    }

    fn note(&mut self, source: &Source, key: &str, kind: ProblemKind) {
        self.problems.push(ConfigProblem { source: source.clone(), key: format!("{}{key}", self.prefix), kind });
    }

    fn note_unknown_keys(&mut self) {
        let written = std::mem::take(&mut self.written);
        self.note_unknown_keys_in("", &written);
    }

    fn note_unknown_keys_in(&mut self, group: &str, table: &Table) {
        for (name, entry) in table.entries() {
            let key = if group.is_empty() { name.to_owned() } else { format!("{group}.{name}") };
            let is_group = self.options.iter().any(|option| option.starts_with(&format!("{key}.")));
            // A variable names its option in full, so a wrong group in it is a wrong option.
            let names_options = is_group || matches!(entry.source, Source::Variable(_));
            match &entry.value {
                Value::Table(below) if names_options => self.note_unknown_keys_in(&key, below),
                _ if is_group => self.note(&entry.source, &key, not(entry, Wanted::Group)),
                _ => {
                    let nearest = self.nearest_key(&key);
                    self.note(&entry.source, &key, ProblemKind::UnknownKey { nearest });
                }
            }
        }
    }

    /// The option or group with the name most like `key`.
    fn nearest_key(&self, key: &str) -> Option<String> {
        let groups = self.options.iter().filter_map(|option| option.rsplit_once('.')).map(|(group, _)| group);
        nearest(key, groups.chain(self.options.iter().map(String::as_str))).map(|near| format!("{}{near}", self.prefix))
    }
}

fn not(entry: &Entry, wanted: Wanted) -> ProblemKind {
    ProblemKind::Not { found: entry.value.to_string(), wanted }
}

fn text_of(entry: &Entry) -> Result<&str, ProblemKind> {
    match &entry.value {
        Value::String(text) | Value::Raw(text) => Ok(text),
        Value::Integer(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) | Value::Unusable(_) => {
            Err(not(entry, Wanted::Text))
        }
    }
}

fn items_of(entry: &Entry) -> Option<Vec<Entry>> {
    match &entry.value {
        Value::Array(items) => Some(items.clone()),
        Value::Raw(text) => match parse_value(&entry.source, text)? {
            Value::Array(items) => Some(items),
            Value::Raw(_) | Value::String(_) | Value::Integer(_) => None,
            Value::Boolean(_) | Value::Table(_) | Value::Unusable(_) => None,
        },
        Value::String(_) | Value::Integer(_) | Value::Boolean(_) | Value::Table(_) | Value::Unusable(_) => None,
    }
}

fn table_of(item: &Entry, main: &str) -> Option<Table> {
    match &item.value {
        Value::Table(table) => Some(table.clone()),
        Value::String(_) => {
            let mut table = Table::default();
            table.put(&[main], item.clone());
            Some(table)
        }
        Value::Raw(_) | Value::Integer(_) | Value::Boolean(_) | Value::Array(_) | Value::Unusable(_) => None,
    }
}

/// Where a relative path begins: at the file that names it, so that it does not matter where the broker is started; for
/// flags and the environment, where the broker is started.
fn located(path: &str, source: &Source) -> PathBuf {
    match source {
        Source::File(file, _) => file.parent().unwrap_or(Path::new("")).join(path),
        Source::Default | Source::Variable(_) | Source::Flag(_) => PathBuf::from(path),
    }
}

fn show_path(path: &Path) -> toml::Value {
    path.to_string_lossy().into_owned().into()
}
