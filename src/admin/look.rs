//! How the pages look where somebody has said so: the accent colour, and a logo in place of ours.

use super::problem::AdminError;
use crate::config::Setting;
use data_encoding::BASE64;
use serde::Serialize;
use std::io::Read;

/// What the configuration says of the look.
#[derive(Debug, Default, Serialize)]
pub struct Look {
    accent: Option<String>,
    /// As the address of an image that is the image itself.
    logo: Option<String>,
}

/// The largest logo, in bytes: it comes with the first page, which has to come in less than 100 kB as a whole.
const LARGEST: u64 = 32 * 1024;

impl Look {
    /// What the options say; the logo is read here, once.
    pub fn of(settings: &[Setting]) -> Result<Self, AdminError> {
        let said = |key: &str| {
            let setting = settings.iter().find(|setting| setting.key == key);
            setting.and_then(|setting| setting.value.as_str()).filter(|text| !text.is_empty())
        };
        let logo = said("web.logo").map(read).transpose()?;
        Ok(Self { accent: said("web.accent").map(str::to_owned), logo })
    }
}

fn read(path: &str) -> Result<String, AdminError> {
    let wrong = |problem: &dyn std::fmt::Display| AdminError::invalid("web.logo", format_args!("{path}: {problem}"));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|problem| wrong(&problem))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|problem| wrong(&problem))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(wrong(&format_args!("it is larger than {LARGEST} bytes")));
    }
    let kind = kind_of(&bytes).ok_or_else(|| wrong(&"it is no PNG, JPEG or WebP image"))?;
    Ok(format!("data:image/{kind};base64,{}", BASE64.encode(&bytes)))
}

/// By what it begins with. An SVG is a program as well as a picture, and none of these.
fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("png"),
        [0xff, 0xd8, 0xff, ..] => Some("jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    fn look(logo: &[u8]) -> Result<Look, AdminError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), logo).unwrap();
        let setting =
            |key: &str, value: &str| Setting { key: key.into(), value: value.into(), source: Source::Default };
        Look::of(&[setting("web.accent", "#a21caf"), setting("web.logo", file.path().to_str().unwrap())])
    }

    #[test]
    fn an_image_of_a_known_kind_is_taken() {
        let made = look(b"\x89PNG\r\n\x1a\n...").unwrap();
        assert_eq!(made.accent.as_deref(), Some("#a21caf"));
        assert!(made.logo.unwrap().starts_with("data:image/png;base64,iVBORw0KGgou"));
        assert!(look(b"\xff\xd8\xff\xe0").is_ok() && look(b"RIFF....WEBPVP8 ").is_ok());
    }

    #[test]
    fn what_is_large_or_no_image_is_refused_with_its_name() {
        for wrong in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"", b"GIF89a", &[0x89; 40_000]] {
            let problem = look(wrong).unwrap_err().to_string();
            assert!(problem.starts_with("web.logo: /"), "{problem}");
        }
        assert!(Look::of(&[]).unwrap().logo.is_none());
    }
}
