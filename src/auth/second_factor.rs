//! The second factor of a login: codes of an app by RFC 6238 (SHA-1, six digits, 30 seconds), and codes for when it is
//! lost. Each is good once.

use super::error::AuthError;
use crate::broker::UserName;
use crate::store::{SecondFactor, UnixMillis};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use data_encoding::BASE32_NOPAD;
use std::fmt::Write;

/// How long one code is shown, in seconds.
const STEP_S: u64 = 30;
/// A clock may be wrong by so many steps either way.
const DRIFT: u64 = 1;
/// How many codes there are for when the app is lost.
const RECOVERY_CODES: usize = 10;

/// A new secret for an app: 160 bits, as RFC 4226 recommends.
pub fn new_secret() -> Result<[u8; 20], AuthError> {
    random()
}

/// What an app reads as a QR code: `otpauth://totp/securemq:sam?secret=…&issuer=securemq`.
pub fn provisioning_uri(user: &UserName, secret: &[u8; 20]) -> String {
    let mut name = String::new();
    for byte in user.as_str().bytes() {
        // Writing to a string does not fail.
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => write!(name, "{}", char::from(byte)),
            other => write!(name, "%{other:02X}"),
        };
    }
    format!("otpauth://totp/securemq:{name}?secret={}&issuer=securemq", spelt(secret))
}

/// The secret for whoever types it.
pub fn spelt(secret: &[u8; 20]) -> String {
    BASE32_NOPAD.encode(secret)
}

/// A second factor that begins: the code proves that the app has the secret. With it come the recovery codes, which are
/// nowhere else. `None` if the code is wrong.
pub fn begin(secret: [u8; 20], code: &str, now: UnixMillis) -> Result<Option<(SecondFactor, Vec<String>)>, AuthError> {
    let mut factor = SecondFactor { secret, used_step: 0, recovery: Vec::new() };
    if !prove(&mut factor, code, now) {
        return Ok(None);
    }
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let text = BASE32_NOPAD.encode(&random::<10>()?).to_ascii_lowercase();
        factor.recovery.push(hash(&text));
        let groups: Vec<_> = text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        codes.push(groups.join("-"));
    }
    Ok(Some((factor, codes)))
}

/// Whether the code is right and was not used before; it is used up by this. A code of the app also uses up those before
/// it, so that one that was read over a shoulder is worth nothing.
pub fn prove(factor: &mut SecondFactor, code: &str, now: UnixMillis) -> bool {
    let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if code.len() != DIGITS {
        let hash = hash(&code.to_ascii_lowercase());
        let before = factor.recovery.len();
        factor.recovery.retain(|known| verify_slices_are_equal(known, &hash).is_err());
        return factor.recovery.len() < before;
    }
    let present = now.as_millis() / 1000 / STEP_S;
    let steps = present.saturating_sub(DRIFT)..=present.saturating_add(DRIFT);
    let is_right =
        |step: &u64| verify_slices_are_equal(code_at(&factor.secret, *step).as_bytes(), code.as_bytes()).is_ok();
    match steps.filter(|step| *step > factor.used_step).find(is_right) {
        Some(step) => {
            factor.used_step = step;
            true
        }
        None => false,
    }
}

const DIGITS: usize = 6;

/// RFC 4226, 5.3: four bytes of the MAC from a place that its last half byte says, without the sign.
fn code_at(secret: &[u8; 20], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let offset = tag.as_ref().last().map_or(0, |last| usize::from(last & 0x0f));
    let bytes = tag.as_ref().iter().skip(offset).take(4);
    let number = bytes.fold(0_u32, |number, byte| (number << 8) | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn hash(code: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, code.as_bytes()).as_ref());
    hash
}

fn random<const N: usize>() -> Result<[u8; N], AuthError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuthError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 20] = *b"12345678901234567890";

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis::from_millis(seconds * 1000)
    }

    /// RFC 6238, appendix B, the last six digits of each.
    #[test]
    fn codes_are_those_of_the_standard() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(&SECRET, seconds / STEP_S), code, "{seconds}");
        }
    }

    fn factor() -> SecondFactor {
        SecondFactor { secret: SECRET, used_step: 0, recovery: Vec::new() }
    }

    #[test]
    fn a_code_is_good_once_and_a_step_early_or_late() {
        let code = |step| code_at(&SECRET, step);
        let mut fresh = factor();
        assert!(!prove(&mut fresh, &code(98), at(3000)) && !prove(&mut fresh, &code(102), at(3000)));
        assert!(prove(&mut fresh, &code(100), at(3000)));
        assert!(!prove(&mut fresh, &code(100), at(3000)), "used");
        assert!(!prove(&mut fresh, &code(99), at(3000)), "older than one that was used");
        assert!(prove(&mut fresh, &code(101), at(3000)), "a clock ahead of ours");
        assert!(prove(&mut factor(), &format!(" {} {} ", &code(99)[..3], &code(99)[3..]), at(3000)));
        for wrong in ["", "12345", "1234567", "abcdef", "٣٣٣"] {
            assert!(!prove(&mut factor(), wrong, at(3000)), "{wrong}");
        }
    }

    #[test]
    fn ten_codes_help_once_each_when_the_app_is_lost() {
        let (mut factor, codes) = begin(SECRET, &code_at(&SECRET, 100), at(3000)).unwrap().unwrap();
        assert_eq!((codes.len(), factor.used_step), (RECOVERY_CODES, 100));
        assert!(prove(&mut factor, &codes[3].to_uppercase(), at(3000)));
        assert!(!prove(&mut factor, &codes[3], at(3000)));
        assert_eq!(factor.recovery.len(), RECOVERY_CODES - 1);
        assert!(begin(SECRET, "000000", at(3000)).unwrap().is_none());
    }

    #[test]
    fn a_name_in_the_address_is_spelt_so_that_it_ends_nothing() {
        let name = UserName::new("ann & bob?x=é").unwrap();
        let uri = provisioning_uri(&name, &SECRET);
        assert_eq!(
            uri,
            "otpauth://totp/securemq:ann%20%26%20bob%3Fx%3D%C3%A9?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=securemq"
        );
    }
}
