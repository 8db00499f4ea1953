//! The text of a configuration file, as values that know their lines.

use super::problem::{ConfigProblem, ProblemKind};
use super::source::Source;
use super::tree::{Entry, Table, Value};
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The values of a configuration file. `path` is what its lines are named after.
pub(super) fn parse_file(path: &Path, text: &str) -> Result<Table, Vec<ConfigProblem>> {
    let path: Arc<Path> = path.into();
    parse(text, &|offset| Source::File(path.clone(), line_of(text.as_bytes(), offset)))
}

/// A value written as TOML in one place: what an environment variable holds.
pub(super) fn parse_value(source: &Source, text: &str) -> Option<Value> {
    let document = format!("value = {text}");
    let mut table = parse(&document, &|_| source.clone()).ok()?;
    let value = table.take(&["value"])?.value;
    // A line break in the text could have begun another option.
    table.entries().next().is_none().then_some(value)
}

fn parse(text: &str, source: &dyn Fn(usize) -> Source) -> Result<Table, Vec<ConfigProblem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(document.get_ref(), source));
    }
    let mut problems: Vec<ConfigProblem> = Vec::new();
    for error in errors {
        let source = source(error.span().map_or(0, |span| span.start));
        // One slip breaks the rest of its line in several ways; the first is the one to mend.
        if problems.last().is_none_or(|last| last.source != source) {
            problems.push(ConfigProblem {
                source,
                key: String::new(),
                kind: ProblemKind::Syntax(error.message().to_owned()),
            });
        }
    }
    Err(problems)
}

fn table(document: &DeTable<'_>, source: &dyn Fn(usize) -> Source) -> Table {
    let mut table = Table::default();
    for (name, value) in document {
        let entry = Entry { source: source(name.span().start), value: convert(value.get_ref(), source) };
        table.put(&[name.get_ref()], entry);
    }
    table
}

fn convert(value: &DeValue<'_>, source: &dyn Fn(usize) -> Source) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Unusable(number.to_string()), Value::Integer),
        DeValue::Float(number) => Value::Unusable(number.to_string()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(date) => Value::Unusable(date.to_string()),
        DeValue::Array(items) => {
            let entry = |item: &Spanned<DeValue<'_>>| Entry {
                source: source(item.span().start),
                value: convert(item.get_ref(), source),
            };
            Value::Array(items.iter().map(entry).collect())
        }
        DeValue::Table(document) => Value::Table(table(document, source)),
    }
}

/// The line, counted from 1, that the byte at `offset` is in.
pub(super) fn line_of(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|&&byte| byte == b'\n').count()
}
