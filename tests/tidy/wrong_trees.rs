//! Each rule finds what it is there to find.

use super::*;

const DOOR: (&str, &str) = ("src/broker/mod.rs", "//! .\nmod time;\nmod session;\npub use time::Timestamp;");

#[test]
fn an_arrow_upwards_or_sideways_is_found() {
    let tree = Tree::of(&[
        ("src/lib.rs", "pub mod protocol; pub mod broker; pub mod auth; pub mod audit;"),
        ("src/protocol/mod.rs", "use crate::{broker::{Policy, Rule}, protocol::Text};"),
        ("src/broker/mod.rs", "use crate::protocol::Text; fn f() { super::auth::login() }"),
        (
            "src/auth/mod.rs",
            "// crate::server\nuse crate::audit::Log; #[cfg(test)] mod tests { use crate::cli::X; }\n\
             #[cfg(test)] mod cases;",
        ),
        ("src/auth/cases.rs", "use crate::cli::X;"),
    ]);
    assert_eq!(
        layers(&tree),
        [
            "src/auth/mod.rs:2: auth imports audit, which is not below it",
            "src/broker/mod.rs:1: broker imports auth, which is not below it",
            "src/protocol/mod.rs:1: protocol imports broker, which is not below it",
            "src/protocol/mod.rs:1: protocol imports broker, which is not below it",
        ]
    );
    assert_eq!(layers(&Tree::of(&[("src/lib.rs", "mod broker; mod protocol; mod odd;")])).len(), 2);
}

#[test]
fn an_import_from_below_or_through_the_own_door_is_found() {
    let tree = Tree::of(&[
        DOOR,
        ("src/broker/time.rs", "use super::session::Session;"),
        ("src/broker/session.rs", "use super::time::Timestamp; use crate::broker::Timestamp as T;"),
    ]);
    assert_eq!(
        order(&tree),
        [
            "src/broker/session.rs:1: Timestamp comes through the door of its own folder broker; name the file that \
             has it",
            "src/broker/time.rs:1: broker lists session below time",
        ]
    );
}

#[test]
fn a_file_that_nobody_lists_is_found() {
    let tree = Tree::of(&[DOOR, ("src/broker/time.rs", ""), ("src/broker/spare.rs", ""), ("src/lib.rs", "")]);
    assert_eq!(
        unlisted(&tree),
        [
            "src/broker/mod.rs: nobody lists it, so it is not compiled",
            "src/broker/spare.rs: nobody lists it, so it is not compiled"
        ]
    );
}

#[test]
fn clocks_threads_and_crates_in_pure_modules_are_found() {
    let pure = "use std::time::{Duration, Instant}; use std::net::IpAddr; use bytes::Bytes; use slab::Slab;\n\
                fn f() { std::thread::yield_now() } // std::fs\nconst S: &str = \"std::fs::read\";\n\
                #[cfg(test)]\nmod tests { use std::fs; }";
    let tree = Tree::of(&[("src/broker/time.rs", pure), ("src/server/clock.rs", pure)]);
    assert_eq!(
        purity(&tree, &["bytes".to_owned(), "slab".to_owned()]),
        [
            "src/broker/time.rs:1: std::time::Instant in a pure module",
            "src/broker/time.rs:1: slab::Slab in a pure module",
            "src/broker/time.rs:2: std::thread::yield_now in a pure module",
        ]
    );
}

#[test]
fn a_crate_away_from_home_is_found() {
    let tree = Tree::of(&[
        ("src/server/run.rs", "fn f() { sqlx::query(\"\"); tokio::spawn(g()); }"),
        ("src/config/load.rs", "use tokio::fs; use argon2::Params;"),
        ("src/store/keys.rs", "use argon2::Params; use sqlx::Row;"),
    ]);
    assert_eq!(
        homes(&tree),
        [
            "src/config/load.rs:1: tokio lives in store and above",
            "src/config/load.rs:1: argon2 lives in auth and store::keys and store::error",
            "src/server/run.rs:1: sqlx lives in store",
        ]
    );
}

#[test]
fn printing_functions_in_doors_and_expects_are_found() {
    let text = "//! .\nfn f() { println!(\"a\"); io::stdout().flush(); x.expect(\"y\"); }";
    let tree = Tree::of(&[("src/server/mod.rs", text), ("src/cli/output.rs", text)]);
    assert_eq!(printing(&tree).len(), 2);
    assert_eq!(doors(&tree), ["src/server/mod.rs:2: a function in a door"]);
    assert_eq!(expects(&tree).len(), 2);
}

#[test]
fn nameless_silent_and_long_files_are_found() {
    let tree = Tree::of(&[
        ("src/utils.rs", "//! ."),
        ("src/silent.rs", "use std::fmt;"),
        ("src/long.rs", &format!("//! .\n{}", "\n".repeat(600))),
    ]);
    assert_eq!(files(&tree).len(), 3);
    assert_eq!(leftovers(&Tree::of(&[("src/a.rs", concat!("// TO", "DO later"))])).len(), 1);
}

#[test]
fn only_well_formed_citations_pass() {
    for right in ["v5:MQTT-3.3.1-4", "v311:MQTT-4.7.1-2", "v311:MQTT-3-8.3-4", "v31:3.1", "v5:4.8.2"] {
        assert!(is_citation(right), "{right}");
    }
    for wrong in ["MQTT-3.3.1-4", "v5:MQTT-3.3.1", "v31:MQTT-3.3.1-4", "v5:MQTT-3.3.1-4a", "v3:3.1", "v5:", "v5:MQTT-"]
    {
        assert!(!is_citation(wrong), "{wrong}");
    }
    let text = "/// [v5:MQTT-3.3.1-4] [v5:3.3] [MQTT-3.3.1-4] [Self::new] [v311:MQTT-1]";
    assert_eq!(citations(&Tree::of(&[("src/a.rs", text)])).len(), 2);
}

#[test]
fn machines_hosts_and_foreign_dependencies_are_found() {
    let text = "cd /home/anna\n$share/home/door\nhttps://registry.npmjs.org/mqtt\nhttps://crates.io\n";
    assert_eq!(machine_names("README.md", text).len(), 2);
    assert_eq!(machine_names("Cargo.lock", "source = \"registry+https://mirror.example/index\"").len(), 1);
    let manifest =
        "[dependencies]\na = '1'\nb = { path = '../b' }\n[dev-dependencies]\nc = { git = 'x' }\n[patch.crates-io]";
    assert_eq!(foreign_dependencies(&manifest.parse().unwrap()).len(), 3);
}

#[test]
fn comments_strings_and_characters_are_not_code() {
    let text = r###"a /* b /* c */ d */ "e \" f" r#"g " h"# b'i' '\'' 'j' 'k: &'l str // m
        n::o 'p'"###;
    let code: Vec<String> = tokens(text).into_iter().map(|token| token.text).collect();
    let expected =
        ["a", "\"\"", "\"\"", "b", "\"\"", "\"\"", "\"\"", "'", "k", ":", "&", "'", "l", "str", "n", "::", "o"];
    assert_eq!(code[..expected.len()], expected);
    assert_eq!(tokens(text).last().map(|token| token.line), Some(2));
}
