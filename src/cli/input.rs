//! Standard input: read no further ahead than its buffer, so that an endless stream costs no memory.

use bytes::{Bytes, BytesMut};
use secrecy::SecretString;
use std::io::{self, BufRead, Read};
use tokio::sync::mpsc::{Receiver, channel};
use zeroize::Zeroizing;

/// The first line, without its line break; the lines behind it stay to be read.
pub fn secret_line() -> io::Result<SecretString> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_SECRET));
    let limit = u64::try_from(LONGEST_SECRET).unwrap_or(u64::MAX);
    io::stdin().lock().take(limit).read_until(b'\n', &mut line)?;
    let text = std::str::from_utf8(&line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// Everything that is left, unless it is longer than `limit`.
pub fn whole(source: impl Read, limit: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source.take(one_more).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than a message of MQTT may be"));
    }
    Ok(bytes.into())
}

/// The lines as they come, without their line breaks, some at a time. A thread of its own waits for them, because
/// reading standard input cannot be given up; it ends with the process.
pub fn lines(limit: usize) -> Receiver<io::Result<Vec<Bytes>>> {
    let (sender, receiver) = channel(1);
    std::thread::spawn(move || {
        let mut lines = Lines { source: io::stdin().lock(), partial: BytesMut::new(), limit };
        while let Some(some) = lines.next().transpose() {
            let is_last = some.is_err();
            if sender.blocking_send(some).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

struct Lines<R> {
    source: R,
    /// The beginning of a line that is not complete.
    partial: BytesMut,
    limit: usize,
}

impl<R: BufRead> Lines<R> {
    /// All lines that are complete after one read; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Vec<Bytes>>> {
        loop {
            let chunk = self.source.fill_buf()?;
            let read = chunk.len();
            let searched = self.partial.len();
            self.partial.extend_from_slice(chunk);
            self.source.consume(read);
            if read == 0 {
                let rest = std::mem::take(&mut self.partial).freeze();
                return Ok(if rest.is_empty() { None } else { Some(vec![rest]) });
            }
            let mut lines = Vec::new();
            let mut from = searched;
            while let Some(at) = self.partial[from..].iter().position(|&byte| byte == b'\n') {
                let line = self.partial.split_to(from + at + 1);
                lines.push(line.freeze().slice(..from + at));
                from = 0;
            }
            if self.partial.len() > self.limit {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "a line is longer than a message of MQTT may be",
                ));
            }
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
    }
}

/// In bytes: a password in MQTT has at most 65,535.
const LONGEST_SECRET: usize = 65_537;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn all(text: &[u8], buffer: usize, limit: usize) -> io::Result<Vec<Bytes>> {
        let mut lines = Lines { source: BufReader::with_capacity(buffer, text), partial: BytesMut::new(), limit };
        let mut all = Vec::new();
        while let Some(some) = lines.next()? {
            all.extend(some);
        }
        Ok(all)
    }

    #[test]
    fn lines_are_split_at_line_breaks_however_they_arrive() {
        for (text, expected) in [
            (&b""[..], &[][..]),
            (b"one", &[&b"one"[..]]),
            (b"one\n", &[b"one"]),
            (b"one\n\ntwo\r\n \xff\n", &[b"one", b"", b"two\r", b" \xff"]),
        ] {
            for buffer in [1, 2, 3, 5, 64] {
                assert_eq!(all(text, buffer, 10).unwrap(), expected, "{buffer}");
            }
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        assert_eq!(all(b"12345\n12345", 4, 5).unwrap().len(), 2);
        assert!(all(b"123456789\n", 4, 5).is_err());
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        assert_eq!(whole(&b"12345"[..], 5).unwrap().len(), 5);
        assert!(whole(&b"123456"[..], 5).is_err());
    }
}
