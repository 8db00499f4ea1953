//! The API under what its own description allows and forbids: schemathesis, which `scripts/test` installs, thinks up
//! requests from it, and no answer may be an error of the server or otherwise than described.

use crate::support::broker::finish;
use crate::support::clients::{cache, installed};
use crate::support::pages::with_pages;
use std::process::Command;

/// What is asked of every answer. Left out are only these: whether every request that fits the schema is taken, since
/// names, topics and passwords have rules of their own; and whether a request without a key is refused, which it cannot
/// tell with a key in a header, and which `routes.rs` asks of every address.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method";

/// Some hundred requests, always the same ones, as an administrator and as a student.
#[test]
fn no_request_that_can_be_thought_up_is_answered_otherwise_than_described() {
    for role in ["Admin", "Student"] {
        let mut broker = with_pages().start();
        broker.add_user("program", role, "a long password");
        let scopes = ["--scope", "read", "--scope", "publish", "--scope", "manage"];
        let add = ["apikey", "add", "--user", "program", "--name", "fuzz", "--json"];
        let made: serde_json::Value = serde_json::from_str(&broker.run(&[&add[..], &scopes].concat())).unwrap();
        broker.wait_for_output("web pages on http");
        let output = broker.output();
        let (_, rest) = output.split_once("web pages on ").unwrap();
        let mut command = Command::new("timeout");
        // Half a minute on an idle machine; what takes ten times as long hangs.
        command.arg("300").arg(installed(cache().join("python/bin/schemathesis")));
        command.args(["run", &format!("{}/api/v1/openapi.json", rest.lines().next().unwrap().trim_end_matches('/'))]);
        command.args(["--header", &format!("Authorization: Bearer {}", made["key"].as_str().unwrap())]);
        command.args(["--phases", "coverage,fuzzing", "--max-examples", "4", "--seed", "1", "--checks", CHECKS]);
        command.args(["--request-timeout", "60", "--generation-database", "none"]);
        command.current_dir(broker.scratch());
        let output = finish(command, "");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "as {role} it ended with {}:\n{text}", output.status);
        assert!(text.contains("Test cases:"), "nothing was tried:\n{text}");
    }
}
