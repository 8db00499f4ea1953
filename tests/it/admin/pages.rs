//! The files of the pages: exact names, nothing else, and headers that keep strangers out of them.

use crate::support::pages::{Pages, with_pages};

#[test]
fn no_path_leads_out_of_the_pages() {
    let mut broker = with_pages().start();
    let pages = Pages::of(&mut broker);
    for path in [
        "/../Cargo.toml",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets/..%2fCargo.toml",
        "/assets/....//Cargo.toml",
        "/assets/%252e%252e/Cargo.toml",
        "/assets//etc/passwd",
        "/assets/index.html%00.js",
        "/assets/\\..\\Cargo.toml",
        "/assets/",
        "/assets",
        "/index.html",
        "/master.key",
        "/assets/master.key",
    ] {
        let answer = pages.request("GET", path, &[], "");
        assert!(answer.status == 404 || answer.status == 400, "{path}: {answer:?}");
    }
    assert_eq!(pages.request("POST", "/", &[], "{}").status, 404);
}

#[test]
fn every_answer_has_the_headers_that_keep_strangers_out() {
    let mut broker = with_pages().start();
    let pages = Pages::of(&mut broker);
    for path in ["/", "/api/v1/session", "/api/v1/openapi.json", "/nothing"] {
        let answer = pages.request("GET", path, &[], "");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types 'none'",
            "{path}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert!(answer.headers.iter().any(|(name, _)| name == "permissions-policy"));
        assert!(answer.header("server").is_empty() && answer.header("strict-transport-security").is_empty());
    }
    let page = pages.request("GET", "/", &[], "");
    assert_eq!((page.status, page.header("cache-control")), (200, "no-cache"));
    assert!(page.header("etag").len() > 10 && !page.body.contains("<script>"));
}
