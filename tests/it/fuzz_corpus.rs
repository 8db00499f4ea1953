//! The fuzz targets, run over the committed corpus. Whatever a fuzzer found stays found.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "../fuzz/targets.rs"]
mod targets;

#[test]
fn the_codec_survives_its_corpus() {
    run("codec", targets::codec);
}

#[test]
fn topics_survive_their_corpus() {
    run("topic", targets::topic);
}

fn run(target: &str, survive: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds nothing", corpus.display());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(catch_unwind(|| survive(&bytes)).is_ok(), "{} is not survived", file.display());
    }
}
