//! What people and programs see of what commands print.

use super::*;
use crate::cli::error::Exit;
use std::sync::Arc;

/// A writer whose bytes the test can read.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe that nobody reads.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn output(format: Format) -> (Output, Page, Page) {
    let (out, err) = (Page::default(), Page::default());
    let (out_writer, err_writer) = (Mutex::new(Box::new(out.clone()) as _), Mutex::new(Box::new(err.clone()) as _));
    (Output { format, is_terminal: false, out: out_writer, err: err_writer }, out, err)
}

#[test]
fn text_from_clients_cannot_forge_a_line_or_move_the_cursor() {
    let (output, out, _) = output(Format::Text);
    output.line("a\nb \u{1b}[2J \u{9b}1m \u{202e}drow \u{7f} \u{ffff} \u{e0041} é漢").unwrap();
    assert_eq!(out.text(), "a\\nb \\u{1b}[2J \\u{9b}1m \\u{202e}drow \\u{7f} \\u{ffff} \\u{e0041} é漢\n");
}

#[test]
fn json_is_escaped_so_that_any_parser_reads_the_same_text() {
    let text = "a\nb \u{1b}[2J \u{9b}1m \u{202e}drow \u{7f} \u{ffff} \u{e0041} é\"\\";
    let (output, out, _) = output(Format::Text);
    output.json(&[text]).unwrap();
    assert!(!out.text().trim_end().chars().any(is_hidden), "{}", out.text());
    assert_eq!(serde_json::from_str::<Vec<String>>(&out.text()).unwrap(), [text]);
}

#[test]
fn a_listing_is_a_table_for_people_and_an_array_for_programs() {
    let users = [("anna", "Teacher"), ("漢字", "Student"), ("e\nve", "")];
    let cells = |user: &(&str, &str)| vec![user.0.to_owned(), user.1.to_owned()];
    let (text, out, _) = output(Format::Text);
    text.listing(&["name", "role"], &users, cells).unwrap();
    assert_eq!(out.text(), "NAME   ROLE\nanna   Teacher\n漢字   Student\ne\\nve\n");
    let (json, out, _) = output(Format::Json);
    json.listing(&["name", "role"], &users, cells).unwrap();
    assert_eq!(out.text(), "[[\"anna\",\"Teacher\"],[\"漢字\",\"Student\"],[\"e\\nve\",\"\"]]\n");
}

#[test]
fn an_empty_listing_still_has_its_headings() {
    let (text, out, _) = output(Format::Text);
    text.listing(&["name", "role"], &[(); 0], |()| Vec::new()).unwrap();
    assert_eq!(out.text(), "NAME  ROLE\n");
}

#[test]
fn standard_output_holds_only_json_when_json_is_asked_for() {
    let (json, out, err) = output(Format::Json);
    json.line("added anna").unwrap();
    json.warning("no password");
    assert_eq!((out.text().as_str(), err.text().as_str()), ("", "added anna\nwarning: no password\n"));
}

#[test]
fn the_last_line_of_an_error_says_what_to_do() {
    let (text, _, err) = output(Format::Text);
    let error =
        CliError::not_found("there is no user \"an\nna\"", "`securemq user list` shows all").with_details([1, 2]);
    text.error(&error);
    assert_eq!(err.text(), "error: there is no user \"an\\nna\"\n  1\n  2\n`securemq user list` shows all\n");
    assert_eq!(error.exit().code(), 3);
}

#[test]
fn a_reader_that_has_gone_ends_the_command_quietly() {
    let (mut text, _, err) = output(Format::Text);
    text.out = Mutex::new(Box::new(Closed));
    let error = text.line("one").unwrap_err();
    text.error(&error);
    assert_eq!((error.exit(), err.text().as_str()), (Exit::Done, ""));
}

#[test]
fn a_payload_goes_to_programs_as_it_is_and_to_terminals_made_visible() {
    let (mut text, out, _) = output(Format::Text);
    text.message(None, b"\x1b\xff").unwrap();
    text.message(Some("a\n"), b"\x1b").unwrap();
    assert_eq!(*out.0.lock().unwrap(), b"\x1b\xff\na\\n \x1b\n");
    out.0.lock().unwrap().clear();
    text.is_terminal = true;
    text.message(None, b"\x1b\xff").unwrap();
    text.message(Some("a\n"), b"\x1b").unwrap();
    assert_eq!(out.text(), "\\u{1b}\u{fffd}\na\\n \\u{1b}\n");
}
