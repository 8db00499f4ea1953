//! A list of accounts, as a school has it: looked at first, and then added as a whole.

use super::call::{Call, json};
use super::problem::AdminError;
use super::users::{demand_long, hash, new_user};
use crate::auth::generate_password;
use crate::broker::{RoleName, UserName};
use crate::store::Directory;
use actix_web::HttpResponse;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json as object;
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    csv: String,
    #[serde(default = "yes")]
    preview: bool,
}

fn yes() -> bool {
    true
}

/// A line as it is answered.
#[derive(Serialize)]
struct ShownRow {
    line: usize,
    name: String,
    role: String,
    error: Option<String>,
    /// The same for pages, which say it in their own words.
    code: Option<&'static str>,
    /// Made up here, said once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// What is wrong with a line: a code, and words.
struct RowProblem(&'static str, String);

struct Row {
    line: usize,
    name: String,
    role: String,
    password: Option<String>,
}

/// So many accounts at once: hashing their passwords takes some seconds.
const MOST: usize = 500;

/// Looks at a list of `name,role,password` lines, and if asked to adds them; nothing unless every line is right. Who has
/// no password in the list gets one made up.
pub async fn import(call: Call) -> Result<HttpResponse, AdminError> {
    let Import { csv, preview } = call.json()?;
    let rows = rows(&csv);
    if rows.len() > MOST {
        return Err(AdminError::TooMany("lines; 500 at once"));
    }
    let directory = call.office.directory().await?;
    let mut seen = BTreeSet::new();
    let problems: Vec<_> = rows.iter().map(|row| problem_of(row, &directory, &mut seen)).collect();
    let is_right = problems.iter().all(Option::is_none);
    let mut shown = Vec::with_capacity(rows.len());
    if preview || !is_right {
        for (row, problem) in rows.into_iter().zip(problems) {
            let (code, error) = problem.map(|RowProblem(code, words)| (code, words)).unzip();
            shown.push(ShownRow { line: row.line, name: row.name, role: row.role, error, code, password: None });
        }
        return json(&object!({ "rows": shown, "written": 0, "right": is_right }));
    }
    let mut users = Vec::with_capacity(rows.len());
    for row in rows {
        let (name, role) =
            (UserName::new(&row.name).map_err(AdminError::name)?, RoleName::new(&row.role).map_err(AdminError::name)?);
        let (password, made_up) = match row.password {
            Some(password) => (SecretString::from(password), None),
            None => {
                let password = generate_password()?;
                let text = password.expose_secret().to_owned();
                (password, Some(text))
            }
        };
        users.push(new_user(name, role, Some(hash(&call, password).await?)));
        let (error, code) = (None, None);
        shown.push(ShownRow { line: row.line, name: row.name, role: row.role, error, code, password: made_up });
    }
    for user in &users {
        call.office.database.add_user(user).await?;
    }
    call.record("user import", format!("{} users", users.len())).await?;
    json(&object!({ "rows": shown, "written": users.len(), "right": true }))
}

fn problem_of(row: &Row, directory: &Directory, seen: &mut BTreeSet<String>) -> Option<RowProblem> {
    let name = match UserName::new(&row.name) {
        Ok(name) => name,
        Err(problem) => return Some(RowProblem("row-name", problem.to_string())),
    };
    if directory.users.iter().any(|user| user.name == name) {
        return Some(RowProblem("row-exists", "there is a user of this name already".into()));
    }
    if !seen.insert(row.name.clone()) {
        return Some(RowProblem("row-twice", "the name is in the list twice".into()));
    }
    if !directory.roles.iter().any(|role| role.name.as_str() == row.role) {
        return Some(RowProblem("row-role", "there is no such role".into()));
    }
    let password = row.password.clone()?;
    demand_long(password.into()).err().map(|problem| RowProblem("row-password", problem.to_string()))
}

/// The lines with something in them, without a first one that names the columns. Comma or semicolon, quotes as
/// spreadsheets set them.
fn rows(csv: &str) -> Vec<Row> {
    let lines = csv.trim_start_matches('\u{feff}').lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(number, line)| {
        let mut fields = fields(line).into_iter();
        let mut next = || fields.next().unwrap_or_default();
        let (name, role, password) = (next(), next(), next());
        Row { line: number + 1, name, role, password: Some(password).filter(|password| !password.is_empty()) }
    });
    rows.filter(|row| !(row.line == 1 && row.name.eq_ignore_ascii_case("name"))).collect()
}

fn fields(line: &str) -> Vec<String> {
    let separator = if line.contains(';') && !line.contains(',') { ';' } else { ',' };
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(field) = fields.last_mut() else { break };
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            _ if character == separator && !is_quoted => fields.push(String::new()),
            _ => field.push(character),
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_spreadsheets_write_it() {
        let read = |csv: &str| {
            let rows = rows(csv).into_iter();
            rows.map(|row| (row.line, row.name, row.role, row.password.unwrap_or_default())).collect::<Vec<_>>()
        };
        let row = |line, name: &str, role: &str, password: &str| {
            (line, name.to_owned(), role.to_owned(), password.to_owned())
        };
        assert_eq!(
            read("\u{feff}Name,Role,Password\r\nsam,Student,\r\n\r\n\"de la Cruz, Ana\",Student,\"a \"\"b\"\"\"\n"),
            [row(2, "sam", "Student", ""), row(4, "de la Cruz, Ana", "Student", "a \"b\"")]
        );
        assert_eq!(read("sam;Student;geheim"), [row(1, "sam", "Student", "geheim")]);
        assert_eq!(read("sam"), [row(1, "sam", "", "")]);
        assert_eq!(read(""), []);
    }
}
