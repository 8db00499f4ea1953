//! The shape of the source: arrows between layers, order within folders, purity, homes of crates, and small rules.
//!
//! A failure says what to do. The rules are functions over a tree of files, so that each is also shown a wrong tree.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a file that can't be read ends the test")]

#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/wrong_trees.rs"]
mod wrong_trees;

use source::{NamedPath, SourceFile, Tree, tokens, walk};
use std::fs;
use std::path::PathBuf;

/// The layers from below. A module imports lower rows only, and two modules of one row do not know each other.
const ROWS: &[&[&str]] = &[
    &["protocol"],
    &["broker"],
    &["config"],
    &["store"],
    &["auth", "audit"],
    &["server"],
    &["bridge", "cluster"],
    &["bench", "admin"],
    &["cli"],
];

/// Where all is a function of its arguments.
const PURE: &[&str] =
    &["protocol", "broker", "bridge::client", "bridge::mapping", "cluster::membership", "cluster::handover"];

/// The crates that pure modules may use.
const PURE_CRATES: &[&str] = &["bytes", "thiserror"];

/// What pure modules may not use of the standard library: clocks, files, threads, locks, sockets, the process.
const IMPURE_STD: &[&str] = &[
    "std::env",
    "std::fs",
    "std::hash::RandomState",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::mpsc",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Crates that live in these modules only.
const HOMES: &[(&str, &[&str])] = &[
    ("actix_web", &["admin"]),
    ("actix_ws", &["admin"]),
    ("anyhow", &["cli"]),
    ("argon2", &["auth", "store::keys", "store::error"]),
    ("chacha20poly1305", &["store"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("dialoguer", &["cli"]),
    ("flate2", &["admin"]),
    ("mimalloc", &["main"]),
    ("rcgen", &["auth", "server", "cli"]),
    ("rust_embed", &["admin"]),
    ("rustls", &["auth", "server", "bridge", "cli"]),
    ("sqlx", &["store"]),
    ("tokio_rustls", &["server", "bridge", "cli"]),
    ("tokio_tungstenite", &["server", "bridge", "cli"]),
    ("x509_parser", &["auth", "server", "cli"]),
];

/// Crates that live from a row upwards.
const LOWEST_ROW: &[(&str, &str)] = &[("tokio", "store"), ("tokio_util", "store"), ("tracing", "config")];

/// Files that may be longer than [`LONGEST_FILE`], each with its reason.
const LONG_FILES: &[(&str, &str)] = &[
    ("src/protocol/wire_cases.rs", "a table of packets as bytes"),
    ("tests/it/support/wire.rs", "a table of packets as bytes"),
    ("tests/sim/world.rs", "all that can happen in a simulated world"),
];

const LONGEST_FILE: usize = 600;

/// `expect` outside tests, in the whole program.
const MOST_EXPECTS: usize = 10;

#[test]
fn the_arrows_between_layers_point_down() {
    pass("import lower rows only, or move what both need down", &layers(&source()));
}

#[test]
fn a_file_imports_only_files_listed_above_it_in_its_folder() {
    pass("list the file further up in its mod.rs, or move what both need into a file above", &order(&source()));
}

#[test]
fn every_file_is_listed_by_the_door_of_its_folder() {
    pass("write `mod name;` into the door, below what the file imports, or delete the file", &unlisted(&source()));
}

#[test]
fn pure_modules_use_only_std_bytes_and_thiserror() {
    pass("take time, seeds and answers as arguments, or move this up a row", &purity(&source(), &dependencies()));
}

#[test]
fn every_crate_stays_in_its_home() {
    pass("ask the home for what you need, as a function or a type of ours", &homes(&source()));
}

#[test]
fn only_one_file_prints() {
    pass("return the text and let a command print it with Output", &printing(&source()));
}

#[test]
fn a_door_holds_no_functions() {
    pass("move the function into a file named after what it is about", &doors(&source()));
}

#[test]
fn files_are_named_after_nouns_say_what_they_are_for_and_stay_short() {
    let problems: Vec<String> = [source(), Tree::read(&root(), "tests")].iter().flat_map(files).collect();
    pass("see STYLE: a noun of the domain, `//!` in the first line, under 600 lines", &problems);
}

#[test]
fn nothing_is_left_to_do() {
    let problems: Vec<String> = [source(), Tree::read(&root(), "tests")].iter().flat_map(leftovers).collect();
    pass("finish it, or say it in the issue", &problems);
}

#[test]
fn expect_is_rare() {
    let found = expects(&source());
    let problems = if found.len() > MOST_EXPECTS { found } else { Vec::new() };
    pass(&format!("return an error: {MOST_EXPECTS} are allowed in the whole program"), &problems);
}

#[test]
fn citations_of_the_specification_are_well_formed() {
    let problems: Vec<String> = [source(), Tree::read(&root(), "tests")].iter().flat_map(citations).collect();
    pass("write [v5:MQTT-3.3.1-4], [v311:MQTT-3.3.1-2] or, for 3.1 and for sections, [v31:3.1]", &problems);
}

#[test]
fn the_tree_names_no_machine_and_no_package_host() {
    let mut problems = Vec::new();
    for path in walk(&root()) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if !is_rule(&name) {
            problems.extend(machine_names(&name, &text));
        }
    }
    pass("name it by a path from the repository or a variable; lock files keep versions and checksums only", &problems);
}

#[test]
fn every_dependency_comes_from_the_registry() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    pass("use a released version", &foreign_dependencies(&manifest.parse().unwrap()));
}

#[test]
fn every_name_in_the_rules_is_a_dependency_or_a_module() {
    let (dependencies, modules) = (dependencies(), ROWS.concat());
    let known = |home: &str| home == "main" || modules.contains(&home.split("::").next().unwrap());
    for (_, home) in HOMES {
        assert!(home.iter().all(|home| known(home)), "{home:?}: ROWS has no such module");
    }
    for name in HOMES.iter().map(|(name, _)| *name).chain(LOWEST_ROW.iter().map(|(name, _)| *name)) {
        let is_dependency = dependencies.iter().any(|dependency| dependency == name);
        assert!(is_dependency, "{name} is no dependency: take it out of the rules of tidy.rs");
    }
}

fn root() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
}

fn source() -> Tree {
    Tree::read(&root(), "src")
}

/// The names of the crates that the program is built from, as they stand in code.
fn dependencies() -> Vec<String> {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

/// Whether a file is of these rules, and so holds examples of what is wrong.
fn is_rule(name: &str) -> bool {
    name.starts_with("tests/tidy")
}

#[track_caller]
fn pass(remedy: &str, problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n{remedy}\n", problems.join("\n  "));
}

fn row(layer: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&layer))
}

/// Where a path of ours leads, from the root of the crate; nothing for paths of other crates.
fn absolute(module: &[String], path: &NamedPath) -> Option<Vec<String>> {
    let (mut base, parts) = match path.parts[0].as_str() {
        "crate" | "securemq" => (Vec::new(), &path.parts[1..]),
        "self" => (module.to_vec(), &path.parts[1..]),
        "super" => (module.to_vec(), &path.parts[..]),
        _ => return None,
    };
    let ups = parts.iter().take_while(|part| *part == "super").count();
    base.truncate(base.len().saturating_sub(ups));
    base.extend_from_slice(&parts[ups..]);
    Some(base)
}

fn layers(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let listed = tree.children(&[]);
    for layer in listed.iter().filter(|layer| row(layer).is_none()) {
        problems.push(format!("src/lib.rs: {layer} is in no row of tests/tidy.rs"));
    }
    if !listed.is_sorted_by_key(|layer| row(layer)) {
        problems.push(format!("src/lib.rs: {} is not the order of the rows", listed.join(", ")));
    }
    for (name, file) in tree.shipped() {
        let Some(from) = file.module.first().filter(|layer| row(layer).is_some()) else { continue };
        for path in file.paths() {
            let Some(target) = absolute(&file.module, &path) else { continue };
            let Some(to) = target.first().filter(|to| *to != from && row(to) >= row(from)) else { continue };
            problems.push(format!("{name}:{}: {from} imports {to}, which is not below it", path.line));
        }
    }
    problems
}

fn unlisted(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, file) in tree.shipped().filter(|(name, _)| *name != "src/main.rs") {
        let Some((own, folder)) = file.module.split_last() else { continue };
        if !tree.children(folder).contains(own) {
            problems.push(format!("{name}: nobody lists it, so it is not compiled"));
        }
    }
    problems
}

fn order(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, file) in tree.shipped().filter(|(name, _)| *name != "src/main.rs") {
        for path in file.paths() {
            let Some(target) = absolute(&file.module, &path) else { continue };
            let common = file.module.iter().zip(&target).take_while(|(one, other)| one == other).count();
            // At 0 the arrow goes to another layer; a door and its own files are no matter of order.
            if common == 0 || common == file.module.len() {
                continue;
            }
            let (folder, own) = (file.module[..common].join("::"), &file.module[common]);
            let listed = tree.children(&file.module[..common]);
            let place = |child: &str| listed.iter().position(|listed| listed == child);
            match target.get(common).map(|child| (child, place(child))) {
                Some((_, Some(theirs))) if place(own).is_none_or(|ours| theirs < ours) => {}
                Some((child, Some(_))) => {
                    problems.push(format!("{name}:{}: {folder} lists {child} below {own}", path.line));
                }
                Some((item, None)) => problems.push(format!(
                    "{name}:{}: {item} comes through the door of its own folder {folder}; name the file that has it",
                    path.line
                )),
                None => {}
            }
        }
    }
    problems
}

fn is_within(module: &[String], home: &str) -> bool {
    let home: Vec<&str> = home.split("::").collect();
    module.len() >= home.len() && module.iter().zip(&home).all(|(part, home)| part == home)
}

fn purity(tree: &Tree, dependencies: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, file) in tree.shipped().filter(|(_, file)| PURE.iter().any(|pure| is_within(&file.module, pure))) {
        for path in file.paths() {
            let whole = path.parts.join("::").replacen("core::", "std::", 1);
            let foreign = dependencies.contains(&path.parts[0]) && !PURE_CRATES.contains(&path.parts[0].as_str());
            let impure = IMPURE_STD.iter().any(|impure| format!("{whole}::").starts_with(&format!("{impure}::")));
            let hidden = matches!(whole.as_str(), "std::time" | "std::net" | "std::sync" | "std::hash");
            if foreign || impure || hidden || whole.ends_with("::*") && path.parts[0] == "std" {
                problems.push(format!("{name}:{}: {whole} in a pure module", path.line));
            }
        }
    }
    problems
}

fn homes(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, file) in tree.shipped() {
        for path in file.paths() {
            let used = path.parts[0].as_str();
            let home = HOMES.iter().find(|(name, _)| *name == used).map(|(_, homes)| *homes);
            if let Some(homes) = home.filter(|homes| !homes.iter().any(|home| is_within(&file.module, home))) {
                problems.push(format!("{name}:{}: {used} lives in {}", path.line, homes.join(" and ")));
            }
            let lowest = LOWEST_ROW.iter().find(|(name, _)| *name == used).map(|(_, lowest)| *lowest);
            let own_row = file.module.first().and_then(|layer| row(layer));
            if let Some(lowest) = lowest.filter(|lowest| own_row.is_some_and(|own| Some(own) < row(lowest))) {
                problems.push(format!("{name}:{}: {used} lives in {lowest} and above", path.line));
            }
        }
    }
    problems
}

fn printing(tree: &Tree) -> Vec<String> {
    const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
    const STREAMS: [&str; 2] = ["stdout", "stderr"];
    let mut problems = Vec::new();
    for (name, file) in tree.shipped().filter(|(name, _)| *name != "src/cli/output.rs") {
        for window in file.code.windows(3) {
            let [before, word, next] = [0, 1, 2].map(|place| window[place].text.as_str());
            // As a method it says where the output of another program goes.
            let is_stream = STREAMS.contains(&word) && before != ".";
            if MACROS.contains(&word) && next == "!" || is_stream && next == "(" {
                problems.push(format!("{name}:{}: {word} outside src/cli/output.rs", window[1].line));
            }
        }
    }
    problems
}

fn doors(tree: &Tree) -> Vec<String> {
    let doors = tree.shipped().filter(|(name, _)| SourceFile::is_door(name));
    let functions = doors.flat_map(|(name, file)| file.code.iter().filter(|t| t.text == "fn").map(move |t| (name, t)));
    functions.map(|(name, token)| format!("{name}:{}: a function in a door", token.line)).collect()
}

fn files(tree: &Tree) -> Vec<String> {
    const NOUNS_OF_NOTHING: [&str; 6] = ["types", "utils", "util", "common", "helpers", "misc"];
    let mut problems = Vec::new();
    for (name, file) in &tree.0 {
        let stem = name.rsplit('/').next().unwrap().trim_end_matches(".rs");
        if NOUNS_OF_NOTHING.contains(&stem) {
            problems.push(format!("{name}: {stem} says nothing about what is in it"));
        }
        if !file.text.starts_with("//!") {
            problems.push(format!("{name}:1: does not say what the file is for"));
        }
        let lines = file.text.lines().count();
        if lines > LONGEST_FILE && !LONG_FILES.iter().any(|(long, _)| long == name) {
            problems.push(format!("{name}: {lines} lines"));
        }
    }
    problems
}

fn leftovers(tree: &Tree) -> Vec<String> {
    // In pieces, so that this file passes.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK")];
    let mut problems = Vec::new();
    for (name, file) in &tree.0 {
        let left = |line: &str| marks.iter().any(|mark| line.contains(mark));
        problems.extend(
            numbered(&file.text)
                .filter(|(_, line)| left(line))
                .map(|(number, line)| format!("{name}:{number}: {}", line.trim())),
        );
    }
    problems
}

fn expects(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, file) in tree.shipped() {
        let calls = file.code.windows(2).filter(|window| window[0].text == "." && window[1].text == "expect");
        found.extend(calls.map(|window| format!("{name}:{}: expect", window[1].line)));
    }
    found
}

fn citations(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, file) in tree.0.iter().filter(|(name, _)| !is_rule(name)) {
        for (number, line) in numbered(&file.text) {
            for (at, _) in line.match_indices('[') {
                let inside = &line[at + 1..];
                let cites = ["v5:", "v311:", "v31:", "v3:", "MQTT-"].iter().any(|start| inside.starts_with(start));
                let citation = inside.split(']').next().unwrap_or_default();
                // `[v5:MQTT-…]` talks about citations.
                if cites && !citation.ends_with('…') && !is_citation(citation) {
                    problems.push(format!("{name}:{number}: [{citation}]"));
                }
            }
        }
    }
    problems
}

/// `v5:MQTT-3.3.1-4`, or a section: `v31:3.1`. One name is as odd as `v311:MQTT-3-8.3-4` in the specification itself.
fn is_citation(text: &str) -> bool {
    let Some((version, place)) = text.split_once(':') else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_section = |text: &str| text.split(['.', '-']).all(is_number);
    match (version, place.strip_prefix("MQTT-")) {
        ("v5" | "v311", Some(statement)) => {
            statement.rsplit_once('-').is_some_and(|(section, number)| is_section(section) && is_number(number))
        }
        ("v5" | "v311" | "v31", None) => is_section(place),
        _ => false,
    }
}

fn machine_names(name: &str, text: &str) -> Vec<String> {
    const MACHINES: [&str; 4] = ["/root/", "/home/", "/work/", "/Users/"];
    const HOSTS: [&str; 6] = [
        "index.crates.io",
        "static.crates.io",
        "registry.npmjs.org",
        "registry.yarnpkg.com",
        "files.pythonhosted.org",
        "pypi.org/simple",
    ];
    let begins_a_path =
        |line: &str, at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "/._-$})*+#".contains(c));
    let is_path = |line: &str, folder: &str| line.match_indices(folder).any(|(at, _)| begins_a_path(line, at));
    let named = |line: &str| {
        let machine = MACHINES.iter().find(|folder| is_path(line, folder));
        machine.or_else(|| HOSTS.iter().find(|host| line.contains(**host))).copied()
    };
    let mut problems: Vec<String> = numbered(text)
        .filter_map(|(number, line)| named(line).map(|word| format!("{name}:{number}: names {word}")))
        .collect();
    let registry = "source = \"registry+";
    let official = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    if name == "Cargo.lock" {
        let foreign = numbered(text).filter(|(_, line)| line.starts_with(registry) && *line != official);
        problems.extend(foreign.map(|(number, line)| format!("{name}:{number}: {line}")));
    }
    problems
}

fn foreign_dependencies(manifest: &toml::Table) -> Vec<String> {
    let mut problems = Vec::new();
    let groups = ["dependencies", "dev-dependencies", "build-dependencies", "patch", "replace"];
    for group in groups {
        let Some(crates) = manifest.get(group).and_then(toml::Value::as_table) else { continue };
        if matches!(group, "patch" | "replace") {
            problems.push(format!("Cargo.toml: [{group}]"));
        }
        for (name, wanted) in crates {
            let keys = ["git", "path", "registry"];
            let foreign = keys.iter().find(|key| wanted.as_table().is_some_and(|table| table.contains_key(**key)));
            problems.extend(foreign.map(|key| format!("Cargo.toml: {group}.{name} has {key}")));
        }
    }
    problems
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}
