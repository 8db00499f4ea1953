//! Source files as the rules see them: code without comments, strings and tests, and the paths that it names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a tree, by their path from its root, as `src/broker/mod.rs`.
pub struct Tree(pub BTreeMap<String, SourceFile>);

/// A Rust file.
pub struct SourceFile {
    /// As written.
    pub text: String,
    /// Where it is in the crate: `broker::access::rule`.
    pub module: Vec<String>,
    /// Words and signs, without comments, strings and what is compiled for tests only.
    pub code: Vec<Token>,
    /// The modules below it that are compiled for tests only.
    pub tests: Vec<String>,
}

/// A word, a number or a sign; `::` is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A path named in code, as `crate::broker::Reason`, whole even if it was written as a tree of `use`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPath {
    pub parts: Vec<String>,
    pub line: usize,
}

impl Tree {
    /// Every Rust file below `root/folder`.
    pub fn read(root: &Path, folder: &str) -> Self {
        let mut files = BTreeMap::new();
        for path in walk(&root.join(folder)).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let file = SourceFile::new(&name, fs::read_to_string(&path).unwrap());
            files.insert(name, file);
        }
        Self(files)
    }

    /// A tree that exists in a test only.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(name, text): &(&str, &str)| ((*name).to_owned(), SourceFile::new(name, (*text).to_owned()));
        Self(files.iter().map(file).collect())
    }

    /// What is compiled into the program, with its name.
    pub fn shipped(&self) -> impl Iterator<Item = (&String, &SourceFile)> {
        self.0.iter().filter(|(name, file)| {
            let is_test = |door: &SourceFile| {
                let inside = file.module.strip_prefix(door.module.as_slice());
                inside.and_then(<[String]>::first).is_some_and(|child| door.tests.contains(child))
            };
            !name.starts_with("tests/") && !self.0.values().any(is_test)
        })
    }

    /// The names of the modules below `module`, in the order in which its door lists them.
    pub fn children(&self, module: &[String]) -> Vec<String> {
        let door = self.0.iter().find(|(name, file)| file.module == module && *name != "src/main.rs");
        let Some((_, door)) = door else { return Vec::new() };
        let declared =
            |window: &[Token]| (window[0].text == "mod" && window[2].text == ";").then(|| window[1].text.clone());
        door.code.windows(3).filter_map(declared).collect()
    }
}

/// Every file below a folder, in the order of their names; generated folders are left out.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    const GENERATED: [&str; 6] = ["target", ".git", ".cache", "node_modules", "__pycache__", "securemq-data"];
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries.map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if GENERATED.iter().any(|generated| name == *generated) {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

impl SourceFile {
    fn new(name: &str, text: String) -> Self {
        let inside = name.trim_start_matches("src/").trim_end_matches(".rs");
        let module = inside.split('/').filter(|part| !matches!(*part, "mod" | "lib")).map(str::to_owned).collect();
        let (code, test_code) = split_tests(&tokens(&text));
        let tests = declared(&test_code);
        Self { text, module, code, tests }
    }

    /// Whether it lists modules and is named after its folder.
    pub fn is_door(name: &str) -> bool {
        name.ends_with("/mod.rs") || name == "src/lib.rs"
    }

    /// Every path that the code names.
    pub fn paths(&self) -> Vec<NamedPath> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.code.len() {
            let follows = |text: &str| at > 0 && self.code[at - 1].text == text;
            let begins = is_word(&self.code[at].text) && !follows("::") && !follows(".");
            let goes_on = self.code.get(at + 1).is_some_and(|next| next.text == "::");
            match begins && (goes_on || follows("use")) {
                true => at = self.path(at, &[], &mut paths),
                false => at += 1,
            }
        }
        paths
    }

    /// The path, or tree of paths, that begins at a word; returns where the code goes on.
    fn path(&self, mut at: usize, before: &[String], paths: &mut Vec<NamedPath>) -> usize {
        let mut parts = before.to_vec();
        let line = self.code[at].line;
        loop {
            match self.code[at].text.as_str() {
                "{" => return self.group(at + 1, &parts, paths),
                "self" if !parts.is_empty() => {}
                word => parts.push(word.to_owned()),
            }
            at += 1;
            let goes_on = self.code.get(at).is_some_and(|sign| sign.text == "::")
                && self
                    .code
                    .get(at + 1)
                    .is_some_and(|next| is_word(&next.text) || matches!(next.text.as_str(), "{" | "*"));
            if !goes_on {
                paths.push(NamedPath { parts, line });
                return at;
            }
            at += 1;
        }
    }

    fn group(&self, mut at: usize, before: &[String], paths: &mut Vec<NamedPath>) -> usize {
        while at < self.code.len() {
            match self.code[at].text.as_str() {
                "}" => return at + 1,
                "," => at += 1,
                "as" => at += 2,
                _ => at = self.path(at, before, paths),
            }
        }
        at
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits Rust into words and signs. Comments vanish; a string, of whatever kind, becomes `""`.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (kind, length) = piece(rest, first);
        let (piece, after) = rest.split_at(length);
        match kind {
            Piece::Gap => {}
            Piece::Text => tokens.push(Token { text: "\"\"".to_owned(), line }),
            Piece::Code => tokens.push(Token { text: piece.to_owned(), line }),
        }
        line += piece.matches('\n').count();
        rest = after;
    }
    tokens
}

enum Piece {
    Gap,
    Text,
    Code,
}

fn piece(rest: &str, first: char) -> (Piece, usize) {
    if first.is_whitespace() {
        return (Piece::Gap, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (Piece::Gap, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Piece::Gap, block_comment(rest));
    }
    if let Some(length) = string(rest) {
        return (Piece::Text, length);
    }
    if is_word(&rest[..first.len_utf8()]) || first.is_numeric() {
        return (Piece::Code, rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()));
    }
    if first == '\'' {
        return quote(rest);
    }
    let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
    (Piece::Code, length)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of `"…"`, `b"…"`, `c"…"`, `r#"…"#` and so on.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix);
        after.is_some_and(|after| after.starts_with('"') || (prefix.ends_with('r') && is_raw(after)))
    })?;
    let body = &rest[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let length = body[hashes + 1..].find(&end).map_or(body.len(), |at| hashes + 1 + at + end.len());
        return Some(prefix.len() + length);
    }
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match (escaped, c) {
            (false, '"') => return Some(prefix.len() + at + 1),
            (false, '\\') => escaped = true,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

fn is_raw(after: &str) -> bool {
    after.starts_with('#') && after.trim_start_matches('#').starts_with('"')
}

/// A character, `'a'` or `'\n'`, or the sign of a lifetime.
fn quote(rest: &str) -> (Piece, usize) {
    let body = &rest[1..];
    if body.starts_with('\\') {
        let end = body[2..].find('\'').map_or(rest.len(), |at| at + 4);
        return (Piece::Text, end);
    }
    let mut characters = body.char_indices().skip(1);
    match characters.next() {
        Some((at, '\'')) => (Piece::Text, at + 2),
        _ => (Piece::Code, 1),
    }
}

/// The code that ships, and the items with `#[cfg(test)]` before them.
fn split_tests(tokens: &[Token]) -> (Vec<Token>, Vec<Token>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut shipped, mut tests) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let window = &tokens[at..tokens.len().min(at + MARK.len())];
        if window.iter().map(|token| token.text.as_str()).eq(MARK) {
            let end = end_of_item(tokens, at + MARK.len());
            tests.extend_from_slice(&tokens[at..end]);
            at = end;
        } else {
            shipped.push(tokens[at].clone());
            at += 1;
        }
    }
    (shipped, tests)
}

/// The modules that have files of their own: `mod name;`.
fn declared(code: &[Token]) -> Vec<String> {
    let name = |window: &[Token]| (window[0].text == "mod" && window[2].text == ";").then(|| window[1].text.clone());
    code.windows(3).filter_map(name).collect()
}

/// After the `;` or the closing brace that ends the item.
fn end_of_item(tokens: &[Token], begin: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(begin) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
