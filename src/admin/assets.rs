//! The pages, compiled in: found by their exact name in a map, so no path leads anywhere else.

use super::guard::Door;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, VARY,
};
use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::Embed;
use std::collections::BTreeMap;
use std::io::Write;

/// All files of the pages, as they are sent.
pub struct Assets {
    /// By their path below `/`.
    files: BTreeMap<String, Asset>,
    /// Stands in the addresses of the present files, so that a browser may keep them for ever.
    version: String,
}

struct Asset {
    plain: Bytes,
    /// Where it is smaller.
    packed: Option<Bytes>,
    etag: String,
    kind: &'static str,
}

#[derive(Embed)]
#[folder = "assets/"]
struct Files;

const INDEX: &str = "index.html";

impl Assets {
    /// The compiled-in files; packed once, here.
    pub fn load() -> Self {
        let mut names: Vec<_> = Files::iter().collect();
        names.sort();
        let files = names.iter().filter_map(|name| Some((name.to_string(), Files::get(name)?.data.into_owned())));
        Self::of(files.collect())
    }

    fn of(files: Vec<(String, Vec<u8>)>) -> Self {
        let mut all = Context::new(&SHA256);
        for (name, bytes) in &files {
            for part in [name.as_bytes(), bytes] {
                all.update(&(part.len() as u64).to_be_bytes());
                all.update(part);
            }
        }
        let version = short(all.finish().as_ref());
        let asset = |(name, bytes): (String, Vec<u8>)| {
            let bytes = if name == INDEX { with_version(bytes, &version) } else { bytes };
            let asset = Asset::new(&name, bytes);
            (name, asset)
        };
        let files = files.into_iter().map(asset).collect();
        Self { files, version }
    }

    /// The answer to a request for a path; nothing if there is no such file.
    pub fn answer(&self, path: &str, headers: &HeaderMap, door: Door) -> Option<HttpResponse> {
        let (name, keep) = match path {
            "/" if door != Door::Socket => (INDEX, "no-cache"),
            _ => {
                let name = path.strip_prefix("/assets/")?;
                match name.strip_prefix(self.version.as_str()).and_then(|rest| rest.strip_prefix('/')) {
                    Some(name) => (name, "public, max-age=31536000, immutable"),
                    None => (name, "no-cache"),
                }
            }
        };
        if name == INDEX && path != "/" {
            return None;
        }
        let asset = self.files.get(name)?;
        let mut response = HttpResponse::build(StatusCode::OK);
        response.insert_header((CACHE_CONTROL, keep)).insert_header((VARY, "Accept-Encoding"));
        let packed = asset.packed.as_ref().filter(|_| takes_gzip(headers));
        // Two representations are two entities.
        let etag = if packed.is_some() { format!("\"{}-gz\"", asset.etag) } else { format!("\"{}\"", asset.etag) };
        response.insert_header((ETAG, etag.as_str()));
        if headers.get(IF_NONE_MATCH).is_some_and(|known| known.to_str().is_ok_and(|known| names(known, &etag))) {
            return Some(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        response.insert_header((CONTENT_TYPE, asset.kind));
        Some(match packed {
            Some(packed) => response.insert_header((CONTENT_ENCODING, "gzip")).body(packed.clone()),
            None => response.body(asset.plain.clone()),
        })
    }
}

impl Asset {
    fn new(name: &str, bytes: Vec<u8>) -> Self {
        let etag = short(digest(&SHA256, &bytes).as_ref());
        let packed = gzip(&bytes).filter(|packed| packed.len() < bytes.len());
        Self { plain: bytes.into(), packed: packed.map(Bytes::from), etag, kind: kind_of(name) }
    }
}

/// Sixteen hex digits: they tell versions apart and keep no secret.
fn short(hash: &[u8]) -> String {
    HEXLOWER.encode(hash.get(..8).unwrap_or(hash))
}

/// The first page names the files in their present version.
fn with_version(page: Vec<u8>, version: &str) -> Vec<u8> {
    match String::from_utf8(page) {
        Ok(text) => text.replace("\"/assets/", &format!("\"/assets/{version}/")).into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|part| {
        let mut part = part.split(';').map(str::trim);
        part.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && part.all(|quality| quality != "q=0")
    })
}

/// Whether a list of entity tags holds this one.
fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn assets() -> Assets {
        Assets::of(vec![
            ("app.js".into(), b"let a = 1;".repeat(50)),
            ("index.html".into(), b"<script src=\"/assets/app.js\"></script>".to_vec()),
            ("parts/x.js".into(), b"x".to_vec()),
        ])
    }

    fn get(assets: &Assets, path: &str, headers: &[(HeaderName, &str)]) -> Option<HttpResponse> {
        let pair = |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).unwrap());
        assets.answer(path, &headers.iter().map(pair).collect(), Door::Loopback)
    }

    fn header(response: &HttpResponse, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn only_exact_names_are_found() {
        let assets = assets();
        let version = assets.version.clone();
        assert!(get(&assets, "/", &[]).is_some());
        assert!(get(&assets, "/assets/app.js", &[]).is_some());
        assert!(get(&assets, &format!("/assets/{version}/parts/x.js"), &[]).is_some());
        for path in [
            "/assets/",
            "/assets",
            "/assets/parts",
            "/assets/parts/",
            "/assets/../app.js",
            "/assets//app.js",
            "/assets/parts/../app.js",
            "/assets/%2e%2e/app.js",
            "/assets/app.js/",
            "/assets/app.js%00",
            "/app.js",
            "/assets/index.html",
            "/assets/APP.JS",
            "/assets/./app.js",
            "/assets/..%2fCargo.toml",
            "/assets/\\app.js",
            "//assets/app.js",
            "/assets/0000000000000000/app.js",
            "/index.html",
            "/etc/passwd",
        ] {
            assert!(get(&assets, path, &[]).is_none(), "{path}");
        }
    }

    #[test]
    fn the_first_page_names_files_that_may_be_kept_for_ever() {
        let assets = assets();
        let address = format!("/assets/{}/app.js", assets.version);
        let page = assets.files.get(INDEX).unwrap();
        assert!(String::from_utf8(page.plain.to_vec()).unwrap().contains(&address));
        assert!(header(&get(&assets, &address, &[]).unwrap(), CACHE_CONTROL).contains("immutable"));
        assert_eq!(header(&get(&assets, "/", &[]).unwrap(), CACHE_CONTROL), "no-cache");
        assert_eq!(header(&get(&assets, "/assets/app.js", &[]).unwrap(), CACHE_CONTROL), "no-cache");
    }

    #[test]
    fn a_browser_that_has_it_is_not_sent_it_again() {
        let assets = assets();
        let gzip = (ACCEPT_ENCODING, "br, gzip");
        let first = get(&assets, "/assets/app.js", std::slice::from_ref(&gzip)).unwrap();
        assert_eq!(header(&first, CONTENT_ENCODING), "gzip");
        let etag = header(&first, ETAG).to_owned();
        let again = get(&assets, "/assets/app.js", &[gzip, (IF_NONE_MATCH, &etag)]).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        // The unpacked form is another entity.
        let plain = get(&assets, "/assets/app.js", &[(IF_NONE_MATCH, &etag)]).unwrap();
        assert_eq!((plain.status(), header(&plain, CONTENT_ENCODING)), (StatusCode::OK, ""));
        let refuses = get(&assets, "/assets/app.js", &[(ACCEPT_ENCODING, "gzip;q=0")]).unwrap();
        assert_eq!(header(&refuses, CONTENT_ENCODING), "");
    }
}
